from itertools import pairwise

import numpy as np
import pytest

from finesight.collection import Collection
from finesight.encoders.capabilities import Capabilities
from finesight.errors import InputError
from finesight.proposals import REGISTRY, Proposals, parse_proposer, sparing
from finesight.proposals.geometry_proposer import GeometryProposer


class Finder:
    """Of a model that tells objects, as far as names are concerned."""


class Strips:
    """A proposer from outside the package: the whole image, and n strips from left to right."""

    def __init__(self, count):
        self.count = count

    def finest(self, width, height):
        return self.boxes()

    def boxes(self):
        edges = np.arange(self.count + 1) / self.count
        strips = [(x0, 0, x1, 1) for x0, x1 in pairwise(edges)]
        return np.array([(0, 0, 1, 1), *strips], np.float32)

    def propose(self, picture, preprocessing):
        return Proposals(self.boxes()), preprocessing.cut(picture.image, self.boxes())

    def forward_passes(self, width, height):
        return 1.0 + self.count


def build_strips(name, capabilities):
    count = name.removeprefix("strips")
    if not count.isdecimal() or capabilities.encoder is None:
        raise InputError(f"unknown regions {name!r}: use stripsN, with a model")
    return Strips(int(count))


def test_a_proposer_from_outside_the_package(monkeypatch, tmp_path, folder, color_model):
    monkeypatch.setitem(REGISTRY, "strips", build_strips)
    store = Collection.open(tmp_path / "store", color_model)
    with pytest.raises(InputError, match="use stripsN, with a model"):
        store.add([folder], regions="strips")
    assert store.add([folder], regions="strips5").indexed == 3
    hit = Collection.open(tmp_path / "store", color_model).search("blue")[0]
    # The spot is from 120 to 144 of 200 pixels: in the fourth strip.
    assert (hit.path.name, hit.box) == ("blue.png", pytest.approx((0.6, 0, 0.8, 1)))


def test_the_longest_beginning_counts(monkeypatch):
    monkeypatch.setitem(REGISTRY, "ccc", lambda name, capabilities: Strips(len(name)))
    assert parse_proposer("ccc9").count == 4
    assert isinstance(parse_proposer("cc9"), GeometryProposer)


def test_geometry_from_outside_the_package_takes_a_tolerance(monkeypatch):
    def thirds(width, height):
        return Strips(3).boxes()

    monkeypatch.setitem(REGISTRY, "thirds", lambda name, capabilities: GeometryProposer(thirds))
    proposer = parse_proposer("thirds~8")
    assert (proposer.tolerance, proposer.forward_passes(90, 60)) == (8.0, 4.0)


@pytest.mark.parametrize("name", ["objects", "closerx", "dense", "cc0", "grid2-paper", "", "x"])
def test_unknown_names_say_what_there_is(name):
    with pytest.raises(InputError, match=f"unknown regions '{name}': use full"):
        parse_proposer(name)


def test_a_tolerance_is_part_of_the_name():
    assert sparing("cc10", 8) == "cc10~8"
    assert parse_proposer("cover24r4.0~8").forward_passes(640, 480) == parse_proposer(
        "cover24r4.0"
    ).forward_passes(640, 480)
    for way in ("low", "objects256x5", "dense128", "detect:boxes.json"):
        with pytest.raises(InputError, match="windows that are known beforehand"):
            sparing(way, 8)
    with pytest.raises(InputError, match="0 to 255"):
        sparing("cc10", 300)
    for name in ("objects256x5~8", "normal~8", "cc10~8~8", "~8"):
        with pytest.raises(InputError, match="unknown regions"):
            parse_proposer(name, Capabilities(objects=Finder()))
