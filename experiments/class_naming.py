"""How well a model names the objects of scenes: true boxes, and objects that fill 0.3 of a crop.

python experiments/class_naming.py SCENES [--model mini] [--quick]

Top-1 among all classes of the set, for every object whose box's longer side is 24 pixels or more.
True boxes are square, 1.12 x the longer side. The other crops are 1 / 0.3 times the longer side and
centred on the object, as far as the image goes: first those in which no other annotated object is
seen (a second one could be named as rightly), then all. Brackets: bootstrap interval over the
images (95 %).
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from protocol import interval, means_of_samples

from finesight import load_model
from finesight.boxes import square_around
from finesight.images.open import read_image
from finesight.research.datasets import read_dataset
from finesight.research.datasets.records import LabelledObject
from finesight.research.training.encoder.crops import centered_window
from finesight.types import Box

SMALLEST = 24
FILL = 0.3
QUICK_IMAGES = 60


def main() -> None:
    """Print both accuracies, and the classes that are confused most."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_IMAGES} images")
    arguments = parser.parse_args()
    model, scenes = load_model(arguments.model), read_dataset(arguments.scenes)
    images = scenes.images[: QUICK_IMAGES if arguments.quick else None]
    texts = model.encoder.encode_texts([model.prompt.format(name) for name in scenes.classes])
    right: dict[str, list[list[bool]]] = {
        name: [] for name in ("true boxes", f"fill {FILL}, alone", f"fill {FILL}, all")
    }
    confused: Counter[tuple[str, str]] = Counter()
    for number, image in enumerate(images):
        scale = np.array([image.width, image.height] * 2)
        things = [t for t in image.objects if _longer(t.box, scale) >= SMALLEST]
        if not things:
            continue
        limit = np.array([0.0, 0.0, image.width, image.height])
        squares = [square_around(t.box, image.width, image.height) for t in things]
        windows = [centered_window(np.array(t.box) * scale, FILL, limit) / scale for t in things]
        boxes = np.array([*squares, *windows], np.float32)
        crops = model.encoder.preprocessing.cut(read_image(image.path), boxes)
        named = (model.encoder.encode_images(crops) @ texts.T).argmax(axis=1)
        truth = [scenes.classes.index(thing.class_name) for thing in things]
        boxed, afar = (found == np.array(truth) for found in np.split(named, 2))
        alone = [
            _alone(t.box, w, image.objects, scale) for t, w in zip(things, windows, strict=True)
        ]
        for column, hits in zip(right.values(), (boxed, afar[np.array(alone)], afar), strict=True):
            column.append(hits.tolist())
        for a, b in zip(truth, named[: len(things)], strict=True):
            if a != b:
                confused[scenes.classes[a], scenes.classes[b]] += 1
        print(f"\r{number + 1}/{len(images)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    print(f"{arguments.scenes.name}: {len(images)} images, model {model.name}")
    for name, column in right.items():
        print(f"{name:<16} {_interval(column)}")
    pairs = ", ".join(f"{a} for {b} {n}" for (b, a), n in confused.most_common(8))
    print(f"most often named wrong in true boxes: {pairs}")


def _longer(box: tuple[float, ...], scale: np.ndarray) -> float:
    x0, y0, x1, y1 = np.array(box) * scale
    return float(max(x1 - x0, y1 - y0))


def _alone(
    box: Box, window: np.ndarray, objects: Sequence[LabelledObject], scale: np.ndarray
) -> bool:
    """Whether a crop shows nothing else that is annotated, and was not ended by the image."""
    pixels = window * scale
    if _longer(box, scale) > 1.05 * FILL * (pixels[2:] - pixels[:2]).min():
        return False
    others = [np.array(thing.box) for thing in objects if thing.box != box]
    return not any((o[:2] < window[2:]).all() and (o[2:] > window[:2]).all() for o in others)


def _interval(column: list[list[bool]]) -> str:
    """The share of objects named right, in percent, and the bootstrap interval."""
    hits, counts = (np.array([f(each) for each in column]) for f in (sum, len))
    share = hits.sum() / counts.sum()
    drawn = means_of_samples(hits / np.maximum(counts, 1), weights=counts)
    return f"{100 * share:.1f} % of {counts.sum()} objects {interval(100 * drawn)}"


if __name__ == "__main__":
    main()
