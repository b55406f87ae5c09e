import json
import shutil

import numpy as np
import pytest
from conftest import spotted
from typer.testing import CliRunner

from finesight.cli.app import app
from finesight.encoders import Preprocessing
from finesight.errors import DataError, InputError
from finesight.models import Model
from finesight.research.datasets.records import LabelledImage, LabelledObject
from finesight.research.training import features
from finesight.research.training.extraction import write_features
from finesight.research.training.features import open_features
from finesight.scoring.similarity import normalise


@pytest.fixture
def images(tmp_path):
    made = []
    for number in range(5):
        path = spotted(tmp_path / "set" / f"{number}.png", "red", spot=12 + number)
        box = (120 / 200, 100 / 160, (132 + number) / 200, (112 + number) / 160)
        made.append(LabelledImage(path, 200, 160, (LabelledObject("red", box, 0.01),) * number))
    return made


@pytest.fixture(autouse=True)
def two_images_a_shard(monkeypatch):
    monkeypatch.setattr("finesight.research.training.features.SHARD", 2)


def test_a_cache_holds_what_the_encoder_sees(images, color_model, tmp_path):
    cache = write_features(images, color_model, "cc2", tmp_path / "out")
    assert len(cache) == 5
    assert cache.ids == tuple(f"set/{number}.png" for number in range(5))
    assert cache.settings["fingerprint"] == color_model.fingerprint
    for seen in cache:
        assert seen.boxes.tolist()[0] == [0, 0, 1, 1]
        assert seen.embeddings.shape == (5, 4)
        assert seen.embeddings.dtype == np.float32
    reds = [seen.embeddings[:, 0] - seen.embeddings[:, 1] for seen in cache]
    assert all(red.argmax() == 4 for red in reds)  # the last window is where the spot is


def test_annotated_regions_are_the_whole_and_each_object_and_pad(images, color_model, tmp_path):
    cache = write_features(images, color_model, "annotated", tmp_path / "out")
    assert [len(seen.boxes) for seen in cache] == [1, 2, 3, 4, 5]
    embeddings, boxes, there = cache.padded([4, 0, 2])
    assert embeddings.shape == (3, 5, 4)
    assert there.sum(axis=1).tolist() == [5, 1, 3]
    assert np.array_equal(embeddings[2, :3], cache[2].embeddings)
    assert not embeddings[1, 1:].any()
    assert np.array_equal(boxes[0], cache[4].boxes)


def test_an_interrupted_run_goes_on_and_keeps_what_is_there(images, color_model, tmp_path):
    def stop(done):
        if done >= 4:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        write_features(images, color_model, "full", out, stop)
    with pytest.raises(InputError, match=r"not finished \(2 of 5"):
        open_features(out)
    (out / "shard-00001.new").mkdir()
    color_model.encoder.encoded = 0
    cache = write_features(images, color_model, "full", out)
    assert color_model.encoder.encoded == 3
    assert len(list(cache)) == 5
    assert not list(out.glob("*.new"))


def test_a_folder_of_something_else_is_not_touched(images, color_model, tmp_path):
    write_features(images, color_model, "full", tmp_path / "out")
    with pytest.raises(InputError, match="regions differ"):
        write_features(images, color_model, "cc2", tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(InputError, match="other things in it"):
        write_features(images, color_model, "full", tmp_path / "mine")
    with pytest.raises(InputError, match="unknown regions"):
        write_features(images, color_model, "cc", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_is_damaged_or_missing_is_named(images, color_model, tmp_path):
    with pytest.raises(InputError, match="holds no features"):
        open_features(tmp_path)
    out = tmp_path / "out"
    write_features(images, color_model, "full", out)
    (out / "shard-00001" / "boxes.npy").write_bytes(b"")
    with pytest.raises(DataError, match="shard-00001 is damaged"):
        open_features(out)
    shutil.rmtree(out / "shard-00001")
    images[2].path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2\.png: not an image"):
        write_features(images, color_model, "full", out)
    settings = json.loads((out / "features.json").read_text()) | {"version": 99}
    (out / "features.json").write_text(json.dumps(settings))
    with pytest.raises(DataError, match="update finesight"):
        open_features(out)


class WideEncoder:
    """Another space of another width: the mean of the channels, and zeros."""

    preprocessing = Preprocessing(8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    width = 6

    @property
    def replicas(self):
        return (self,)

    def encode_images(self, crops):
        means = crops.reshape(len(crops), -1, 3).mean(axis=1)
        return normalise(np.concatenate([means, np.ones((len(crops), 3))], axis=1))


@pytest.fixture
def wide_model():
    return Model("wide", "wide", WideEncoder(), "{}", "cc5", "w" * 16)


def test_regions_in_another_models_space(images, color_model, wide_model, tmp_path):
    plain = write_features(images, color_model, "annotated", tmp_path / "plain")
    assert plain.settings["version"] == 1
    out = tmp_path / "out"
    cache = write_features(images, color_model, "annotated", out, region_model=wide_model)
    alone = write_features(images, wide_model, "annotated", tmp_path / "alone")
    for index in range(5):
        assert cache[index].embeddings.shape == (index + 1, 6)
        assert np.array_equal(cache[index].embeddings, alone[index].embeddings)
    assert np.array_equal(cache.wholes([3, 0]), plain.wholes([3, 0]))
    assert np.array_equal(plain.wholes([3])[0], plain[3].embeddings[0])
    assert cache.padded([1, 4])[0].shape == (2, 5, 6)
    assert cache.settings["region_width"] == 6
    assert cache.settings["width"] == 4
    held = features.split_features(cache, 5)[1]
    assert np.array_equal(held.wholes([0]), plain.wholes([4]))
    assert np.array_equal(features.join_features([out, out]).wholes([5]), plain.wholes([0]))
    with pytest.raises(InputError, match=r"something else \(.*region_model"):
        write_features(images, color_model, "annotated", out)
    with pytest.raises(InputError, match="differ in their region_fingerprint"):
        features.join_features([out, tmp_path / "plain"])


def test_an_unknown_file_stops_boxes_from_a_file(images, color_model, tmp_path):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"images": [], "annotations": []}))
    with pytest.raises(DataError, match=r"0\.png: is not among the 0 images of .*boxes\.json"):
        write_features(images, color_model, f"detect:{boxes}", tmp_path / "out")


def test_a_fusion_of_one_space_refuses_regions_of_another(
    images, color_model, wide_model, tmp_path
):
    write_features(images, color_model, "cc2", tmp_path / "f", region_model=wide_model)
    given = ["train", "fusion", "--features", tmp_path / "f", "--model", "mini"]
    result = CliRunner().invoke(app, [*map(str, given), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, InputError)
    assert "regions in the space of wide" in str(result.exception)
