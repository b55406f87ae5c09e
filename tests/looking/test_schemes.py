import pytest
from PIL import Image

from finesight.errors import InputError
from finesight.looking.schemes import (
    EFFORTS,
    OF_OBJECTS,
    OF_WINDOWS,
    carried_over,
    cover_for,
    parse_looking,
    resolve_effort,
)


class Telling:
    """A model that tells objects, as far as names are concerned."""

    tells_objects = True


def test_efforts_without_objects_are_small_covers():
    passes = [parse_looking(effort).passes(640, 480) for effort in EFFORTS]
    assert passes == [5, 14, 30]
    assert [resolve_effort(effort, None) for effort in EFFORTS] == list(OF_WINDOWS.values())
    assert [resolve_effort(effort, Telling()) for effort in EFFORTS] == list(OF_OBJECTS.values())
    assert resolve_effort("cc7", Telling()) == "cc7"


def test_a_fixed_scheme_goes_by_the_size_of_the_file():
    looking = parse_looking("cover40r4")
    decoded_smaller = Image.new("RGB", (250, 250))
    windows = looking.windows(decoded_smaller, (1000, 1000))
    assert len(windows) == len(looking.finest(1000, 1000)) == looking.passes(1000, 1000)
    assert len(windows) > len(looking.windows(decoded_smaller))


def test_another_model_takes_the_same_effort():
    assert carried_over(OF_OBJECTS["high"], None) == OF_WINDOWS["high"]
    assert carried_over("objects200x3", None) == OF_WINDOWS["normal"]
    assert carried_over(OF_OBJECTS["high"], Telling()) == OF_OBJECTS["high"]
    assert carried_over("cc3", Telling()) == "cc3"


def test_the_smallest_object_becomes_a_cover():
    assert cover_for(24, 0.25) == "cover24r4.0"
    assert parse_looking(cover_for(24, 0.25)).passes(2000, 2000) > 500
    with pytest.raises(InputError, match="at least 1 pixel"):
        cover_for(0.2, 0.25)


def test_unknown_names_say_what_there_is():
    with pytest.raises(InputError, match="unknown regions 'objects'"):
        parse_looking("objects")
