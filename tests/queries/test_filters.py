import re

import pytest

from finesight.errors import InputError
from finesight.queries import path_condition


def matches(glob, path):
    expression = re.fullmatch(r"regexp_like\(path, '(.*)'\)", path_condition(glob))[1]
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
    assert matches(glob, path) is expected


@pytest.mark.parametrize("glob", ["", " ", "/"])
def test_an_empty_glob(glob):
    with pytest.raises(InputError, match="empty"):
        path_condition(glob)
