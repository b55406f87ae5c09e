import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import COLORS, spotted

from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet
from finesight.research.evaluation.class_prompts import (
    KS,
    METHODS,
    SUBSETS,
    evaluate_class_prompts,
    format_class_prompts,
    largest_shares,
    square_around,
)
from finesight.research.table import to_json


@pytest.fixture
def scenes(tmp_path):
    """Six scenes, two of each colour: one spot above 1 % of the image, one below."""
    images = []
    for color in COLORS:
        for spot in (12, 30):
            path = spotted(tmp_path / f"{color}{spot}.png", color, spot=spot)
            box = (120 / 200, 100 / 160, (120 + spot) / 200, (100 + spot) / 160)
            thing = LabelledObject(color, box, spot**2 / (200 * 160))
            images.append(LabelledImage(path, 200, 160, (thing,)))
    return LabelledSet(tuple(COLORS), images)


def test_the_table_is_complete_and_the_true_boxes_find_all(scenes, color_model):
    rows = evaluate_class_prompts(scenes, color_model)
    assert len(rows) == len(METHODS) * len(SUBSETS) * len(KS)
    found = {(r.method, r.subset, r.k): r.recall for r in rows}
    assert found["boxes-max", "all", 1] == 1
    assert found["cc10-max", "<1%", 1] == 1
    assert np.isnan(found["full", ">5%", 1])
    assert json.loads(to_json([row.plain() for row in rows]))
    assert "20.35" in format_class_prompts(rows)


def test_shares_take_the_largest_instance(scenes):
    shares = largest_shares(scenes)
    assert shares[0].tolist() == [144 / 32000, 900 / 32000, 0, 0, 0, 0]


def test_images_with_a_class_as_distractor_are_neither_relevant_nor_in_the_gallery(
    scenes, color_model
):
    distracting = replace(scenes.images[0].objects[0], role="distractor")
    first = replace(scenes.images[0], objects=(distracting,))
    others = replace(scenes, images=(first, *scenes.images[1:]))
    assert largest_shares(others)[0].tolist() == [0, 900 / 32000, 0, 0, 0, 0]
    found = {
        (r.method, r.subset, r.k): r.recall for r in evaluate_class_prompts(others, color_model)
    }
    assert found["cc10-max", "all", 1] == 1  # as one of the class, it would take the first place


@pytest.mark.parametrize("box", [(0.0, 0.0, 0.1, 0.1), (0.8, 0.9, 1.0, 1.0), (0.4, 0.4, 0.5, 0.6)])
def test_squares_stay_inside_and_hold_the_box(box):
    x0, y0, x1, y1 = square_around(box, 400, 200)
    assert 0 <= x0 <= box[0] and box[2] <= x1 <= 1
    assert 0 <= y0 <= box[1] and box[3] <= y1 <= 1
    side = 1.12 * max((box[2] - box[0]) * 400, (box[3] - box[1]) * 200)
    assert (x1 - x0) * 400 == pytest.approx(side)
    assert (y1 - y0) * 200 == pytest.approx(side)


def test_a_box_wider_than_the_image_is_high():
    assert square_around((0.0, 0.0, 1.0, 1.0), 400, 200) == (0.0, 0.0, 1.0, 1.0)


def test_only_images_in_which_a_class_was_looked_for_are_ranked_where_asked(scenes, color_model):
    """Another red spot that nobody labelled ranks before a labelled one, unless it is left out."""
    path = scenes.images[0].path.with_name("unlabelled.png")
    unlabelled = LabelledImage(spotted(path, "red", spot=60), 200, 160, (), frozenset({"blue"}))
    found = replace(scenes, images=[*scenes.images, unlabelled])
    for verified in (False, True):
        rows = evaluate_class_prompts(found, color_model, verified=verified)
        recall = {(row.method, row.subset, row.k): row.recall for row in rows}
        assert (recall["full", "all", 1] == 1) is verified
