"""From coarse to fine: the windows around what is unlike the rest, and as many as was said."""

import numpy as np
import pytest
from PIL import Image

from finesight.encoders import Preprocessing
from finesight.encoders.capabilities import Capabilities
from finesight.images.open import Picture
from finesight.proposals import encode_proposals, parse_proposer
from finesight.proposals.coarse_to_fine import DESCENTS


class Redness:
    """An encoder that sees how red a crop is, and little else."""

    preprocessing = Preprocessing(8, (0.5,) * 3, (0.5,) * 3)

    @property
    def replicas(self):
        return (self,)

    def encode_images(self, crops):
        red = (crops[..., 0].astype(float) - crops[..., 1]).mean(axis=(1, 2)) / 255
        found = np.stack([np.ones_like(red), 20 * red, crops.mean(axis=(1, 2, 3)) / 2550], axis=1)
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("cost", DESCENTS)
def test_it_costs_what_it_says_and_looks_where_something_is(cost):
    encoder = Redness()
    image = Image.new("RGB", (300, 200), (90, 90, 90))
    image.paste((255, 0, 0), (210, 120, 230, 136))
    proposer = parse_proposer(f"closer{cost}", Capabilities(encoder))
    seen = encode_proposals(Picture(image), encoder, proposer)
    assert len(seen.boxes) == len(seen.embeddings) == cost == proposer.forward_passes(300, 200)
    assert seen.boxes[0].tolist() == [0, 0, 1, 1]
    assert len(np.unique(seen.boxes, axis=0)) == cost
    # Every embedding belongs to its box, those that were encoded first too.
    crops = encoder.preprocessing.cut(image, seen.boxes)
    np.testing.assert_allclose(seen.embeddings, encoder.encode_images(crops), atol=1e-6)
    sides = seen.boxes[:, 2] - seen.boxes[:, 0]
    finest = seen.boxes[sides < sides.min() + 1e-4]
    x, y = 220 / 300, 128 / 200
    holds = (finest[:, 0] < x) & (x < finest[:, 2]) & (finest[:, 1] < y) & (y < finest[:, 3])
    assert holds.any()
    smallest = proposer.finest(300, 200)[0]
    assert smallest[2] - smallest[0] == pytest.approx(sides.min(), abs=1e-4)


def test_the_same_image_is_looked_at_in_the_same_way():
    image = Image.new("RGB", (64, 64), (10, 20, 30))
    proposer = parse_proposer("closer16", Capabilities(Redness()))
    first, again = (encode_proposals(Picture(image), Redness(), proposer) for _ in range(2))
    assert np.array_equal(first.boxes, again.boxes)
