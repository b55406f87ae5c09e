import pytest
from PIL import Image

from finesight.encoders import Preprocessing
from finesight.errors import InputError
from finesight.images.open import Picture
from finesight.proposals.capabilities import Capabilities
from finesight.proposals.registry import (
    EFFORTS,
    WITH_FINDER,
    WITHOUT_FINDER,
    carried_over,
    cover_for,
    parse_proposer,
    resolve_effort,
    sparing,
)


class Finder:
    """Of a model that tells objects, as far as names are concerned."""


PREPROCESSING = Preprocessing(8, (0.5,) * 3, (0.5,) * 3)
TELLING = Capabilities(objects=Finder())


def test_efforts_without_objects_go_from_coarse_to_fine():
    plain = Capabilities(encoder=Finder())
    forward_passes = [parse_proposer(effort, plain).forward_passes(640, 480) for effort in EFFORTS]
    assert forward_passes == [8, 16, 40]
    assert [resolve_effort(effort) for effort in EFFORTS] == list(WITHOUT_FINDER.values())
    assert [resolve_effort(effort, TELLING) for effort in EFFORTS] == list(WITH_FINDER.values())
    assert resolve_effort("cc7", TELLING) == "cc7"
    with pytest.raises(InputError, match="name a model"):
        parse_proposer("normal")
    with pytest.raises(InputError, match="closer8, closer16, closer40"):
        parse_proposer("closer9", plain)


def test_a_fixed_scheme_goes_by_the_size_of_the_file():
    proposer = parse_proposer("cover40r4")
    decoded_smaller = Image.new("RGB", (250, 250))
    boxes = proposer.propose(Picture(decoded_smaller, (1000, 1000)), PREPROCESSING)[0].boxes
    assert len(boxes) == len(proposer.finest(1000, 1000)) == proposer.forward_passes(1000, 1000)
    assert len(boxes) > len(proposer.propose(Picture(decoded_smaller), PREPROCESSING)[0].boxes)


def test_another_model_takes_the_same_effort():
    assert carried_over(WITH_FINDER["high"]) == WITHOUT_FINDER["high"]
    assert carried_over("objects200x3") == WITHOUT_FINDER["normal"]
    assert carried_over(WITH_FINDER["high"], TELLING) == WITH_FINDER["high"]
    assert carried_over("cc3", TELLING) == "cc3"
    assert carried_over("dense128", TELLING) == WITH_FINDER["normal"]
    assert carried_over("objects256x7at56", TELLING) == WITH_FINDER["low"]
    assert carried_over("objects256x7at56") == WITHOUT_FINDER["low"]


def test_the_smallest_object_becomes_a_cover():
    assert cover_for(24, 0.25) == "cover24r4.0"
    assert parse_proposer(cover_for(24, 0.25)).forward_passes(2000, 2000) > 500
    with pytest.raises(InputError, match="at least 1 pixel"):
        cover_for(0.2, 0.25)


def test_unknown_names_say_what_there_is():
    with pytest.raises(InputError, match="unknown regions 'objects'"):
        parse_proposer("objects")


def test_a_tolerance_is_part_of_the_name():
    assert sparing("cc10", 8) == "cc10~8"
    assert parse_proposer("cover24r4.0~8").forward_passes(640, 480) == parse_proposer(
        "cover24r4.0"
    ).forward_passes(640, 480)
    for way in ("low", "objects256x5", "dense128"):
        with pytest.raises(InputError, match="windows that are known beforehand"):
            sparing(way, 8)
    with pytest.raises(InputError, match="0 to 255"):
        sparing("cc10", 300)
    with pytest.raises(InputError, match="unknown regions"):
        parse_proposer("objects256x5~8", TELLING)
