import pytest

from finesight.encoders.capabilities import Capabilities
from finesight.errors import InputError
from finesight.proposals import EFFORTS, parse_proposer, resolve_effort
from finesight.proposals.registry import WITH_FINDER, WITHOUT_FINDER, carried_over


class Finder:
    """Of a model that tells objects, as far as names are concerned."""


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


def test_another_model_takes_the_same_effort():
    assert carried_over(WITH_FINDER["high"]) == WITHOUT_FINDER["high"]
    assert carried_over("objects200x3") == WITHOUT_FINDER["normal"]
    assert carried_over(WITH_FINDER["high"], TELLING) == WITH_FINDER["high"]
    assert carried_over("cc3", TELLING) == "cc3"
    assert carried_over("dense128", TELLING) == WITH_FINDER["normal"]
    assert carried_over("objects256x7at56", TELLING) == WITH_FINDER["low"]
    assert carried_over("objects256x7at56") == WITHOUT_FINDER["low"]
