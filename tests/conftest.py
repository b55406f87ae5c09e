"""Tiny encoders without training, images and tables, for tests that need no real model."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finesight.collection import Collection
from finesight.encoders import Preprocessing
from finesight.indexing.up_to_date import update_active
from finesight.models import Model
from finesight.scoring.similarity import normalise
from finesight.store.schema import Record
from finesight.types import ImageVectors

COLORS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}


class ColorEncoder:
    """Embeds an image as the mean of its channels, and a colour's name as that colour."""

    preprocessing = Preprocessing(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    width = 4

    def __init__(self):
        self.encoded = 0

    @property
    def replicas(self):
        return (self,)

    def reads_whole(self, text):
        return True

    def unknown_words(self, text):
        return []

    def encode_images(self, crops):
        self.encoded += len(crops)
        means = crops.reshape(len(crops), -1, 3).mean(axis=1)
        return normalise(np.concatenate([means / 255, np.full((len(crops), 1), 0.1)], axis=1))

    def encode_texts(self, texts):
        known = [next((c for n, c in COLORS.items() if n in t), (128, 128, 128)) for t in texts]
        return normalise(np.concatenate([np.array(known) / 255, np.zeros((len(texts), 1))], axis=1))


class RandomEncoder:
    """Embeds a text as a vector that its letters decide."""

    preprocessing = ColorEncoder.preprocessing
    width = 8

    def reads_whole(self, text):
        return True

    def unknown_words(self, text):
        return []

    def encode_texts(self, texts):
        seeds = [sum(map(ord, text)) for text in texts]
        return np.stack([normalise(np.random.default_rng(s).normal(size=8)) for s in seeds])


def make_table(directory, model, rng, images=40, most=6, names="{:03d}.png"):
    """Write a collection of 2 to `most` random regions an image; returns them (p, 8) by its name.

    Two vectors are kept of each: with two regions, these.
    """
    collection = Collection.open(directory, model)
    if not collection.exists:
        directory.mkdir(parents=True)
        update_active(collection._folder, model, "cc5", 2)
    records, embeddings = [], {}
    for number in range(images):
        regions = normalise(rng.normal(size=(int(rng.integers(2, most + 1)), 8)))
        boxes = np.tile(np.float32([0, 0, 1, 1]), (len(regions), 1))
        path = directory / names.format(number)
        digest = hashlib.sha256(regions.tobytes()).hexdigest()
        seen = ImageVectors(boxes, regions)
        fused = regions if most == 2 else model.fuse(seen, 2)
        name = hashlib.sha256(str(path).encode()).hexdigest()[:16]
        records.append(Record(name, path, digest, 1, 1, 10, 10, "cc5", seen, fused))
        embeddings[path.name] = regions
    collection._folder.table().insert(records)
    return embeddings


@pytest.fixture
def random_model():
    return Model("random", "random", RandomEncoder(), "{}", "cc5", "f" * 16)


@pytest.fixture
def color_model():
    return Model("colors", "colors", ColorEncoder(), "a photo of a {}", "cc5", "0123456789abcdef")


def spotted(path: Path, color: str, size=(200, 160), spot=24) -> Path:
    """Save a gray image with one small coloured square, right and below of the middle."""
    image = Image.new("RGB", size, (128, 128, 128))
    image.paste(COLORS[color], (120, 100, 120 + spot, 100 + spot))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder of three images, each with a spot of another colour."""
    for color in COLORS:
        spotted(tmp_path / "pictures" / f"{color}.png", color)
    return tmp_path / "pictures"


@pytest.fixture
def store(tmp_path, color_model):
    """A new collection."""
    return Collection.open(tmp_path / "c", color_model)


@pytest.fixture
def rows(tmp_path):
    """A function that returns columns of the collection's rows by path's name."""

    def read(collection, *columns):
        table = collection._folder.table().read(["path", *columns])
        return {row.pop("path"): row for row in table.to_pylist()}

    return read
