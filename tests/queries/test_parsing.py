from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from finesight.errors import InputError
from finesight.queries import checked, parse_part, parse_query, part_name
from finesight.types import Part, Query


def test_the_words_of_a_part_need_no_quotes():
    assert parse_query(["red", "mug"]) == parse_query("red mug") == Query((Part(text="red mug"),))


def test_parts_of_both_kinds_with_signs_weights_and_a_box():
    expected = Query(
        (
            Part(text="red mug", weight=2),
            Part(image=Path("a b.JPG"), box=(0, 0.25, 0.5, 1)),
            Part(text="table", weight=-0.5),
        )
    )
    arguments = ["2:red mug", "+", "a b.JPG@0,.25,.5,1", "-", "0.5:table"]
    assert parse_query(arguments) == expected
    assert parse_query('2:"red mug" + "a b.JPG"@0,.25,.5,1 - .5:table') == expected


def test_a_query_may_begin_with_what_it_takes_away():
    assert [part.weight for part in parse_query("- table + mug").parts] == [-1, 1]


def test_an_argument_is_never_split_and_quotes_keep_a_text_whole():
    assert parse_query(["nuts + bolts"]).parts == (Part(text="nuts + bolts"),)
    assert parse_query('"nuts + bolts" - rust').parts[0] == Part(text="nuts + bolts")
    assert parse_query("dog's bowl").parts == (Part(text="dog's bowl"),)
    assert parse_query("wide-angle c++").parts == (Part(text="wide-angle c++"),)


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("mug", Part(text="mug")),
        ("me@home", Part(text="me@home")),
        ("me@home, 1,2,3", Part(text="me@home, 1,2,3")),
        ("text:photo.jpg", Part(text="photo.jpg")),
        ("text:10:30 clock", Part(text="10:30 clock")),
        ("2:text:3:4", Part(text="3:4", weight=2)),
        ("image:scan", Part(image=Path("scan"))),
        ("image:scan@1,2,30,40", Part(image=Path("scan"), box=(1, 2, 30, 40))),
        ("me@home.png@0,0,1,1", Part(image=Path("me@home.png"), box=(0, 0, 1, 1))),
        (".5:x.webp", Part(image=Path("x.webp"), weight=0.5)),
    ],
)
def test_one_part(typed, part):
    assert parse_part(typed) == part


def test_home_is_found():
    assert parse_part("~/x.png").image == Path.home() / "x.png"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("text:", "empty"),
        ("2:text: ", "empty"),
        ("mug +", "missing"),
        ("mug + - table", "missing"),
        ("- table", "only takes away"),
        ("0:mug", "weight 0"),
        ('red "mug', "not closed"),
        ("a.jpg@1,2,3", "four numbers"),
        ("a.jpg@1,2,3,x", "four numbers"),
        ("a.jpg@0.5,0,0.5,1", "x0 < x1"),
        ("a.jpg@0,0,1,nan", "x0 < x1"),
        ("a.jpg@-1,0,1,1", "nothing below 0"),
    ],
)
def test_what_cannot_be_asked(typed, message):
    with pytest.raises(InputError, match=message):
        parse_query(typed)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Part(), "a text, an image or near"),
        (Part(text="a", near=Path("b")), "a text, an image or near"),
        (Part(text="a", box=(0, 0, 1, 1)), "only an image"),
        (Part(text="a", weight=float("nan")), "weight nan"),
        (Part(text="a", weight=0), "weight 0"),
        (Part(image=Path("a"), box=(1, 0, 0, 1)), "x0 < x1"),
    ],
)
def test_queries_made_by_programs_are_checked_too(part, message):
    with pytest.raises(InputError, match=message):
        checked(Query((part,)))


def test_names():
    assert part_name(Part(text="red mug")) == "red mug"
    assert part_name(Part(image=Path("/x/a.jpg"), box=(0, 0, 0.5, 1))) == "a.jpg@0,0,0.5,1"
    assert part_name(Part(image=Image.new("RGB", (1, 1)))) == "image"
    assert part_name(Part(near=Path("/x/a.jpg"))) == "near a.jpg"


@given(st.text())
def test_whatever_is_typed_is_a_query_or_an_explained_error(typed):
    try:
        assert parse_query(typed).parts
    except InputError as error:
        assert str(error)
