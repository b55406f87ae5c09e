"""Regions where a detector says something is: a square around each of its boxes.

Region fusion (METHODS.md 2) keeps what a detector finds where area(region) / area(image) > alpha.
Any detector serves that gives boxes with scores: a network in ONNX or PyTorch, or a file of boxes.
"""

import re
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from finesight.boxes import MARGIN, ScoredBoxes, areas, squares_around, suppress
from finesight.encoders import Preprocessing
from finesight.encoders.capabilities import Capabilities
from finesight.errors import InputError, need
from finesight.images.open import Picture
from finesight.proposals.boxes_file import BoxesFile
from finesight.proposals.onnx_detector import MODEL, OnnxDetector
from finesight.proposals.proposer import Proposals
from finesight.types import WHOLE, Float32, UInt8

DETECT = "detect:"
"""What stands before the name of a detector."""

MOST = 36
"""Regions of an image unless told: as many as bottom-up features have (Anderson et al. 2018)."""


def _words(said: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in said.split("|") if word.strip())


def _absolute(path: str) -> str:
    return str(Path(path).resolve()) if Path(path).exists() else path


_OPTIONS: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    "score": (float, "{:g}".format),
    "area": (float, "{:g}".format),
    "overlap": (float, "{:g}".format),
    "most": (int, str),
    "words": (_words, "|".join),
    "images": (str, _absolute),
}
"""What may stand behind a detector's name: how it is read, and how it is written."""

_OPTION = re.compile(rf",(?=(?:{'|'.join(_OPTIONS)})=)")


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
            spec = DetectorSpec(source, **{key: _OPTIONS[key][0](given[key]) for key in given})
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
        plain = vars(DetectorSpec(self.source))
        said = [
            f"{option}={write(value)}"
            for option, (_, write) in _OPTIONS.items()
            if (value := getattr(self, option)) != plain[option]
        ]
        return ",".join([DETECT + _absolute(self.source), *said])


class Detector(Protocol):
    """Anything that says where something may be."""

    least: float
    """The score below which its boxes are noise, unless told otherwise."""

    overlap: float
    """The intersection over union above which two of its boxes are one thing, unless told."""

    reads_pixels: bool
    """Whether it needs the image's pixels; else it knows the boxes already."""

    def detect(self, picture: Picture) -> ScoredBoxes:
        """Return boxes, normalised xyxy in a picture, and their scores."""


def keep(found: ScoredBoxes, spec: DetectorSpec, least: float, overlap: float) -> Float32:
    """Return the boxes (r, 4) that stay, best first: large and sure enough, none much like another.

    least and overlap: the detector's own, for what the spec leaves open.
    """
    boxes = np.clip(found.boxes, 0, 1)
    score = least if spec.score is None else spec.score
    with np.errstate(invalid="ignore"):
        there = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (areas(boxes) > spec.area)
        there &= found.scores >= score
    chosen = ScoredBoxes(boxes[there], found.scores[there])
    # A score of 0 is a score as well: suppression takes 0 for "not there any more".
    likely = np.maximum(chosen.scores, np.finfo(np.float32).tiny)
    apart = overlap if spec.overlap is None else spec.overlap
    return chosen.boxes[suppress(ScoredBoxes(chosen.boxes, likely), spec.most, apart)]


class DetectorProposer:
    """The whole image and a square around every box that a detector gives and `keep` keeps."""

    def __init__(self, detector: Detector, spec: DetectorSpec) -> None:
        self.detector, self.spec = detector, spec
        self._one = threading.Lock()  # images are cut side by side; a network takes one

    def finest(self, width: int, height: int) -> Float32:
        """Return the smallest box that may be cut; detectors that read pixels need all of them."""
        area = 1.0 if self.detector.reads_pixels else self.spec.area * width * height
        side = max(area**0.5, 1.0)
        return np.array([[0, 0, min(side / width, 1), min(side / height, 1)]], np.float32)

    def windows(self, picture: Picture) -> Float32:
        """Return the boxes (p, 4) to encode, the whole image first, then the likeliest."""
        with self._one if self.detector.reads_pixels else nullcontext():
            found = self.detector.detect(picture)
        kept = keep(found, self.spec, self.detector.least, self.detector.overlap)
        squares = squares_around(kept.astype(np.float64), *picture.size, MARGIN)
        return np.concatenate([np.array([WHOLE]), squares]).astype(np.float32)

    def propose(self, picture: Picture, preprocessing: Preprocessing) -> tuple[Proposals, UInt8]:
        """Return these boxes, all of them with crops."""
        boxes = self.windows(picture)
        return Proposals(boxes), preprocessing.cut(picture.image, boxes)

    def forward_passes(self, width: int, height: int) -> float:
        """Return the most that an image costs, without the detector's own work."""
        return 1.0 + self.spec.most


def build_detector(name: str, capabilities: Capabilities) -> DetectorProposer:
    """Return the proposer of a name such as "detect:boxes.json,area=0.001"; it needs no model.

    Raises InputError for a source that is not there, DataError for a damaged one, and
    MissingDependencyError where it needs PyTorch.
    """
    spec = DetectorSpec.parse(name)
    return DetectorProposer(load_detector(spec.source, spec.words, spec.images), spec)


@lru_cache(maxsize=4)
def load_detector(source: str, words: tuple[str, ...] = (), images: str | None = None) -> Detector:
    """Load a detector; words and images: see `DetectorSpec`."""
    path = Path(source).expanduser()
    if path.is_file():
        if words:
            raise InputError(f"{source} is a file of boxes, in which no words are looked for")
        return BoxesFile(path, None if images is None else Path(images))
    if images is not None:
        raise InputError(f"images={images} belongs to a file of boxes, which {source} is not")
    if (path / MODEL).is_file():
        if words:
            raise InputError(
                f"{source} finds things of any kind and reads no words: leave them out, or name "
                "the detector it was exported from"
            )
        return OnnxDetector(path)
    if path.is_dir() and not (path / "config.json").is_file():
        raise InputError(f"{source} holds no detector: neither {MODEL} nor config.json")
    if not path.is_dir() and (source.count("/") != 1 or source.startswith((".", "/", "~"))):
        raise InputError(
            f"unknown detector {source!r}: name a COCO file of boxes, a folder with {MODEL} or a "
            "checkpoint, or a repository of the hub, such as google/owlv2-base-patch16-ensemble"
        )
    need(
        "finesight.proposals.torch_detectors",
        f"the detector {source} runs in PyTorch",
        "torch",
        ", or run `finesight export` on it where that is installed and name the folder it makes, "
        "or a COCO file of boxes",
    )
    from finesight.proposals.torch_detectors import load_torch_detector

    return load_torch_detector(source, words)
