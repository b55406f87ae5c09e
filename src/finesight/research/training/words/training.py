"""Makes a model that finds images by words out of an image classifier and a taxonomy.

Nothing is trained: the classifier's eyes are as good as they are. What is learned, from photos
without labels, is where the middle of its features lies and in which directions they differ.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image

from finesight.encoders.onnx import OnnxEncoder
from finesight.errors import DataError, InputError
from finesight.files import write_json
from finesight.graphs import Graph
from finesight.images.open import ImageError, read_image
from finesight.models.bundle import Bundle
from finesight.queries.everyday import background_texts
from finesight.research.networks.color_names import color_directions
from finesight.research.training.words.classifier import (
    PIXELS,
    PREPROCESSOR,
    Classifier,
    preprocessor_config,
)
from finesight.research.training.words.export import (
    WordTable,
    with_features,
    write_image_tower,
    write_text_tower,
)
from finesight.research.training.words.space import SpaceSettings, WordSpace, make_space
from finesight.research.training.words.tokenizer import LONGEST_TEXT, build_word_tokenizer
from finesight.research.training.words.vocabulary import Vocabulary, build_vocabulary
from finesight.research.training.words.wordnet import Taxonomy, licence_of
from finesight.types import WHOLE, Float32

PRECISIONS = ("fp32", "int8")
WINDOWS = 8  # of each photo, beside the whole one
_BATCH = 8
CALIBRATION = 128  # crops that activations are measured on
LICENCE = "LICENSE.WordNet"
_LONGEST = 3.0  # vector of a noun, beside 1 of a noun of one class
_NOUN_BESIDE_COLOR = 0.6  # of "orange", which is a fruit and a colour
_THINGS = 100  # that a background of texts is made of, at most
_COLORS = ("red", "blue", "green", "yellow", "white", "black")


@dataclass(frozen=True)
class Photos:
    """What a classifier sees of photos: features (p, f), and the crops (p, side, side, 3)."""

    features: Float32
    crops: np.ndarray
    images: int


def train_words(
    classifier: Classifier,
    taxonomy_folder: Path,
    out: Path,
    *,
    images: Path | None = None,
    precision: str = "fp32",
    settings: SpaceSettings | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> tuple[Bundle, Vocabulary]:
    """Write a bundle whose words are those that a taxonomy has for a classifier's classes.

    taxonomy_folder: WordNet's; images: a folder of photos, without which an image has no
    appearance (see WordSpace) and 8 bits are not possible; precision: fp32, or int8 of the
    image tower and the words. Raises InputError and DataError.
    """
    if precision == "int8" and images is None:
        raise InputError("int8 needs photos to measure activations on: add --images DIR")
    settings = settings or SpaceSettings()
    taxonomy = Taxonomy.read(taxonomy_folder)
    vocabulary = build_vocabulary(classifier.labels, taxonomy)
    photos = None if images is None else see_photos(classifier, images, settings.seed)
    features = photos.features if photos else None
    space = make_space(classifier.weights, vocabulary.groups, features, settings)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pixels = None
        if precision == "int8" and photos is not None:
            some = np.random.default_rng(settings.seed).permutation(len(photos.crops))
            some = np.sort(some[:CALIBRATION])
            pixels = classifier.preprocessing.tensor(photos.crops[some])
        agreement, width = _write_files(
            classifier, space, vocabulary, folder, pixels, small=precision == "int8"
        )
        licence = licence_of(taxonomy_folder)
        if licence:
            (folder / LICENCE).write_text(licence, encoding="utf-8")
        about = {
            "classes": len(classifier.labels),
            "words": len(vocabulary.words),
            "images": photos.images if photos else 0,
            "precision": precision,
        }
        bundle = Bundle.of_files(
            folder,
            name=out.name,
            width=width,
            prompt="{}",
            prompts=("{}",),
            fit=classifier.preprocessing.fit,
            knows={"things": known_things(vocabulary, OnnxEncoder(folder)), "colors": _COLORS},
            provenance={**(provenance or {}), **about},
            scores={"onnx_cosine": round(agreement, 6)},
        )
        return bundle.write(out), vocabulary


def _write_files(
    classifier: Classifier,
    space: WordSpace,
    vocabulary: Vocabulary,
    folder: Path,
    pixels: Float32 | None,
    *,
    small: bool,
) -> tuple[float, int]:
    """Write towers, tokenizer and configurations; return the image tower's cosine, and d."""
    (folder / "onnx").mkdir()
    tokenizer, table = word_table(vocabulary, space)
    agreement = write_image_tower(classifier, space, folder / "onnx" / "vision_model.onnx", pixels)
    write_text_tower(table, folder / "onnx" / "text_model.onnx", small)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    width = table.vectors.shape[1]
    texts = {"vocab_size": len(table.rows), "max_position_embeddings": LONGEST_TEXT}
    config = {"model_type": "finesight-words", "projection_dim": width, "text_config": texts}
    write_json(folder / "config.json", config)
    pre = classifier.preprocessing
    pixels_config = preprocessor_config(
        pre.side,
        crop=classifier.crops_middle,
        mean=[(each - pre.offset) / (255 * pre.factor) for each in pre.mean],
        std=[each / (255 * pre.factor) for each in pre.std],
        resample=int(pre.resample),
    )
    write_json(folder / PREPROCESSOR, pixels_config)
    return agreement, width


def see_photos(classifier: Classifier, folder: Path, seed: int = 0) -> Photos:
    """Return what a classifier sees of a folder's photos: each whole, and in square windows.

    Files that are no photos are passed over; raises DataError where there is none.
    """
    rng = np.random.default_rng(seed)
    pre = classifier.preprocessing
    crops: list[np.ndarray] = []
    count = 0
    for image in _photos(folder):
        boxes = np.array([WHOLE, *_windows(image, rng)], np.float32)
        crops.append(pre.cut(image, boxes))
        count += 1
    if not crops:
        raise DataError(f"{folder} has no photo that can be read: give a folder of photos")
    seen = np.concatenate(crops)
    return Photos(_features(classifier, seen), seen, count)


def word_table(vocabulary: Vocabulary, space: WordSpace) -> tuple[Any, WordTable]:
    """Return the tokenizer of a vocabulary, and its tokens' vectors."""
    colors = color_directions()
    hues = len(next(iter(colors.values())))
    groups = np.stack([space.of_group(group) for group in vocabulary.groups])
    nouns = np.pad(groups, ((0, 0), (0, hues)))
    # An image of one of n classes has about 1 / sqrt(n) of their word's classes: beside a colour,
    # or another noun, a word of many classes would be drowned out.
    reach = np.sqrt([len(group) for group in vocabulary.groups]).clip(max=_LONGEST)
    nouns *= reach[:, None].astype(np.float32)
    painted = np.pad(np.stack([*colors.values()]), ((0, 0), (groups.shape[1], 0)))
    painted *= space.settings.color_word
    tokenizer, tokens = build_word_tokenizer([*vocabulary.words, *colors])
    rows = np.zeros(tokenizer.get_vocab_size(), np.int64)
    vectors = [np.zeros((1, nouns.shape[1]), np.float32), nouns]
    for word, group in vocabulary.words.items():
        if word in tokens:
            rows[tokens[word]] = 1 + group
    for number, color in enumerate(colors):
        row = painted[number].copy()
        if color in vocabulary.words:
            row += _NOUN_BESIDE_COLOR * nouns[vocabulary.words[color]]
        rows[tokens[color]] = 1 + len(nouns) + number
        vectors.append(row[None])
    return tokenizer, WordTable(rows, np.concatenate(vectors).astype(np.float32))


def known_things(vocabulary: Vocabulary, encoder: OnnxEncoder) -> list[str]:
    """Return things that the model's background is made of: everyday ones that it knows.

    Where these are few, names of its classes, spread over all of them.
    """
    everyday = [text for text in background_texts() if not encoder.unknown_words(text)]
    things = [text for text in everyday if text in vocabulary.words]
    if len(things) < _THINGS // 4:
        single = {vocabulary.groups[g]: w for w, g in reversed(vocabulary.words.items())}
        names = [word for group, word in sorted(single.items()) if len(group) == 1]
        things += names[:: max(1, len(names) // _THINGS)]
    return list(dict.fromkeys(things))[:_THINGS]


def _features(classifier: Classifier, crops: np.ndarray) -> Float32:
    """Return the features (p, f) of crops, which the classifier's last layer reads."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "classifier.onnx"
        onnx.save(with_features(classifier), path)
        graph = Graph(path)
        for start in range(0, len(crops), _BATCH):
            pixels = classifier.preprocessing.tensor(crops[start : start + _BATCH])
            found += graph.run({PIXELS: pixels}, [classifier.features])
    return np.concatenate(found)


def _photos(folder: Path) -> Iterator[Image.Image]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            yield read_image(path).convert("RGB")
        except ImageError:
            continue


def _windows(image: Image.Image, rng: np.random.Generator) -> list[tuple[float, ...]]:
    """Return square windows of a photo, of a tenth to two thirds of its shorter side."""
    width, height = image.size
    found: list[tuple[float, ...]] = []
    for _ in range(WINDOWS):
        side = min(width, height) * float(np.exp(rng.uniform(np.log(0.1), np.log(0.67))))
        left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
        box = (left / width, top / height, (left + side) / width, (top + side) / height)
        found.append(box)
    return found
