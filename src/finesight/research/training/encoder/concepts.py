"""What can be said about a crop: the list of concepts, and which of them a crop shows.

Content is a row of int8, one number a concept: 1 the crop shows it, 0 it does not, −1 hard to say
(an object half out of the crop, or almost too small to see).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["nothing", "part", "class", "color", "pair"]

SHOWN = 1
ABSENT = 0
UNCLEAR = -1

# An object is shown when half of its box is in the crop and it spans a sixth of the crop's side; it
# is absent when next to nothing of it is in the crop, or when it is a speck.
SHARE_SHOWN = 0.5
SHARE_ABSENT = 0.2
SPAN_SHOWN = 0.16
SPAN_ABSENT = 0.06
SLIVER_SHOWN = 0.02  # share of the crop that slivers cover when they are its subject


@dataclass(frozen=True)
class Concept:
    """One thing to say: an object's class, its colour, both, part of an object, or no object."""

    kind: Kind
    class_name: str = ""
    color: str = ""


@dataclass(frozen=True)
class Concepts:
    """All concepts over some classes and colours, in a fixed order: column i of every content."""

    classes: tuple[str, ...]
    colors: tuple[str, ...]

    @cached_property
    def all(self) -> tuple[Concept, ...]:
        """Nothing, part, every class, every colour, then every class in every colour."""
        return (
            Concept("nothing"),
            Concept("part"),
            *(Concept("class", name) for name in self.classes),
            *(Concept("color", color=color) for color in self.colors),
            *(Concept("pair", name, color) for name in self.classes for color in self.colors),
        )

    def __len__(self) -> int:
        return len(self.all)

    @property
    def first_pair(self) -> int:
        """The index of the first class in a colour."""
        return 2 + len(self.classes) + len(self.colors)

    def of(self, class_index: int, color_index: int) -> list[int]:
        """The indices of what one object is: its class, its colour, and both."""
        return [
            2 + class_index,
            2 + len(self.classes) + color_index,
            self.first_pair + class_index * len(self.colors) + color_index,
        ]

    def content(
        self, window: NDArray[np.float64], boxes: NDArray[np.float64], kinds: Sequence[list[int]]
    ) -> NDArray[np.int8]:
        """What the window (4,) shows of objects with boxes (n, 4), as int8 (concepts,).

        Boxes are xyxy in the window's unit; `kinds` holds the indices that `of` gave each object.
        """
        content = np.zeros(len(self), np.int8)
        sizes = window[2:] - window[:2]
        corner = np.maximum(boxes[:, :2], window[:2])
        visible = np.clip(np.minimum(boxes[:, 2:], window[2:]) - corner, 0, None)
        whole = (boxes[:, 2:] - boxes[:, :2]).clip(min=1e-6)
        shares = visible.prod(axis=1) / whole.prod(axis=1)
        spans = (visible / sizes).max(axis=1, initial=0)
        shown = (shares >= SHARE_SHOWN) & (spans >= SPAN_SHOWN)
        absent = (shares < SHARE_ABSENT) | (spans < SPAN_ABSENT)
        for index in np.flatnonzero(~absent & ~shown):
            content[kinds[index]] = UNCLEAR
        for index in np.flatnonzero(shown):
            content[kinds[index]] = SHOWN
        # Slivers of objects make "part of something"; small whole objects leave that open.
        areas = visible.prod(axis=1)
        slivers = areas[shares < SHARE_SHOWN].sum() / sizes.prod()
        if shown.any():
            content[1] = UNCLEAR if slivers > 0 else ABSENT
        elif slivers >= SLIVER_SHOWN:
            content[1] = SHOWN
        elif areas.any():
            content[:2] = UNCLEAR
        else:
            content[0] = SHOWN
        return content
