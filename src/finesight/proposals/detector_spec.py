"""What a name such as "detect:owlv2,area=0.001,most=20" asks of a detector."""

import re
from dataclasses import dataclass
from pathlib import Path

from finesight.errors import InputError

DETECT = "detect:"
"""What stands before the name of a detector."""

MOST = 36
"""Regions of an image unless told: as many as bottom-up features have (Anderson et al. 2018)."""

_OPTION = re.compile(r",(?=(?:score|area|overlap|most|words|images)=)")


@dataclass(frozen=True)
class DetectorSpec:
    """What a name such as "detect:owlv2,area=0.001,most=20" asks for.

    source: a file of boxes, a folder of a detector, or a repository of the hub; score: the lowest
    that is kept, None for the detector's own; area: alpha, the share of the image that a box must
    exceed; overlap: of two boxes with a higher intersection over union the surer one is kept, None
    for the detector's own; most: regions of an image, the whole image not counted; words:
    what to look for, where the detector reads; images: a file with the names of a results file's
    images.
    """

    source: str
    score: float | None = None
    area: float = 0.0
    overlap: float | None = None
    most: int = MOST
    words: tuple[str, ...] = ()
    images: str | None = None

    @staticmethod
    def parse(name: str) -> "DetectorSpec":
        """Read a name; raises InputError for options that make no sense."""
        source, *options = _OPTION.split(name.removeprefix(DETECT))
        given = dict(option.split("=", 1) for option in options)
        try:
            spec = DetectorSpec(
                source,
                score=float(given["score"]) if "score" in given else None,
                area=float(given.get("area", 0)),
                overlap=float(given["overlap"]) if "overlap" in given else None,
                most=int(given.get("most", MOST)),
                words=tuple(w.strip() for w in given.get("words", "").split("|") if w.strip()),
                images=given.get("images"),
            )
        except ValueError as error:
            raise InputError(f"{name!r}: {error}") from error
        shares = (spec.score or 0.0, spec.area, spec.overlap or 0.0)
        if not source or spec.most < 1 or not all(0 <= share <= 1 for share in shares):
            raise InputError(
                f"{name!r}: a detector is {DETECT}SOURCE with the options score, area and overlap "
                "in 0..1, and most of at least 1, such as "
                f"{DETECT}google/owlv2-base-patch16-ensemble,area=0.001,most=20"
            )
        return spec

    def name(self) -> str:
        """Return the name that asks for the same from any folder: paths are absolute."""
        images = None if self.images is None else _absolute(self.images)
        options = {
            "score": None if self.score is None else f"{self.score:g}",
            "area": f"{self.area:g}" if self.area else None,
            "overlap": None if self.overlap is None else f"{self.overlap:g}",
            "most": None if self.most == MOST else str(self.most),
            "words": "|".join(self.words) or None,
            "images": images,
        }
        said = [f"{option}={value}" for option, value in options.items() if value is not None]
        return ",".join([DETECT + _absolute(self.source), *said])


def _absolute(path: str) -> str:
    return str(Path(path).resolve()) if Path(path).exists() else path
