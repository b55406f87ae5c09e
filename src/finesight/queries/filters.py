"""What images must be to be found at all: one record of conditions, for every way to search."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from finesight.errors import InputError

SHAPES = ("landscape", "portrait", "square")
"""What the shape of an image may be asked to be."""


@dataclass(frozen=True)
class Filters:
    """Conditions that an image must meet, all of those that are given.

    path: a glob on the path below the collection's root, the folder that all images share: *
    stands for anything but a slash, ** for anything, ? for one character, [ab] for one of some. It
    may begin at any folder, and what matches a folder matches all that is in it, as in
    .gitignore; a leading slash anchors it at the root. folder: one below the root. Sizes are in
    pixels; shape: one of SHAPES; taken_from, taken_to: the first and the last day, such as
    "2024-06-01"; camera: a part of its name, in any case; metadata: what metadata files said,
    equal to or, where it is a list, holding the value. Raises InputError for what makes no sense.
    """

    path: str | None = None
    folder: str | None = None
    min_width: int | None = None
    min_height: int | None = None
    max_width: int | None = None
    max_height: int | None = None
    shape: str | None = None
    taken_from: str | None = None
    taken_to: str | None = None
    camera: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None and not self.path.strip("/ "):
            raise InputError(f"the path glob {self.path!r} is empty: write, such as holiday/*.jpg")
        if self.shape is not None and self.shape not in SHAPES:
            raise InputError(f"shape is one of {', '.join(SHAPES)}, got {self.shape!r}")
        for side in ("width", "height"):
            least, most = (getattr(self, f"{end}_{side}") for end in ("min", "max"))
            for end, value in (("min", least), ("max", most)):
                if value is not None and value < 1:
                    raise InputError(f"{end}_{side} is at least 1 pixel, got {value}")
            if least is not None and most is not None and least > most:
                raise InputError(f"no image has a {side} from {least} to {most}: swap the two")
        first, last = (_day(getattr(self, name), name) for name in ("taken_from", "taken_to"))
        if first and last and first > last:
            raise InputError(f"no day lies between {first} and {last}: swap the two")
        for name in ("folder", "camera"):
            if getattr(self, name) is not None and not getattr(self, name).strip():
                raise InputError(f"{name} is empty: leave it out, or say which")


def parse_metadata(typed: Iterable[str]) -> dict[str, str]:
    """Return the metadata that texts such as "author=Ann" ask for."""
    pairs = [each.partition("=") for each in typed]
    for key, sign, value in pairs:
        if not (key.strip() and sign and value.strip()):
            raise InputError(
                f"metadata is KEY=VALUE, such as author=Ann, got {key + sign + value!r}"
            )
    return {key.strip(): value.strip() for key, _, value in pairs}


def _day(text: str | None, name: str) -> datetime.date | None:
    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is a day such as 2024-06-01, got {text!r}") from error


NO_FILTERS = Filters()
"""Of a search that takes any image."""
