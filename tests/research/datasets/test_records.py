import numpy as np
import pytest

from finesight.errors import DataError
from finesight.research.datasets.records import CaptionSet


def made(images=("a.jpg", "b.jpg"), captions=("a mug", "a car", "a cup"), owner=(0, 1, 0), **more):
    return CaptionSet("cups", tuple(images), tuple(captions), np.array(owner, np.int64), **more)


def test_what_a_caption_is_true_of():
    found = made(more=np.array([[1, 2]], np.int64)).relevant()
    assert found.tolist() == [[True, False, True], [False, True, True]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": ("a.jpg", "a.jpg")}, "cups names the image a.jpg more than once"),
        ({"images": ()}, "0 images and 3 captions"),
        ({"owner": (0, 1)}, "3 captions need an int64 owner each"),
        ({"owner": (0, 1, 2)}, "owner 2 is not among the 2"),
        ({"owner": (0, -1, 0)}, "owner -1 is not among the 2"),
        ({"captions": ("a mug", " ", "a cup")}, r"caption 1, of b\.jpg, is empty"),
        ({"more": np.array([[0, 3]])}, "true caption 3 is not among the 3"),
        ({"more": np.array([[2, 0]])}, "true image 2 is not among the 2"),
        ({"more": np.array([0, 1])}, r"\(m, 2\)"),
    ],
)
def test_records_that_do_not_belong_together_are_refused(change, says):
    with pytest.raises(DataError, match=says):
        made(**change)
