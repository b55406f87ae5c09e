"""A tiny encoder without training, and images, for tests that need no real model."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finesight.encoders import Preprocessing
from finesight.models import Model
from finesight.scoring import normalise

COLORS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}


class ColorEncoder:
    """Embeds an image as the mean of its channels, and a colour's name as that colour."""

    preprocessing = Preprocessing(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    width = 4

    def __init__(self):
        self.encoded = 0

    def encode_images(self, crops):
        self.encoded += len(crops)
        means = crops.reshape(len(crops), -1, 3).mean(axis=1)
        return normalise(np.concatenate([means / 255, np.full((len(crops), 1), 0.1)], axis=1))

    def encode_texts(self, texts):
        known = [next((c for n, c in COLORS.items() if n in t), (128, 128, 128)) for t in texts]
        return normalise(np.concatenate([np.array(known) / 255, np.zeros((len(texts), 1))], axis=1))


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
