"""The records that travel between rooms: small and frozen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

Box = tuple[float, float, float, float]
"""A region of an image: (x0, y0, x1, y1), each in 0..1, with x0 < x1 and y0 < y1."""

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
"""The box of the whole image, which is region 0 of every image."""


@dataclass(frozen=True)
class ImageVectors:
    """What was seen in one image.

    boxes: (p, 4) normalised xyxy, boxes[0] is the whole image.
    embeddings: (p, d), L2-normalised.
    """

    boxes: Float32
    embeddings: Float32


@dataclass(frozen=True)
class ModelIdentity:
    """What a model's parts are, each by a short version: what a collection was made with.

    Two models with the same version of a part compute the same with it; "" is a model without it.
    None is a version that was not recorded, by a collection of an earlier finesight.

    towers: the fingerprint, which names a collection's table: tokenizer and preprocessing too;
    fit: how regions become square. Both change every region's vector and the query's.
    dense: the graphs that read many windows of a canvas: they give the vectors of the regions that
    are looked at so. finder: the graph that proposes regions: it changes which are kept.
    fusion: its name with its version: it changes the fused vectors. text_head: the space in which
    the fused vectors are asked. background: the prompt and the texts that relevance is calibrated
    with. Matchers and item heads are not here: they read what is kept, and nothing of theirs is.
    """

    towers: str
    fit: str | None = None
    dense: str | None = None
    finder: str | None = None
    fusion: str | None = None
    text_head: str | None = None
    background: str | None = None

    def differs(self, other: "ModelIdentity") -> tuple[str, ...]:
        """Return the names of the parts that differ, of those that both record, as listed above."""
        pairs = ((f.name, {getattr(self, f.name), getattr(other, f.name)}) for f in fields(self))
        return tuple(name for name, versions in pairs if len(versions) > 1 and None not in versions)


@dataclass(frozen=True)
class Found:
    """A file: absolute, without links, with what tells whether it changed."""

    path: Path
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Skipped:
    """A file or folder that was not indexed, and why.

    remembered: it was skipped by an earlier run and has not changed since.
    """

    path: Path
    reason: str
    remembered: bool = False


@dataclass(frozen=True)
class Part:
    """One thing a query asks for: a text, an image (or a box of it), or an indexed image.

    Exactly one of text, image (a file or pixels) and near is given. near: the path of an image of
    the collection, with which wholes are compared, not regions; it is left out of the hits. box:
    the part of `image` that is meant, normalised xyxy where all edges are at most 1, else in
    pixels. weight: how much it counts; below 0, images that show it sink.
    """

    text: str | None = None
    image: Union[Path, "Image", None] = None
    near: Path | None = None
    box: tuple[float, float, float, float] | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Query:
    """What is looked for: an image scores by the weighted mean of its cosines with the parts."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Match:
    """How one part of a query fared in one image: the best region's cosine, and its box.

    part: the part in words, such as 'red mug' or 'photo.jpg'; relevance: how likely the region
    shows it, in 0..1, None for images and where a collection has not learned it yet.
    """

    part: str
    weight: float
    score: float
    box: Box
    relevance: float | None = None


Why = Literal["whole", "region", "pooled", "words"]
"""What an image was found by: itself as a whole, a region, its pooled vectors, or its words."""


@dataclass(frozen=True)
class Hit:
    """One image that answers a query: its rank from 1, its score and its best region.

    why: what it was found by; part: the part of the query that box and why belong to, the one
    that adds most; matches: all parts; similar: near-duplicates that stand behind it, best first,
    where hits were grouped; relevance: how likely it shows what was asked for, in 0..1, None where
    that is not known.
    """

    rank: int
    score: float
    path: Path
    box: Box
    id: str
    width: int
    height: int
    why: Why = "region"
    part: str = ""
    matches: tuple[Match, ...] = ()
    similar: tuple[Path, ...] = ()
    relevance: float | None = None

    @property
    def box_px(self) -> tuple[int, ...]:
        """The box in pixels of the upright image."""
        scale = (self.width, self.height) * 2
        return tuple(round(edge * side) for edge, side in zip(self.box, scale, strict=True))

    def as_dict(self, shown: Callable[[Path], str] = str) -> dict[str, Any]:
        """Return the hit as JSON holds it, in the command line's output and over HTTP.

        shown: how paths are written.
        """
        return {
            **_plain(self),
            "box_px": list(self.box_px),
            "path": shown(self.path),
            "matches": [_plain(match) for match in self.matches],
            "similar": [shown(path) for path in self.similar],
        }

    @staticmethod
    def of_dict(found: Mapping[str, Any]) -> "Hit":
        """Return the hit that `as_dict` wrote, whatever else stands beside it."""
        return Hit(
            **{each.name: found[each.name] for each in fields(Hit)}
            | {
                "path": Path(found["path"]),
                "box": tuple(found["box"]),
                "matches": tuple(Match(**m | {"box": tuple(m["box"])}) for m in found["matches"]),
                "similar": tuple(map(Path, found["similar"])),
            }
        )


def _plain(record: Hit | Match) -> dict[str, Any]:
    """Return the fields of a record with as many digits as mean something."""
    return {
        **vars(record),
        "score": round(record.score, 6),
        "box": [round(edge, 6) for edge in record.box],
        "relevance": None if record.relevance is None else round(record.relevance, 4),
    }
