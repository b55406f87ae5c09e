import math

import numpy as np
import pytest
from PIL import Image

from finesight.errors import InputError
from finesight.research.datasets.records import LabelledImage, LabelledObject, LabelledSet
from finesight.research.evaluation.scale import FILLS, effective_scale, smallest_kept


def square(path, color, side, size=200):
    image = Image.new("RGB", (size, size), (0, 0, 0))
    low = (size - side) // 2
    image.paste(color, (low, low, low + side, low + side))
    image.save(path)
    box = (low / size, low / size, (low + side) / size, (low + side) / size)
    return box


def dataset(tmp_path, side):
    images = []
    for name, color in (("red", (220, 20, 20)), ("green", (20, 200, 20))):
        path = tmp_path / f"{name}.png"
        box = square(path, color, side)
        images.append(LabelledImage(path, 200, 200, [LabelledObject(name, box, 0.01)]))
    return LabelledSet(("red", "green", "blue"), images)


def test_an_encoder_of_mean_colours_names_a_thing_at_any_size(tmp_path, color_model):
    found = effective_scale(dataset(tmp_path, 40), color_model)
    # 40 of 200 pixels: crops that it fills by less than 0.2 would leave the image.
    assert [count for count in found.objects] == [2, 2, 2, 2, 2, 2, 2, 0, 0]
    assert found.named[:7] == (1.0,) * 7
    assert math.isnan(found.named[7])
    assert found.effective == FILLS[6]


def test_crops_that_hold_a_second_object_do_not_count(tmp_path, color_model):
    path = tmp_path / "two.png"
    box = square(path, (220, 20, 20), 20)
    beside = (box[2] + 0.05, box[1], box[2] + 0.1, box[3])
    things = [LabelledObject("red", box, 0.01), LabelledObject("green", beside, 0.01, "distractor")]
    found = effective_scale(
        LabelledSet(("red", "green"), [LabelledImage(path, 200, 200, things)]), color_model
    )
    assert found.objects[0] == 1
    assert found.objects[3] == 0


def test_the_scale_ends_where_half_is_lost():
    assert smallest_kept((0.9, 0.5, 0.3), (0.8, 0.4, 0.39)) == 0.5
    assert smallest_kept((0.9, 0.5, 0.3), (0.8, np.nan, 0.8)) == 0.9


def test_a_set_without_large_enough_objects_is_refused(tmp_path, color_model):
    with pytest.raises(InputError, match="no object is alone and large enough"):
        effective_scale(dataset(tmp_path, 4), color_model)
