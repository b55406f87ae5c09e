import numpy as np
import pytest
from conftest import spotted
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from finesight.errors import InputError
from finesight.indexing import duplicates
from finesight.indexing.duplicates import pairs_above


def named(groups):
    return [(group.kind, sorted(path.name for path in group.paths)) for group in groups]


@pytest.fixture
def pictures(folder):
    (folder / "red-copy.png").write_bytes((folder / "red.png").read_bytes())
    Image.open(folder / "green.png").save(folder / "green.bmp")
    spotted(folder / "red-larger.png", "red", spot=25)
    return folder


def test_the_same_bytes_and_the_same_pixels(pictures, store):
    store.add([pictures])
    assert named(store.duplicates(near=None)) == [
        ("bytes", ["red-copy.png", "red.png"]),
        ("pixels", ["green.bmp", "green.png"]),
    ]


def test_nearly_the_same(pictures, store):
    store.add([pictures])
    (group,) = store.duplicates(near=0.9999)[2:]
    # Of the two that hold the same bytes, one is compared.
    assert {path.name for path in group.paths} - {"red.png", "red-copy.png"} == {"red-larger.png"}
    assert (len(group.paths), group.kind) == (2, "near")
    assert 0.9999 <= group.similarity <= 1
    assert named(store.duplicates(near=0.5))[2][1] == sorted(
        ["blue.png", "green.bmp", "red-copy.png", "red-larger.png"]
    )


def test_copies_beside_the_same_pixels(pictures, store):
    (pictures / "green2.png").write_bytes((pictures / "green.png").read_bytes())
    store.add([pictures])
    found = dict(named(store.duplicates(near=None)))
    assert found["pixels"] == ["green.bmp", "green.png"]  # one for each content


def test_a_pixel_that_the_model_does_not_see(pictures, store):
    """What looks the same to the model is read again; a file that is gone equals no other."""
    image = Image.open(pictures / "green.png").convert("RGB")
    image = image.resize((640, 640))
    image.save(pictures / "large.png")
    image.save(pictures / "large.bmp")
    image.putpixel((5, 5), tuple((c + 9) % 256 for c in image.getpixel((5, 5))))
    image.save(pictures / "other.png")
    image.save(pictures / "other.bmp")
    store.add([pictures])
    rows = store.table().read(["path", "pixels"]).to_pydict()
    names = ("large.png", "large.bmp", "other.png", "other.bmp")
    seen = {key for path, key in zip(*rows.values(), strict=True) if path.endswith(names)}
    assert len(seen) == 1  # so it was worth a test
    told: list[tuple[int, int]] = []
    groups = store.duplicates(None, lambda done, total: told.append((done, total)))
    found = [names for kind, names in named(groups) if kind == "pixels"]
    assert sorted(found) == [
        ["green.bmp", "green.png"],
        ["large.bmp", "large.png"],
        ["other.bmp", "other.png"],
    ]
    assert told == [(i, 6) for i in range(1, 7)]
    (pictures / "large.png").unlink()
    found = [names for kind, names in named(store.duplicates(None)) if kind == "pixels"]
    assert sorted(found) == [["green.bmp", "green.png"], ["other.bmp", "other.png"]]


def test_nothing_twice(folder, store):
    store.add([folder])
    assert store.duplicates(near=0.999999) == []
    with pytest.raises(InputError, match="cosine"):
        store.duplicates(near=0)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.floats(-0.9, 0.99))
def test_pairs_in_blocks_are_those_of_the_whole_matrix(count, block, least):
    vectors = np.random.default_rng(count).normal(size=(count, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(duplicates, "_ROWS", block)
        found = {(i, j) for i, j, _ in pairs_above(vectors, least)}
    cosines = vectors.astype(np.float32) @ vectors.astype(np.float32).T
    sure = {(i, j) for i in range(count) for j in range(i + 1, count) if cosines[i, j] > least}
    assert {p for p in found ^ sure if abs(cosines[p] - least) > 1e-5} == set()
