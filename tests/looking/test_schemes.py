import pytest
from PIL import Image

from finesight.encoders import Preprocessing
from finesight.encoders.sight import Sight
from finesight.errors import InputError
from finesight.images import Picture
from finesight.looking.schemes import (
    EFFORTS,
    OF_OBJECTS,
    OF_WINDOWS,
    carried_over,
    cover_for,
    parse_looking,
    resolve_effort,
    sparing,
)


class Finder:
    """Of a model that tells objects, as far as names are concerned."""


PREPROCESSING = Preprocessing(8, (0.5,) * 3, (0.5,) * 3)
TELLING = Sight(objects=Finder())


def test_efforts_without_objects_go_from_coarse_to_fine():
    plain = Sight(encoder=Finder())
    passes = [parse_looking(effort, plain).passes(640, 480) for effort in EFFORTS]
    assert passes == [8, 16, 40]
    assert [resolve_effort(effort) for effort in EFFORTS] == list(OF_WINDOWS.values())
    assert [resolve_effort(effort, TELLING) for effort in EFFORTS] == list(OF_OBJECTS.values())
    assert resolve_effort("cc7", TELLING) == "cc7"
    with pytest.raises(InputError, match="name a model"):
        parse_looking("normal")
    with pytest.raises(InputError, match="closer8, closer16, closer40"):
        parse_looking("closer9", plain)


def test_a_fixed_scheme_goes_by_the_size_of_the_file():
    looking = parse_looking("cover40r4")
    decoded_smaller = Image.new("RGB", (250, 250))
    boxes = looking.glimpse(Picture(decoded_smaller, (1000, 1000)), PREPROCESSING)[0].boxes
    assert len(boxes) == len(looking.finest(1000, 1000)) == looking.passes(1000, 1000)
    assert len(boxes) > len(looking.glimpse(Picture(decoded_smaller), PREPROCESSING)[0].boxes)


def test_another_model_takes_the_same_effort():
    assert carried_over(OF_OBJECTS["high"]) == OF_WINDOWS["high"]
    assert carried_over("objects200x3") == OF_WINDOWS["normal"]
    assert carried_over(OF_OBJECTS["high"], TELLING) == OF_OBJECTS["high"]
    assert carried_over("cc3", TELLING) == "cc3"
    assert carried_over("dense128", TELLING) == OF_OBJECTS["normal"]
    assert carried_over("objects256x7at56", TELLING) == OF_OBJECTS["low"]
    assert carried_over("objects256x7at56") == OF_WINDOWS["low"]


def test_the_smallest_object_becomes_a_cover():
    assert cover_for(24, 0.25) == "cover24r4.0"
    assert parse_looking(cover_for(24, 0.25)).passes(2000, 2000) > 500
    with pytest.raises(InputError, match="at least 1 pixel"):
        cover_for(0.2, 0.25)


def test_unknown_names_say_what_there_is():
    with pytest.raises(InputError, match="unknown regions 'objects'"):
        parse_looking("objects")


def test_a_tolerance_is_part_of_the_name():
    assert sparing("cc10", 8) == "cc10~8"
    assert parse_looking("cover24r4.0~8").passes(640, 480) == parse_looking("cover24r4.0").passes(
        640, 480
    )
    for way in ("low", "objects256x5", "dense128"):
        with pytest.raises(InputError, match="windows that are known beforehand"):
            sparing(way, 8)
    with pytest.raises(InputError, match="0 to 255"):
        sparing("cc10", 300)
    with pytest.raises(InputError, match="unknown regions"):
        parse_looking("objects256x5~8", TELLING)
