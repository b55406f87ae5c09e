import json
import math

import pytest

from finesight.research.evaluation.scale import FILLS, Scale, format_scale
from finesight.research.table import beside, format_table, to_json, without_nan


def test_columns_are_as_wide_as_they_need_and_as_they_are_told():
    rows = [("whole image", 20.35, None, 7), (), ("regions", 141.0, "x", 12345)]
    assert format_table(("", "R@1", "paper", "n"), rows).splitlines() == [
        "               R@1  paper      n",
        "whole image   20.4      -      7",
        "",
        "regions      141.0      x  12345",
    ]
    wide = format_table(("", "R@1", "paper", "n"), rows, (14, 8), gap=1).splitlines()
    assert wide[1] == "whole image" + "20.4".rjust(3 + 8) + "-".rjust(8) + "7".rjust(8)
    assert len({len(line) for line in wide if line}) == 1


def test_a_name_longer_than_its_column_leaves_the_others_aligned():
    lines = format_table(("", "a"), [("x" * 30, 1.0), ("y", 2.0)], (10, 5)).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_the_papers_figure_stands_in_brackets_or_leaves_its_room():
    assert beside(20.0, 3.18) == "20.0 [ 3.18]"
    assert len(beside(20.0, None)) == len(beside(20.0, 41.78)) == 12


def test_what_is_no_number_is_null_in_json():
    found = {"named": {"0.9": 1.0, "0.1": math.nan}, "r": (0.5, math.nan), "kept": True, "n": 3}
    assert json.loads(to_json([found])) == [
        {"named": {"0.9": 1.0, "0.1": None}, "r": [0.5, None], "kept": True, "n": 3}
    ]
    assert without_nan("nan") == "nan"


@pytest.mark.parametrize("counts", [(100, 9), (5, 0)])
def test_fills_without_an_object_are_empty_lines_of_the_scale(counts):
    named = (0.5,) * 8 + ((0.25 if counts[1] else math.nan),)
    objects = (counts[0],) * 8 + (counts[1],)
    lines = format_scale(Scale(named, objects, 0.3)).splitlines()
    assert len(lines) == len(FILLS) + 2
    assert lines[1].split() == ["0.9", "50.0", "%", f"({counts[0]})"]
    assert lines[9].split() == (["0.1", "25.0", "%", "(9)"] if counts[1] else ["0.1"])
