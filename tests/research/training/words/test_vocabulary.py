"""Nouns are known by the classes that they name, stand for, or are kinds of."""

import pytest
from classifiers import LABELS

from finesight.errors import DataError
from finesight.research.training.words.vocabulary import build_vocabulary, place_classes, plurals
from finesight.research.training.words.wordnet import Taxonomy


@pytest.fixture
def taxonomy(taxonomy_folder):
    return Taxonomy.read(taxonomy_folder)


@pytest.mark.parametrize(
    ("noun", "classes"),
    [
        ("poodle", (0,)),
        ("poodle dog", (0,)),  # a synonym
        ("dog", (0, 1, 2)),  # what several classes are kinds of
        ("animal", (0, 1, 2, 3)),
        ("toy poodle", (0,)),  # a kind of a class
        ("puppy", (0, 1, 2)),  # a kind of a familiar animal
        ("crane", (3, 4)),  # two classes of one name
        ("machine", (4,)),
        ("poodles", (0,)),
        ("puppies", (0, 1, 2)),
        ("wire-haired terriers", (2,)),
        ("goose", ()),  # a kind of animal, which is not familiar
        ("wedding", ()),
    ],
)
def test_classes_of_a_noun(taxonomy, noun, classes):
    assert build_vocabulary(LABELS, taxonomy).classes(noun) == classes


def test_labels_are_ids_or_nouns(taxonomy):
    labels = ["poodle, poodle dog", "crane", "crane", "unheard-of thing", "n00000022", "n99999999"]
    places = ["00000021", "00000041", "00000030", None, "00000022", None]
    assert place_classes(labels, taxonomy) == places
    found = build_vocabulary(labels, taxonomy)
    assert found.unplaced == ("unheard-of thing", "n99999999")
    assert found.classes("unheard-of thing") == found.classes("unheard-of things") == (3,)


def test_a_taxonomy_of_other_things_is_refused(taxonomy):
    with pytest.raises(DataError, match="none of the classifier's 2 classes"):
        build_vocabulary(["screw", "bolt"], taxonomy)


def test_plurals():
    assert plurals("dog") == ["dogs"]
    assert plurals("traffic light") == ["traffic lights"]
    assert plurals("bus") == ["buses"] and plurals("bench") == ["benches"]
    assert plurals("puppy") == ["puppies"] and plurals("monkey") == ["monkeys"]
    assert plurals("goose", ("geese",)) == ["geese"]
