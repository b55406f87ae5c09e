import json

import numpy as np
import pytest
from PIL import Image

from finesight.encoders import Preprocessing
from finesight.errors import DataError
from finesight.proposals.geometry import complete_cover

NO_MODEL = Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.5))


def picture(width, height):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(640, 640), (1001, 333), (33, 700)])
def test_the_pyramid_gives_what_a_direct_resize_gives(size):
    image = picture(*size)
    boxes = complete_cover(*size, 10)
    crops = NO_MODEL.cut(image, boxes).astype(int)
    scale = np.array(size * 2)
    for crop, box in zip(crops, boxes.astype(float) * scale, strict=True):
        direct = image.resize((32, 32), Image.Resampling.BICUBIC, box=tuple(np.minimum(box, scale)))
        assert np.abs(crop - np.asarray(direct, int)).mean() < 2


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 50)])
def test_tiny_images_and_boxes_below_a_pixel(size):
    crops = NO_MODEL.cut(Image.new("RGB", size, (9, 8, 7)), complete_cover(*size, 10))
    assert crops.shape == (166, 32, 32, 3)
    assert (crops == [9, 8, 7]).all()


def test_nothing_is_cropped_from_a_wide_image():
    image = Image.new("RGB", (300, 60))
    image.paste((255, 0, 0), (0, 0, 10, 60))
    image.paste((0, 0, 255), (290, 0, 300, 60))
    whole = NO_MODEL.cut(image, np.array([[0, 0, 1, 1]], np.float32))[0]
    assert whole[16, 0, 0] > 200
    assert whole[16, -1, 2] > 200


def test_the_tensor_is_scaled_and_normalised():
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    expected = (crops / 255 - np.array(NO_MODEL.mean)) / np.array(NO_MODEL.std)
    tensor = NO_MODEL.tensor(crops)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor, expected.transpose(0, 3, 1, 2), atol=1e-5)


def test_reading_a_configuration(tmp_path):
    path = tmp_path / "preprocessor_config.json"
    config = {"size": {"shortest_edge": 224}, "crop_size": {"height": 200, "width": 200}}
    config |= {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1], "resample": 2}
    path.write_text(json.dumps(config))
    read = Preprocessing.read(path)
    assert (read.side, read.mean, read.resample) == (200, (0.1, 0.2, 0.3), 2)


@pytest.mark.parametrize("text", ["", "[]", '{"size": 3}', '{"size": {"height": 3}}'])
def test_a_damaged_configuration(tmp_path, text):
    path = tmp_path / "preprocessor_config.json"
    path.write_text(text)
    with pytest.raises(DataError, match="again"):
        Preprocessing.read(path)


SIZES = [(640, 480), (333, 500), (64, 64), (40, 90)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_pixels_are_those_of_the_models_own_processor(kind, size, tmp_path):
    transformers = pytest.importorskip("transformers")
    if kind == "clip":
        sides = {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}}
        reference = transformers.CLIPImageProcessorPil(**sides)
    else:
        reference = transformers.SiglipImageProcessorPil(size={"height": 64, "width": 64})
    reference.save_pretrained(tmp_path)
    fit = "crop" if kind == "clip" else "squash"
    ours = Preprocessing.read(tmp_path / "preprocessor_config.json", fit)
    image = picture(*size)
    theirs = reference(images=image, return_tensors="np")["pixel_values"][0]
    crops = ours.cut(image, np.array([[0, 0, 1, 1]], np.float32))
    # In the units of a pixel: the processors' own scale is 1 / std.
    difference = np.abs(ours.tensor(crops)[0] - theirs) * np.array(ours.std)[:, None, None]
    if min(size) < 256:
        assert difference.max() <= 1 / 255 + 1e-6
    else:  # large images pass through the pyramid
        assert difference.mean() <= 1 / 255


def test_padding_shows_all_of_a_wide_image_between_bars():
    image = Image.new("RGB", (100, 50), (255, 0, 0))
    padded = Preprocessing(32, (0.5,) * 3, (0.5,) * 3, fit="pad").cut(
        image, np.array([[0, 0, 1, 1]])
    )[0]
    assert (padded[8:24] == [255, 0, 0]).all()
    assert (padded[:8] == 128).all() and (padded[24:] == 128).all()


def test_other_scales_than_1_255(tmp_path):
    path = tmp_path / "preprocessor_config.json"
    config = {"size": {"height": 8, "width": 8}, "do_normalize": False, "do_center_crop": False}
    config |= {"rescale_factor": 1 / 127.5, "rescale_offset": True}
    path.write_text(json.dumps(config))
    black, white = Preprocessing.read(path).tensor(
        np.stack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)])
    )
    np.testing.assert_allclose(black, -1, atol=1e-6)
    np.testing.assert_allclose(white, 1, atol=1e-6)


def test_an_unknown_fit_and_a_size_that_is_not_square(tmp_path):
    path = tmp_path / "preprocessor_config.json"
    config = {"size": {"height": 8, "width": 16}, "image_mean": [0] * 3, "image_std": [1] * 3}
    path.write_text(json.dumps(config))
    with pytest.raises(DataError, match="squash, pad, crop"):
        Preprocessing.read(path, "stretch")
    with pytest.raises(DataError, match="16 x 8 pixels, not square"):
        Preprocessing.read(path)


@pytest.mark.parametrize(
    ("size", "scheme", "shrink"),
    [
        ((2000, 1500), 1, 8),
        ((600, 600), 1, 8),
        ((500, 500), 1, 8),
        ((380, 380), 1, 4),
        ((2000, 1500), 10, 2),
        ((99, 99), 10, 1),
    ],
)
def test_images_are_decoded_no_smaller_than_the_smallest_region_needs(size, scheme, shrink):
    boxes = complete_cover(*size, scheme)
    assert NO_MODEL.shrink(size, boxes) == shrink
    smallest = ((boxes[:, 2:] - boxes[:, :2]) * size).min() / shrink
    assert shrink == 1 or smallest >= 1.5 * 32 - 1e-3
