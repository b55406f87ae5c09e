"""Crops: windows in bounds, labels that are true, batches that repeat."""

import numpy as np
import pytest
from PIL import Image

from finesight.research.training.encoder.concepts import ABSENT, SHOWN, UNCLEAR, Concepts
from finesight.research.training.encoder.crops import (
    CropSampler,
    Scene,
    box_window,
    centered_window,
    cover_window,
    cut,
    edge_window,
    object_window,
)

CONCEPTS = Concepts(("square", "disc"), ("red", "blue"))
NOTHING, PART = 0, 1
RED_SQUARE = CONCEPTS.of(0, 0)
BLUE_DISC = CONCEPTS.of(1, 1)


def content(window, *objects):
    boxes = np.array([box for box, _ in objects], float).reshape(-1, 4)
    return CONCEPTS.content(np.array(window, float), boxes, [kind for _, kind in objects])


def test_the_concepts_of_an_object():
    said = [CONCEPTS.all[index] for index in BLUE_DISC]
    assert [(c.kind, c.class_name, c.color) for c in said] == [
        ("class", "disc", ""),
        ("color", "", "blue"),
        ("pair", "disc", "blue"),
    ]
    assert len(CONCEPTS) == 2 + 2 + 2 + 4


def test_content_by_hand():
    square = ((10, 10, 30, 30), RED_SQUARE)
    disc = ((80, 80, 100, 100), BLUE_DISC)
    both = content((0, 0, 100, 100), square, disc)
    assert (both[RED_SQUARE + BLUE_DISC] == SHOWN).all() and both.sum() == 6
    only = content((0, 0, 50, 50), square, disc)
    assert (only[RED_SQUARE] == SHOWN).all() and only.sum() == 3
    bare = content((40, 40, 70, 70), square, disc)
    assert bare[NOTHING] == SHOWN and bare.sum() == 1


@pytest.mark.parametrize(
    ("window", "square", "part"),
    [
        ((28, 0, 58, 30), ABSENT, SHOWN),  # a tenth of the object at the edge
        ((23, 0, 53, 30), UNCLEAR, SHOWN),  # a third of it
        ((15, 0, 45, 30), SHOWN, ABSENT),  # three quarters of it
        ((14, 14, 22, 22), ABSENT, SHOWN),  # a look at its surface
        ((0, 0, 200, 200), UNCLEAR, UNCLEAR),  # small
        ((0, 0, 640, 640), ABSENT, UNCLEAR),  # a speck
    ],
)
def test_objects_cut_and_small(window, square, part):
    found = content(window, ((10, 10, 30, 30), RED_SQUARE))
    assert (found[RED_SQUARE] == square).all()
    assert found[PART] == part
    assert found[NOTHING] != SHOWN


def test_a_shown_object_outweighs_an_unclear_one_of_its_class():
    found = content(
        (0, 0, 40, 40), ((5, 5, 20, 20), RED_SQUARE), ((33, 0, 53, 20), CONCEPTS.of(0, 1))
    )
    assert found[RED_SQUARE[0]] == SHOWN
    assert found[CONCEPTS.of(0, 1)[2]] == UNCLEAR
    assert found[BLUE_DISC[2]] == ABSENT


def test_content_does_not_depend_on_the_order_of_objects():
    rng = np.random.default_rng(0)
    for _ in range(50):
        corners = rng.uniform(0, 80, (3, 2))
        boxes = np.hstack([corners, corners + rng.uniform(3, 40, (3, 2))])
        objects = [(b, k) for b, k in zip(boxes, [RED_SQUARE, BLUE_DISC, RED_SQUARE], strict=True)]
        window = (20, 20, 70, 70)
        assert (content(window, *objects) == content(window, *objects[::-1])).all()


@pytest.mark.parametrize("place", [object_window, box_window, edge_window])
def test_windows_stay_within_their_limit(place):
    rng = np.random.default_rng(1)
    limit = np.array([100.0, 50, 260, 210])
    for _ in range(300):
        corner = rng.uniform(limit[:2], limit[2:] - 10)
        box = np.concatenate([corner, np.minimum(corner + rng.uniform(5, 150, 2), limit[2:])])
        window = place(box, limit, rng)
        assert (window[:2] >= limit[:2] - 1e-9).all() and (window[2:] <= limit[2:] + 1e-9).all()
        assert (window[2:] > window[:2]).all()


def test_cover_windows_have_the_image_s_proportions():
    rng = np.random.default_rng(2)
    for _ in range(100):
        window = cover_window((400, 200), rng)
        width, height = window[2:] - window[:2]
        assert width == pytest.approx(2 * height)
        assert (window >= 0).all() and (window <= [400, 200, 400, 200]).all()


def test_centered_window():
    window = centered_window(np.array([40.0, 45, 60, 55]), 0.5, np.array([0.0, 0, 100, 100]))
    assert window.tolist() == [30, 30, 70, 70]
    moved = centered_window(np.array([0.0, 0, 20, 20]), 0.5, np.array([0.0, 0, 100, 100]))
    assert moved.tolist() == [0, 0, 40, 40]


def test_a_cut_is_the_resize_that_looking_does():
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    image = Image.fromarray(noise).resize((600, 600), Image.Resampling.BICUBIC)
    window = np.array([10.5, 20, 400.5, 410])
    plain = np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC, box=tuple(window)))
    difference = np.abs(cut(image, window, 64).astype(int) - plain)
    assert difference.mean() < 1.5


@pytest.fixture
def sampler():
    image = Image.new("RGB", (200, 200), (120, 120, 120))
    image.paste((255, 0, 0), (20, 20, 60, 60))
    image.paste((0, 0, 255), (120, 110, 180, 170))
    boxes = np.array([[20.0, 20, 60, 60], [120, 110, 180, 170]])
    limits = np.tile([0.0, 0, 200, 200], (2, 1))
    scene = Scene(image, boxes, [RED_SQUARE, BLUE_DISC], limits, sheet=False)
    return CropSampler([scene], CONCEPTS, side=32, batch=64, seed=4)


def test_labels_agree_with_the_pixels(sampler):
    """Red and blue are in the pixels exactly when the content says so."""
    shown = 0
    for number in range(4):
        crops, content = sampler.batch(number)
        pixels = crops.astype(int)
        for channel, kind in ((0, RED_SQUARE), (2, BLUE_DISC)):
            others = pixels[..., [c for c in range(3) if c != channel]].max(-1)
            share = (pixels[..., channel] > others + 80).mean(axis=(1, 2))
            label = content[:, kind[2]]
            assert (share[label == SHOWN] > 0.008).all()
            assert (share[content[:, NOTHING] == SHOWN] < 0.02).all()
            shown += (label == SHOWN).sum()
    assert shown > 100


def test_batches_repeat_and_differ(sampler):
    first, again, other = sampler.batch(3), sampler.batch(3), sampler.batch(4)
    assert all((one == same).all() for one, same in zip(first, again, strict=True))
    assert (first[0] != other[0]).any()


def test_the_thread_draws_what_batch_draws(sampler):
    made_ahead = pytest.importorskip("finesight.research.training.run").made_ahead
    drawn = list(made_ahead(sampler.batch, range(2, 5), 4))
    assert len(drawn) == 3
    for number, (pixels, _) in enumerate(drawn, 2):
        assert (pixels == sampler.batch(number)[0]).all()


def test_an_error_while_drawing_reaches_the_reader(sampler, monkeypatch):
    made_ahead = pytest.importorskip("finesight.research.training.run").made_ahead

    def fail(number):
        raise ValueError("no more crops")

    monkeypatch.setattr(sampler, "batch", fail)
    with pytest.raises(ValueError, match="no more crops"):
        next(made_ahead(sampler.batch, range(2), 4))


def test_crops_of_a_sheet_stay_in_their_cell():
    """Two objects side by side on a sheet: no crop shows both."""
    boxes = np.array([[20.0, 20, 80, 80], [120, 20, 180, 80]])
    limits = np.array([[0.0, 0, 100, 100], [100, 0, 200, 100]])
    image = Image.new("RGB", (200, 100))
    sheet = Scene(image, boxes, [RED_SQUARE, BLUE_DISC], limits, sheet=True)
    _, content = CropSampler([sheet], CONCEPTS, side=8, batch=256, seed=0).batch(0)
    classes = content[:, [RED_SQUARE[0], BLUE_DISC[0]]]
    assert (classes == SHOWN).any(axis=0).all()
    assert not (classes != ABSENT).all(axis=1).any()
