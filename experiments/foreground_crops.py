"""Does finding foreground pixels solve the benchmark? Crops of connected components against CC@10.

python experiments/foreground_crops.py SCENES... [--model mini] [--quick]

Foreground: pixels further than a threshold (largest channel, 0..255) from the image's median
colour; every connected component of at least 12 pixels becomes a square crop, like a true box, and
the whole image is added. On a plain ground this finds the objects; on textured scenes it must not
beat Complete Cover, or the benchmark would measure segmentation. The thresholds are tried on the
same scenes, which favours the components.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from protocol import print_table
from scipy import ndimage

from finesight import load_model
from finesight.images.open import read_image
from finesight.proposals.geometry import complete_cover
from finesight.research.datasets.clevr_ds import load
from finesight.research.evaluation.class_prompts import largest_shares, square_around
from finesight.research.metrics import class_prompt_recall

THRESHOLDS = (12, 24, 48)
QUICK_IMAGES = 40
_SMALLEST = 12
_MOST = 200  # components an image, largest first


def components(pixels: np.ndarray, threshold: float) -> np.ndarray:
    """Return square boxes (p, 4) about the connected foreground components of (h, w, 3) pixels."""
    height, width = pixels.shape[:2]
    ground = np.median(pixels.reshape(-1, 3), axis=0)
    labels, count = ndimage.label(np.abs(pixels - ground).max(axis=2) > threshold)
    if count == 0:
        return np.zeros((0, 4), np.float32)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    places = ndimage.find_objects(labels)
    chosen = [i for i in np.argsort(-sizes)[:_MOST] if sizes[i] >= _SMALLEST]
    boxes = []
    for i in chosen:
        rows, columns = places[i]
        box = (columns.start / width, rows.start / height, columns.stop / width, rows.stop / height)
        boxes.append(square_around(box, width, height))
    return np.array(boxes, np.float32).reshape(-1, 4)


def main() -> None:
    """Print R@1 and forward passes per image for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_IMAGES} images per set")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    for folder in arguments.scenes:
        scenes = load(folder)
        images = scenes.images[: QUICK_IMAGES if arguments.quick else None]
        texts = model.encoder.encode_texts([model.prompt.format(c) for c in scenes.classes])
        methods = ["whole", "cc10-max", *(f"components-{t}" for t in THRESHOLDS)]
        scores = {m: np.empty((len(texts), len(images))) for m in methods}
        forward_passes = dict.fromkeys(methods, 0)
        for i, image in enumerate(images):
            pixels = read_image(image.path)
            array = np.asarray(pixels, np.float32)
            parts = [complete_cover(*pixels.size, 10), *(components(array, t) for t in THRESHOLDS)]
            crops = model.encoder.preprocessing.cut(pixels, np.concatenate(parts))
            cosines = texts @ model.encoder.encode_images(crops).T
            found = np.split(cosines, np.cumsum([len(part) for part in parts])[:-1], axis=1)
            whole = found[0][:, :1]
            scores["whole"][:, i] = whole[:, 0]
            scores["cc10-max"][:, i] = found[0].max(axis=1)
            forward_passes["whole"] += 1
            forward_passes["cc10-max"] += len(parts[0])
            for method, cosine in zip(methods[2:], found[1:], strict=True):
                scores[method][:, i] = np.concatenate([whole, cosine], axis=1).max(axis=1)
                forward_passes[method] += 1 + cosine.shape[1]
            print(f"\r{folder.name} {i + 1}/{len(images)}", end="", file=sys.stderr)
        print(file=sys.stderr)
        relevant = largest_shares(scenes)[:, : len(images)] > 0
        everything = np.ones_like(relevant)
        print(f"{folder.name}: {len(images)} images, {model.source}")
        rows = []
        for method in methods:
            recall = 100 * class_prompt_recall(scores[method], relevant, everything, 1)
            rows.append((method, forward_passes[method] / len(images), recall))
        print_table(("method", "forward passes", "R@1, %"), rows)


if __name__ == "__main__":
    main()
