import numpy as np
import pytest
from PIL import Image

from finesight.images import tiles
from finesight.images.open import ImageError, decode_image, read_header
from finesight.images.tiles import open_tiles

vips = pytest.importorskip("pyvips", reason="reading in tiles needs pyvips")


@pytest.fixture
def by_vips(monkeypatch):
    monkeypatch.setattr(tiles, "_AT_ONCE", 100)


def picture(mode, size=(150, 90)):
    noise = np.random.default_rng(0).integers(0, 256, (9, 15, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    if mode == "I;16":
        return Image.fromarray((np.asarray(image.convert("L")).astype(np.uint16)) * 257)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(size))
        return image
    return image.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "I;16", "CMYK", "1"])
@pytest.mark.parametrize("from_bytes", [False, True])
def test_tiles_are_those_of_the_decoded_image(tmp_path, by_vips, mode, from_bytes):
    path = tmp_path / "a.tif"
    picture(mode).save(path, compression="tiff_lzw" if mode != "1" else None)
    whole = np.asarray(decode_image(path)).astype(int)
    read = open_tiles(path.read_bytes() if from_bytes else path, (150, 90), 10**6)
    for box in ((0, 0, 150, 90), (140, 80, 150, 90), (3, 5, 60, 61)):
        tile = read(box)
        x0, y0, x1, y1 = box
        assert tile.mode == "RGB"
        difference = np.abs(np.asarray(tile).astype(int) - whole[y0:y1, x0:x1])
        assert difference.mean() < (30 if mode == "CMYK" else 1)  # libvips knows inks


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiles_are_upright(tmp_path, by_vips, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture("RGB").save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    whole = np.asarray(decode_image(tmp_path / "a.jpg")).astype(int)
    header = read_header(tmp_path / "a.jpg")
    read = open_tiles(tmp_path / "a.jpg", (header.width, header.height), 10**6)
    tile = np.asarray(read((20, 10, 70, 80))).astype(int)
    assert np.abs(tile - whole[10:80, 20:70]).mean() < 2


def test_a_truncated_file(tmp_path, by_vips):
    picture("RGB").save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    with pytest.raises(ImageError, match="damaged or truncated"):
        open_tiles(data[: len(data) // 2], (150, 90), 10**6)((0, 0, 150, 90))


def test_without_vips_pillow_reads_up_to_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(tiles, "reads_tiles", lambda: False)
    picture("RGB").save(tmp_path / "a.png")
    read = open_tiles(tmp_path / "a.png", (150, 90), 10**6)
    assert read((1, 2, 5, 9)).size == (4, 7)
    monkeypatch.setattr(tiles, "MAX_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"pip install 'finesight\[large\]'"):
        open_tiles(tmp_path / "a.png", (150, 90), 10**6)
