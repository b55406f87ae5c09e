import json

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="exporting needs finesight[torch]")
pytest.importorskip("onnx", reason="exporting needs finesight[torch]")

from checkpoints import TEXTS, make_checkpoint, random_crops
from test_old_files import (
    BUNDLE,
    embeddings,
    guesses,
    indexed_by_bundle,
    items,
    matched,
    says_of_itself,
)

from finesight.cli.app import app
from finesight.encoders.onnx import OnnxEncoder
from finesight.errors import DataError, InputError
from finesight.models import load_model
from finesight.research.training import bundle_export
from finesight.research.training.bundle_export import LEAST_COSINE, export_model


# Those whose towers differ: with a projection, with a pooled output and no mask, of convolutions.
@pytest.mark.parametrize("kind", ["clip", "siglip", "chinese_clip", "align"])
def test_a_bundle_computes_what_the_checkpoint_does(kind, tmp_path):
    make_checkpoint(tmp_path / "model", kind)
    original = load_model(str(tmp_path / "model"))
    precision, found = export_model(original, tmp_path / "bundle", "fp32")
    assert precision == "fp32"
    assert min(found.values()) >= LEAST_COSINE["fp32"]
    bundle = load_model(str(tmp_path / "bundle"))
    assert isinstance(bundle.encoder, OnnxEncoder)
    crops = random_crops(5)
    ours, theirs = bundle.encoder, original.encoder
    np.testing.assert_allclose(ours.encode_images(crops), theirs.encode_images(crops), atol=1e-4)
    np.testing.assert_allclose(ours.encode_spatial(crops), theirs.encode_spatial(crops), atol=1e-3)
    for texts in (TEXTS, TEXTS[:1], ["a " * 50]):
        with pytest.warns(match="tokens") if len(texts[0]) > 60 else _nothing():
            np.testing.assert_allclose(ours.encode_texts(texts), _silent(theirs, texts), atol=1e-4)


def _silent(encoder, texts):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return encoder.encode_texts(texts)


def _nothing():
    import contextlib

    return contextlib.nullcontext()


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_smaller_precisions_keep_what_they_promise(precision, tmp_path):
    make_checkpoint(tmp_path / "model")
    result = CliRunner().invoke(
        app,
        [
            "export",
            str(tmp_path / "model"),
            str(tmp_path / "b"),
            "--precision",
            precision,
            "--json",
        ],
    )
    assert result.exit_code == 0, result.output
    cosines = json.loads(result.stdout)["cosine"]
    assert LEAST_COSINE[precision] <= min(cosines.values()) < 1
    manifest = json.loads((tmp_path / "b" / "finesight.json").read_text())
    assert manifest["provenance"]["precision"] == precision
    assert manifest["scores"]["cosine_image"] == pytest.approx(cosines["image"], abs=1e-5)
    assert load_model(str(tmp_path / "b")).encoder.encode_images(random_crops()).shape == (3, 24)


def test_a_bundle_is_exported_again_in_another_precision(tmp_path):
    _, found = export_model(load_model("mini"), tmp_path / "mini-fp16", "fp16")
    assert min(found.values()) >= LEAST_COSINE["fp16"]
    size = [
        (folder / "onnx" / "vision_model.onnx").stat().st_size
        for folder in (load_model("mini").encoder.directory, tmp_path / "mini-fp16")
    ]
    assert size[1] < 0.6 * size[0]
    again, mini = load_model(str(tmp_path / "mini-fp16")), load_model("mini")
    assert (again.fusion_name, again.vectors) == (mini.fusion_name, mini.vectors)


def test_unless_told_a_bundle_is_int8_where_that_holds(tmp_path, monkeypatch):
    make_checkpoint(tmp_path / "model")
    original = load_model(str(tmp_path / "model"))
    assert export_model(original, tmp_path / "small")[0] == "int8"
    monkeypatch.setitem(bundle_export.LEAST_COSINE, "int8", 1.1)
    said = []
    assert export_model(original, tmp_path / "large", report=said.append)[0] == "fp32"
    assert any("taking fp32" in line for line in said)


def test_what_loses_too_much_is_not_left_behind(tmp_path, monkeypatch):
    monkeypatch.setitem(bundle_export.LEAST_COSINE, "fp16", 1.1)
    with pytest.raises(DataError, match="take fp32"):
        export_model(load_model("mini"), tmp_path / "out", "fp16")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_and_an_unknown_precision_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is there already"):
        export_model(load_model("mini"), tmp_path)
    with pytest.raises(InputError, match="fp32, fp16, int8"):
        export_model(load_model("mini"), tmp_path / "new", "fp8")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A bundle with every kind of part, exported in float32, and this again."""
    once, twice = (tmp_path_factory.mktemp("exported") / name for name in ("once", "twice"))
    export_model(load_model(str(BUNDLE)), once, "fp32")
    export_model(load_model(str(once)), twice, "fp32")
    return once, twice


def test_an_exported_bundle_says_the_same_of_itself(exported):
    old = load_model(str(BUNDLE))
    for folder in exported:
        new = load_model(str(folder))
        assert {**says_of_itself(new), "name": "all-parts"} == says_of_itself(old)
        assert new.identity == old.identity
        assert new.bundle.parts == old.bundle.parts
        assert new.bundle.scores.items() >= old.bundle.scores.items()
        assert new.bundle.provenance["items"] == old.bundle.provenance["items"]


@pytest.mark.parametrize("part", [embeddings, matched, items, guesses])
def test_each_part_of_an_exported_bundle_computes_the_same(exported, part):
    expected = part(load_model(str(BUNDLE)))
    assert [part(load_model(str(folder))) for folder in exported] == [expected, expected]


def test_a_collection_is_searched_with_an_exported_bundle_as_before(exported, tmp_path):
    found = []
    for number, bundle in enumerate((BUNDLE, exported[1])):
        (tmp_path / f"{number}").mkdir()
        found.append(indexed_by_bundle(load_model(str(bundle)), tmp_path / f"{number}"))
    assert found[0] == found[1]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_another_precision_keeps_all_parts(precision, tmp_path):
    old = load_model(str(BUNDLE))
    export_model(old, tmp_path / "small", precision)
    new = load_model(str(tmp_path / "small"))
    assert new.identity.differs(old.identity) == ("towers",)
    assert new.bundle.parts == old.bundle.parts
    assert (new.prompts, new.effective_scale) == (old.prompts, old.effective_scale)
    assert matched(new).keys() == matched(old).keys()
    assert len(items(new)[0]) == len(items(old)[0])
