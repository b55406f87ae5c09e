"""What a model of words knows of photos: classes, what they are kinds of, colours; and how fast.

python experiments/photo_words.py SAMPLE --taxonomy /usr/share/wordnet [--model photo] [--quick]

SAMPLE holds one photo for each of ImageNet's 1,000 classes, named n01440764_tench.JPEG and so on
(github.com/EliSchwartz/imagenet-sample-images; probably photos that the weights were trained on).
R@1: the first photo for a class's first name is of a class that this name stands for. mAP: over
meanings of 2 to 250 classes, asked for by a noun of theirs, photos of these classes being right.
Settings were chosen on class names of even numbers, and on all kinds. Colours: the best of eight
words for the true boxes of the rendered scenes. COCO: class names that the model knows, the mean
over classes of the average precision of the photos, each as a whole and by its best true box.
Brackets: bootstrap intervals over queries, scenes or classes (95 %).
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from protocol import interval, means_of_samples

from finesight import load_model
from finesight.boxes import square_around
from finesight.images.open import read_image
from finesight.models import Model
from finesight.research.datasets import read_dataset
from finesight.research.datasets.clevr_ds import load
from finesight.research.table import Cell, format_table
from finesight.research.training.words.vocabulary import Vocabulary, build_vocabulary
from finesight.research.training.words.wordnet import Taxonomy
from finesight.types import WHOLE, Float32

_Item = TypeVar("_Item")
SMALLEST, LARGEST = 2, 250  # classes of a meaning
SIDE = 24  # pixels of the longer side of a box whose colour is asked for
QUICK = 8  # every how many-th photo


def main() -> None:
    """Print a table of classes, meanings, colours and COCO's classes, and the time of a crop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sample", type=Path, help="photos of ImageNet's classes, one of each")
    parser.add_argument("--taxonomy", type=Path, required=True, help="WordNet's folder")
    parser.add_argument("--scenes", type=Path, default=Path("data/sample"))
    parser.add_argument("--coco", type=Path, help="a COCO JSON of photos, and --images")
    parser.add_argument("--images", type=Path, help="the folder of its photos")
    parser.add_argument("--model", default="photo")
    parser.add_argument("--quick", action="store_true", help=f"every {QUICK}th photo and scene")
    arguments = parser.parse_args()
    step = QUICK if arguments.quick else 1
    model, taxonomy = load_model(arguments.model), Taxonomy.read(arguments.taxonomy)
    files = sorted(arguments.sample.glob("n*.JPEG"))
    vocabulary = build_vocabulary([path.name[:9] for path in files], taxonomy)
    places = [path.name[1:9] for path in files]
    seen = np.concatenate([_encoded(model, path, [WHOLE]) for path in _counted(files[::step])])
    classes = np.arange(len(files))[::step]
    rows = [
        *_class_rows(model, taxonomy, vocabulary, places, classes, seen),
        *_meaning_rows(model, taxonomy, vocabulary, places, classes, seen),
        *_color_rows(model, arguments.scenes, step),
    ]
    if arguments.coco and arguments.images:
        rows += _coco_rows(model, arguments.coco, arguments.images, step)
    rows.append(_time_row(model))
    print(f"{len(seen)} photos of ImageNet, model {model.name}, width {model.encoder.width}")
    print(format_table(("", "", "95 %", "of"), rows))


def _class_rows(
    model: Model,
    taxonomy: Taxonomy,
    vocabulary: Vocabulary,
    places: list[str],
    classes: np.ndarray,
    seen: Float32,
) -> list[tuple[Cell, ...]]:
    """R@1 of the classes' first names, of all and of each half."""
    names = [taxonomy.meanings[places[number]].names[0] for number in classes]
    best = classes[(model.encoder.encode_texts(names) @ seen.T).argmax(axis=1)]
    right = [b in vocabulary.classes(name) for b, name in zip(best, names, strict=True)]
    hits = np.array(right, float)
    return [
        _row("class names, R@1", hits),
        _row("  even classes (chosen on)", hits[classes % 2 == 0]),
        _row("  odd classes", hits[classes % 2 == 1]),
    ]


def _meaning_rows(
    model: Model,
    taxonomy: Taxonomy,
    vocabulary: Vocabulary,
    places: list[str],
    classes: np.ndarray,
    seen: Float32,
) -> list[tuple[Cell, ...]]:
    """The mean average precision of what the classes are kinds of."""
    own = set(places)
    below: dict[str, set[int]] = {}
    for number, place in enumerate(places):
        for meaning in taxonomy.ancestors(place):
            below.setdefault(meaning, set()).add(number)
    texts, found = [], []
    for meaning, members in below.items():
        if meaning in own or not SMALLEST <= len(members) <= LARGEST:
            continue
        nouns = taxonomy.meanings[meaning].names
        exact = [n for n in nouns if set(vocabulary.classes(n)) == members]
        relevant = np.isin(classes, sorted(members))
        if relevant.any():
            texts.append((exact or nouns)[0])
            found.append((relevant, bool(exact)))
    scores = model.encoder.encode_texts(texts) @ seen.T
    pairs = zip(scores, found, strict=True)
    precisions = np.array([_average_precision(s, relevant) for s, (relevant, _) in pairs])
    exact = np.array([named for _, named in found])
    return [
        _row("kinds, mAP", precisions[exact]),
        _row("  those whose nouns mean more, too", precisions),
    ]


def _color_rows(model: Model, folder: Path, step: int) -> list[tuple[Cell, ...]]:
    """The share of true boxes whose colour is named right."""
    scenes = load(folder)
    texts = model.encoder.encode_texts(list(scenes.colors))
    right, counts = [], []
    for scene in scenes.images[::step]:
        scale = np.array([scene.width, scene.height])
        things = [
            thing
            for thing in scene.objects
            if (np.subtract(thing.box[2:], thing.box[:2]) * scale).max() >= SIDE
        ]
        if things:
            boxes = [square_around(thing.box, scene.width, scene.height) for thing in things]
            best = (_encoded(model, scene.path, boxes) @ texts.T).argmax(axis=1)
            named = [scenes.colors[each] for each in best]
            right.append(sum(n == t.color for n, t in zip(named, things, strict=True)))
            counts.append(len(things))
    return [_row("colours of boxes named right", np.array(right) / counts, np.array(counts))]


def _coco_rows(model: Model, annotations: Path, images: Path, step: int) -> list[tuple[Cell, ...]]:
    """The mean average precision of class names: photos as a whole, and by their best true box."""
    dataset = read_dataset(annotations, images)
    photos = dataset.images[::step]
    known = [n for n in dataset.classes if not model.encoder.unknown_words(n)]
    texts = model.encoder.encode_texts(known)
    scores = np.empty((2, len(known), len(photos)), np.float32)
    for number, photo in enumerate(_counted(photos)):
        squares = [square_around(o.box, photo.width, photo.height) for o in photo.objects]
        found = texts @ _encoded(model, photo.path, [WHOLE, *squares]).T
        scores[:, :, number] = found[:, 0], found.max(axis=1)
    shown = [{thing.class_name for thing in photo.objects} for photo in photos]
    relevant = np.array([[name in each for each in shown] for name in known])
    there = relevant.any(axis=1)
    rows = []
    for name, found in zip(("whole photos", "best true box"), scores, strict=True):
        pairs = zip(found[there], relevant[there], strict=True)
        rows.append(_row(f"COCO, {name}, mAP", np.array([_average_precision(*p) for p in pairs])))
    return rows


def _time_row(model: Model) -> tuple[Cell, ...]:
    """Milliseconds of one core for a crop."""
    alone = model.encoder.replicas[0]
    side = alone.preprocessing.side
    crop = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    times = []
    for _ in range(30):
        started = time.process_time()
        alone.encode_images(crop)
        times.append(time.process_time() - started)
    return ("ms of one core for a crop", 1000 * float(np.median(times)), None, 1)


def _average_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    ranked = relevant[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].mean())


def _encoded(model: Model, path: Path, boxes: Iterable[tuple[float, ...]]) -> Float32:
    crops = model.encoder.preprocessing.cut(read_image(path), np.array(list(boxes), np.float32))
    return model.encoder.encode_images(crops)


def _row(name: str, values: np.ndarray, weights: np.ndarray | None = None) -> tuple[Cell, ...]:
    mean = float(np.average(values, weights=weights))
    drawn = means_of_samples(values, weights=weights)
    count = len(values) if weights is None else int(weights.sum())
    return (name, 100 * mean, interval(100 * drawn), count)


def _counted(items: Sequence[_Item]) -> Iterator[_Item]:
    for number, item in enumerate(items):
        yield item
        print(f"\r{number + 1}/{len(items)}", end="", file=sys.stderr)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
