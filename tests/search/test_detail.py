import numpy as np
import pytest
from conftest import spotted

from finesight.collection import Collection
from finesight.errors import InputError
from finesight.search import retrieve


@pytest.mark.parametrize("rank_by", ["regions", "exact"])
def test_detail_goes_from_the_whole_image_to_its_best_region(
    folder, tmp_path, color_model, rank_by
):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    scores = [
        {hit.path.stem: hit.score for hit in collection.search("red", 3, rank_by, detail=detail)}
        for detail in (0.0, 0.25, 1.0)
    ]
    whole = {hit.path.stem: hit.score for hit in collection.search("red", 3, "whole")}
    for name, score in whole.items():
        assert scores[0][name] == pytest.approx(score, abs=1e-3)
        mixed = 0.75 * scores[0][name] + 0.25 * scores[2][name]
        assert scores[1][name] == pytest.approx(mixed, abs=1e-6)
    assert np.argmax(list(scores[2].values())) == 0


def test_whole_images_are_candidates_where_they_count(folder, tmp_path, color_model, monkeypatch):
    for number in range(12):
        spotted(folder / f"faint{number}.png", "red", spot=3 + number)
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder], vectors=2)
    monkeypatch.setattr(retrieve, "_CANDIDATES", 2)
    monkeypatch.setattr(retrieve, "_MORE", 2)
    for detail in (0.01, 0.5):
        exact = collection.search("red", 2, "exact", detail=detail)
        assert collection.search("red", 2, detail=detail) == exact


@pytest.mark.parametrize("detail", [-0.1, 1.1, float("nan")])
def test_detail_beyond_its_range_is_refused(folder, tmp_path, color_model, detail):
    collection = Collection.open(tmp_path / "c", color_model)
    collection.add([folder])
    with pytest.raises(InputError, match="detail"):
        collection.search("red", detail=detail)
