import pytest

from finesight.queries.grammar import MOST, take_apart


def parts(text):
    return [phrase.text for phrase in take_apart(text).phrases]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a woman in a white hat beside a black dog", ["woman in white hat", "black dog"]),
        ("blue airplane right of purple faucet", ["blue airplane", "purple faucet"]),
        ("red mug blue chair", ["red mug", "blue chair"]),
        (
            "a scene with a small red metal mug, a blue bed and a Gray sofa and nothing else",
            ["small red metal mug", "blue bed", "Gray sofa"],
        ),
        ("washing machine behind trash can", ["washing machine", "trash can"]),
        ("man holding a red balloon", ["man holding", "red balloon"]),
    ],
)
def test_several_things_are_taken_apart(text, expected):
    assert parts(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "red mug",
        "black and white dog",
        "a small, red mug",
        "a cup of coffee",
        "a dog in the snow",
        "white dog with leash running through water",
        "man wearing a red hat",
        "very worn brown boots",
        "striking red mug",
        "an asian or chinese female",
        "traffic light",
        "orange",
        "a N.Y. cap",
        "",
        "and",
        "no leash",
    ],
)
def test_what_one_region_shows_stays_whole(text):
    assert parts(text) == [text]


def test_relations_say_how_things_stand():
    assert take_apart("a cyan bench closer than a brown pillow").relations == ((0, "front", 1),)
    assert take_apart("a mug on top of a table, next to a lamp").relations[0] == (0, "on", 1)
    assert take_apart("a mug and a table").relations == ()


def test_what_must_not_be_there_is_unwanted():
    asked = take_apart("dog no leash sunset")
    assert [(p.text, p.wanted) for p in asked.phrases] == [
        ("dog", True),
        ("leash", False),
        ("sunset", True),
    ]
    assert take_apart("a boy without hat next to a red car").relations == ()


def test_attributes_are_known():
    assert take_apart("a small red mug and a chair").phrases[0].attributes == ("small", "red")


def test_a_list_that_is_too_long_stays_whole():
    text = ", ".join(f"thing{i}" for i in range(MOST + 1))
    assert parts(text) == [text]
