"""What a collection knows to tell hits from what merely ranks first: a file beside its table.

One a model; `search.calibrate` makes it.
"""

from dataclasses import astuple, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from finesight.files import atomic
from finesight.scoring.calibration import Background, Curve
from finesight.types import Float32

_FORMAT = 1


@dataclass(frozen=True)
class Calibrator:
    """What hits of one collection and one model are judged by.

    curves: learned from the background's hits; images, made_of: of what.
    """

    background: Background
    texts: tuple[str, ...]
    curves: "Curves"
    images: int
    made_of: str

    def relevance(self, text: str, cosines: np.ndarray, regions: Float32) -> np.ndarray:
        """Return how likely regions (n, d) show what a text says, each in 0..1.

        cosines: theirs with the text (n,).
        """
        curve = self.curves.bare if self.background.is_bare(text) else self.curves.margin
        return curve(self.background.margins(text, cosines, regions))


@dataclass(frozen=True)
class Curves:
    """What turns values of hits into probabilities.

    margin: of how much a region answers a text better than the background does; bare: the same for
    texts that name a thing and no more, of which a collection holds more; cosine: of the cosine
    itself, which tells images of one query apart.
    """

    margin: Curve
    bare: Curve
    cosine: Curve


def calibration_file(table: Path) -> Path:
    """Return where the estimate for an images' table lies."""
    return table.with_name(table.stem.replace("images-", "relevance-", 1) + ".npz")


def load_calibrator(file: Path) -> Calibrator | None:
    """Return what was estimated; None where there is nothing that this version reads."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            if int(content["format"]) != _FORMAT:
                return None
            texts = tuple(content["texts"].tolist())
            curves = content["curves"].tolist()
            return Calibrator(
                Background.of(texts, content["vectors"].astype(np.float32)),
                texts,
                Curves(*(Curve(*curve) for curve in curves)),
                int(content["images"]),
                str(content["made_of"]),
            )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # damaged: estimated again
        return None


def save_calibrator(file: Path, calibrator: Calibrator) -> None:
    """Write what was estimated, as one file that is seen whole or not at all."""
    with atomic(file) as unfinished, unfinished.open("wb") as out:
        np.savez(
            out,
            format=_FORMAT,
            texts=np.array(calibrator.texts),
            vectors=calibrator.background.vectors.astype(np.float16),
            curves=np.array(astuple(calibrator.curves), np.float64),
            images=calibrator.images,
            made_of=calibrator.made_of,
        )
