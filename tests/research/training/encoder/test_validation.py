"""Naming held-out objects: which crops count, and the shares that a known encoder gets."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="validation needs PyTorch")

from finesight.research.training.encoder.concepts import Concepts  # noqa: E402
from finesight.research.training.encoder.crops import Scene  # noqa: E402
from finesight.research.training.encoder.validation import ObjectNaming  # noqa: E402

CONCEPTS = Concepts(("square", "disc"), ("red", "blue"))


@pytest.fixture
def naming():
    """A red square of 24 px, alone at any fill, a blue disc of 80 px that never is, a speck."""
    image = Image.new("RGB", (300, 300))
    boxes = np.array(
        [[90.0, 90, 114, 114], [220, 210, 300, 290], [225, 200, 230, 240], [10, 10, 30, 20]]
    )
    kinds = [CONCEPTS.of(0, 0), CONCEPTS.of(1, 1), CONCEPTS.of(0, 1), CONCEPTS.of(1, 1)]
    scene = Scene(image, boxes, kinds, np.tile([0.0, 0, 300, 300], (4, 1)), sheet=False)
    return ObjectNaming([scene], CONCEPTS, side=16)


def test_only_objects_alone_in_their_crop_count(naming):
    assert {fill: len(crops) for fill, crops in naming.crops.items()} == {0.9: 1, 0.3: 1}
    assert naming.crops[0.9].shape == (1, 16, 16, 3)
    assert naming.kinds[0.3].tolist() == [CONCEPTS.of(0, 0)]


def test_prompts_name_classes_then_pairs(naming):
    assert naming.captions() == [
        "a photo of a square",
        "a photo of a disc",
        "a photo of a red square",
        "a photo of a blue square",
        "a photo of a red disc",
        "a photo of a blue disc",
    ]


def test_shares_of_a_known_encoder(naming):
    """An encoder that sees a square in everything, and blue."""
    captions = torch.eye(6)
    found = naming.scores(
        lambda pixels: (captions[0] + captions[3]).expand(len(pixels), 6), captions
    )
    assert found["class@0.9"] == 1.0
    assert found["color@0.9"] == 0.0
