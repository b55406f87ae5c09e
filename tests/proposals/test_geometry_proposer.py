import pytest
from PIL import Image

from finesight.encoders import Preprocessing
from finesight.errors import InputError
from finesight.images.open import Picture
from finesight.proposals import parse_proposer
from finesight.proposals.geometry_proposer import cover_for

PREPROCESSING = Preprocessing(8, (0.5,) * 3, (0.5,) * 3)


def test_a_fixed_scheme_goes_by_the_size_of_the_file():
    proposer = parse_proposer("cover40r4")
    decoded_smaller = Image.new("RGB", (250, 250))
    boxes = proposer.propose(Picture(decoded_smaller, (1000, 1000)), PREPROCESSING)[0].boxes
    assert len(boxes) == len(proposer.finest(1000, 1000)) == proposer.forward_passes(1000, 1000)
    assert len(boxes) > len(proposer.propose(Picture(decoded_smaller), PREPROCESSING)[0].boxes)


def test_the_smallest_object_becomes_a_cover():
    assert cover_for(24, 0.25) == "cover24r4.0"
    assert parse_proposer(cover_for(24, 0.25)).forward_passes(2000, 2000) > 500
    with pytest.raises(InputError, match="at least 1 pixel"):
        cover_for(0.2, 0.25)
