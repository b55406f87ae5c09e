import numpy as np
import pytest
from PIL import Image
from raw_files import dng

from finesight.images.open import decode_image
from finesight.images.raw import NoPreviewError, read_preview

pytest.importorskip("rawpy", reason="raw files need rawpy")


def preview():
    image = Image.new("RGB", (320, 200), (200, 30, 40))
    image.paste((20, 40, 220), (0, 0, 60, 60))
    return image


def test_the_preview_is_read(tmp_path):
    (tmp_path / "a.dng").write_bytes(dng(preview()))
    for source in (tmp_path / "a.dng", dng(preview())):
        image = decode_image(read_preview(source))
        assert image.size == (320, 200)
        assert np.abs(np.array(image.getpixel((10, 10))) - (20, 40, 220)).max() < 12


@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [(3, (320, 200), (310, 190)), (6, (200, 320), (190, 10)), (8, (200, 320), (10, 310))],
)
def test_the_preview_is_turned_as_the_camera_was(orientation, size, corner):
    image = decode_image(read_preview(dng(preview(), orientation)))
    assert image.size == size
    assert np.abs(np.array(image.getpixel(corner)) - (20, 40, 220)).max() < 12


@pytest.mark.parametrize("data", [b"", b"no raw file", dng(preview())[:300]])
def test_what_is_no_raw_file(data):
    with pytest.raises(NoPreviewError, match="raw file"):
        read_preview(data)


def test_raw_files_are_indexed_when_asked_for(tmp_path, color_model):
    from finesight.collection import Collection

    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.dng").write_bytes(dng(preview()))
    (tmp_path / "p" / "b.nef").write_bytes(dng(preview())[:300])
    store = Collection.open(tmp_path / "c", color_model)
    report = store.add([tmp_path / "p"], raw=True)
    assert (report.indexed, [s.path.name for s in report.skipped]) == (1, ["b.nef"])
    assert store.search("red", k=1)[0].path.name == "a.dng"
