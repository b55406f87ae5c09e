import re

import pytest

from finesight.errors import InputError
from finesight.queries import Filters
from finesight.store.conditions import path_condition


def matches(glob, path, root):
    expression = re.fullmatch(r"regexp_like\(path, '(.*)'\)", path_condition(glob, root))[1]
    return re.search(expression.replace("''", "'"), path) is not None


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.jpg", "/a/b/c.jpg", True),
        ("*.jpg", "/a/b/c.jpg.png", False),
        ("*.jpg", "/a.jpg/c.png", True),  # all that is in a folder that matches
        ("holiday", "/a/holiday/b/c.jpg", True),
        ("holiday/", "/a/holiday/b/c.jpg", True),
        ("holiday", "/a/holidays/c.jpg", False),
        ("holiday/*.jpg", "/a/holiday/b/c.jpg", False),
        ("holiday/**/*.jpg", "/a/holiday/b/d/c.jpg", True),
        ("holiday/**/*.jpg", "/a/holiday/c.jpg", True),
        ("/a/*.jpg", "/a/c.jpg", True),
        ("/a/*.jpg", "/b/a/c.jpg", False),
        ("c?.jpg", "/a/c1.jpg", True),
        ("c[12].jpg", "/a/c3.jpg", False),
        ("c[!12].jpg", "/a/c3.jpg", True),
        ("x'y (1).png", "/a/x'y (1).png", True),
        ("a.b", "/axb", False),
        ("pics/*.jpg", r"C:\pics\c.jpg", True),
    ],
)
def test_globs(glob, path, expected):
    root = "C:\\" if path.startswith("C:") else "/"
    assert matches(glob, path, root) is expected


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("home", False),  # lies above the root
        ("me/*.jpg", False),
        ("2024", True),
        ("/2024/**", True),
        ("/home/me/pics/2024/*.jpg", True),  # a whole path
        ("/beach.jpg", False),
    ],
)
def test_globs_are_meant_below_the_root(glob, expected):
    assert matches(glob, "/home/me/pics/2024/beach.jpg", "/home/me/pics") is expected


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"shape": "round"}, "shape is one of landscape, portrait, square, got 'round'"),
        ({"min_width": 0}, "min_width is at least 1 pixel"),
        ({"min_height": 9, "max_height": 8}, "no image has a height from 9 to 8"),
        ({"taken_from": "June"}, "taken_from is a day such as 2024-06-01, got 'June'"),
        ({"taken_from": "2024-06-02", "taken_to": "2024-06-01"}, "no day lies between"),
        ({"camera": " "}, "camera is empty"),
    ],
)
def test_filters_that_make_no_sense(filters, message):
    with pytest.raises(InputError, match=message):
        Filters(**filters)


@pytest.mark.parametrize("glob", ["", " ", "/"])
def test_an_empty_glob(glob):
    with pytest.raises(InputError, match="empty"):
        Filters(path=glob)
