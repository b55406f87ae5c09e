"""A collection that meets a model whose parts differ says so or follows, and never mixes."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from conftest import ColorEncoder, spotted

from finesight.boxes import ScoredBoxes
from finesight.collection import Collection
from finesight.errors import InputError
from finesight.indexing.up_to_date import regions_name
from finesight.store.calibration import calibration_file
from finesight.types import ModelIdentity


class OneBox:
    """A finder that finds the same box in every image."""

    def __init__(self, version, box):
        self.version, self.box = version, box

    def forward_passes(self, canvas):
        return 0.1

    def detect(self, image, canvas):
        return ScoredBoxes(np.array([self.box], np.float32), np.ones(1, np.float32))


class Head:
    """A text head that changes nothing."""

    def __init__(self, version):
        self.version = version

    def __call__(self, embeddings):
        return embeddings


class OtherFit(ColorEncoder):
    preprocessing = replace(ColorEncoder.preprocessing, fit="pad")


@pytest.fixture
def finding(color_model):
    """The model with a finder that looks left, and one with a finder that looks right."""
    left, right = (0.1, 0.1, 0.4, 0.9), (0.6, 0.1, 0.9, 0.9)
    return [
        replace(color_model, objects=OneBox(version, box), regions="objects64x1")
        for version, box in (("left", left), ("right", right))
    ]


def index(folder, place, model, **options):
    return Collection.open(place, model).add([folder], **options)


def test_another_fusion_of_the_same_towers_fuses_all_images_again(folder, tmp_path, color_model):
    place = tmp_path / "c"
    index(folder, place, color_model, vectors=2)
    encoded = color_model.encoder.encoded
    last = replace(color_model, fusion=lambda seen, k: seen.embeddings[-k:], fusion_name="last-1")
    report = index(folder, place, last)
    assert (report.indexed, report.unchanged, color_model.encoder.encoded) == (0, 3, encoded)
    rows = Collection.open(place, last).read(["regions", "fused"]).read_all().to_pylist()
    assert all(row["fused"] == row["regions"][-2:] for row in rows)
    newer = replace(last, fusion=lambda seen, k: seen.embeddings[:k], fusion_name="last-2")
    index(folder, place, newer)
    rows = Collection.open(place, newer).read(["regions", "fused"]).read_all().to_pylist()
    assert all(row["fused"] == row["regions"][:2] for row in rows)


def test_images_of_another_finder_are_encoded_again(folder, tmp_path, finding, rows):
    place, (left, right) = tmp_path / "c", finding
    assert index(folder, place, left).indexed == 3
    names = {row["looked"] for row in rows(Collection.open(place, left), "looked").values()}
    assert names == {"objects64x1"}
    assert index(folder, place, left).unchanged == 3
    spotted(tmp_path / "more" / "new.png", "red", spot=40)
    assert index(tmp_path / "more", place, right).indexed == 1
    report = index(folder, place, right)
    assert (report.indexed, report.unchanged) == (3, 0)
    found = rows(Collection.open(place, right), "looked", "boxes").values()
    assert {row["looked"] for row in found} == {"objects64x1@right"}
    assert all(row["boxes"][1][0] + row["boxes"][1][2] > 1 for row in found)
    assert index(folder, place, right).unchanged == 3
    assert Collection.open(place, right).status()["regions"] == "objects64x1"
    assert index(folder, place, left).indexed == 3  # and back


def test_another_finder_does_not_matter_to_regions_without_one(folder, tmp_path, finding):
    left, right = finding
    index(folder, tmp_path / "c", left, regions="cc5")
    assert index(folder, tmp_path / "c", right).unchanged == 3


def test_an_older_collection_takes_the_finder_of_today_for_its_own(folder, tmp_path, finding):
    place, (left, right) = tmp_path / "c", finding
    index(folder, place, left)
    path = place / "collection.json"
    content = json.loads(path.read_text())
    del content["identity"], content["first"], content["looked"]
    path.write_text(json.dumps(content))
    assert index(folder, place, right).unchanged == 3
    assert index(folder, place, left).indexed == 3


def test_the_same_towers_with_another_fit_are_refused_and_can_be_switched_to(
    folder, tmp_path, color_model
):
    place, other = tmp_path / "c", replace(color_model, encoder=OtherFit(), source="padded")
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.write(spotted(tmp_path / "in.png", "green", spot=50), "in.png")
    index(folder, place, color_model)
    with pytest.raises(InputError, match=r"another fit \(pad, not squash\).*finesight switch padd"):
        Collection.open(place, other)
    collection = Collection.open(place, color_model)
    assert collection.switch(other).indexed == 4
    assert len({path.name for path in place.glob("images-*.lance")}) == 2
    assert Collection.open(place, other).search("red", k=1)[0].path.stem == "red"
    with pytest.raises(InputError, match="finesight switch colors"):
        Collection.open(place, color_model)
    assert Collection.open(place, other).switch(color_model).indexed == 0


def test_fused_vectors_are_not_asked_with_another_text_head(folder, tmp_path, color_model):
    place = tmp_path / "c"
    model = replace(color_model, fusion_name="own-1", text_head=Head("1"))
    index(folder, place, model)
    assert Collection.open(place, model).search("red", k=1)
    other = replace(model, text_head=Head("2"))
    with pytest.raises(InputError, match="index the images again"):
        Collection.open(place, other).search("red", k=1)
    assert index(folder, place, other).unchanged == 3
    assert Collection.open(place, other).search("red", k=1)


def test_relevance_is_learned_again_for_another_prompt(tmp_path, color_model):
    for number in range(12):
        spotted(tmp_path / "p" / f"{number}.png", "red", spot=10 + number)
    place = tmp_path / "c"
    index(tmp_path / "p", place, color_model)
    file = calibration_file(Collection.open(place, color_model).table().path)
    before = file.stat().st_mtime_ns
    assert index(tmp_path / "p", place, color_model).indexed == 0
    assert file.stat().st_mtime_ns == before
    index(tmp_path / "p", place, replace(color_model, prompt="{}, drawn"))
    assert file.stat().st_mtime_ns > before


def test_names_of_regions():
    first = ModelIdentity("t", dense="d", finder="f")
    other = replace(first, finder="g", dense="e")
    assert regions_name("objects64x5", first, first) == "objects64x5"
    assert regions_name("objects64x5", other, first) == "objects64x5@g"
    assert (
        regions_name("objects64x5at48", replace(first, dense="e"), first) == "objects64x5at48@f@e"
    )
    assert regions_name("dense128", other, first) == "dense128@e"
    assert regions_name("cc10", other, first) == "cc10"
