import json

import numpy as np
import pytest
from PIL import Image

from finesight.encoders import Preprocessing
from finesight.errors import DataError
from finesight.regions import complete_cover

PLAIN = Preprocessing(32, (0.5, 0.4, 0.3), (0.2, 0.25, 0.5))


def picture(width, height):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(640, 640), (1001, 333), (33, 700)])
def test_the_pyramid_gives_what_a_direct_resize_gives(size):
    image = picture(*size)
    boxes = complete_cover(*size, 10)
    crops = PLAIN.cut(image, boxes).astype(int)
    scale = np.array(size * 2)
    for crop, box in zip(crops, boxes.astype(float) * scale, strict=True):
        direct = image.resize((32, 32), Image.Resampling.BICUBIC, box=tuple(np.minimum(box, scale)))
        assert np.abs(crop - np.asarray(direct, int)).mean() < 2


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 50)])
def test_tiny_images_and_boxes_below_a_pixel(size):
    crops = PLAIN.cut(Image.new("RGB", size, (9, 8, 7)), complete_cover(*size, 10))
    assert crops.shape == (166, 32, 32, 3)
    assert (crops == [9, 8, 7]).all()


def test_nothing_is_cropped_from_a_wide_image():
    image = Image.new("RGB", (300, 60))
    image.paste((255, 0, 0), (0, 0, 10, 60))
    image.paste((0, 0, 255), (290, 0, 300, 60))
    whole = PLAIN.cut(image, np.array([[0, 0, 1, 1]], np.float32))[0]
    assert whole[16, 0, 0] > 200
    assert whole[16, -1, 2] > 200


def test_the_tensor_is_scaled_and_normalised():
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    expected = (crops / 255 - np.array(PLAIN.mean)) / np.array(PLAIN.std)
    tensor = PLAIN.tensor(crops)
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
