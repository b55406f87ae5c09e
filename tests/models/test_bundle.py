"""A bundle keeps every part, however it is written; what its weights depend on is checked."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_old_files import BUNDLE, embeddings

from finesight.encoders.dense import DenseEntry
from finesight.encoders.finder import OBJECTNESS
from finesight.errors import DataError, InputError
from finesight.matching.item_head import ITEM_HEAD
from finesight.models import BUNDLED, load_model
from finesight.models.bundle import Bundle, need_manifest
from finesight.models.parts import FinderEntry, FusionEntry, ItemsEntry, MatcherEntry

MINI = BUNDLED["mini"]
FUSION = "onnx/fusion-clusters.onnx"


def parts(bundle: Bundle):
    """All that a bundle says, but its name, where its files are and how it came about."""
    return replace(bundle, name="", files={}, provenance={}, directory=None)


def content_of(bundle: Path):
    return json.loads((bundle / "finesight.json").read_text())


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(BUNDLE, tmp_path / "copy"))


def test_a_bundle_is_written_as_it_was_read(tmp_path):
    bundle = Bundle.read(BUNDLE)
    written = bundle.write(tmp_path / "new")
    assert written == Bundle.read(tmp_path / "new")
    before, after = (
        json.loads((d / "finesight.json").read_text()) for d in (BUNDLE, written.directory)
    )
    assert after.pop("sha256").items() >= before.pop("sha256").items()
    assert after == before
    assert written.files.keys() == bundle.files.keys()
    assert (written.fingerprint, written.provenance) == (bundle.fingerprint, bundle.provenance)
    assert load_model(str(written.directory)).identity == load_model(str(BUNDLE)).identity


def test_the_fixture_has_every_part():
    """So that a part that is added to the record is missed here, and then added to the fixture."""
    bundle = Bundle.read(BUNDLE)
    kinds = {type(part) for part in bundle.parts}
    assert kinds == {DenseEntry, FinderEntry, FusionEntry, ItemsEntry, MatcherEntry}
    defaults = Bundle("", {})
    same = [n for n in vars(defaults) if getattr(defaults, n) == getattr(bundle, n)]
    assert same == ["towers", "regions"]
    assert {file for part in bundle.parts for file in part.files} <= bundle.files.keys()


def test_a_hub_folder_becomes_a_bundle_of_the_same_fingerprint(copy, tmp_path):
    (copy / "finesight.json").unlink()
    plain = Bundle.read(copy)
    assert plain.fingerprint == Bundle.read(BUNDLE).fingerprint
    assert (plain.parts, plain.prompts, plain.fit) == ([], (), "squash")
    written = plain.write(tmp_path / "new")
    assert sorted(written.files) == [
        "config.json", "onnx/text_model.onnx", "onnx/vision_model.onnx",
        "preprocessor_config.json", "tokenizer.json",
    ]  # fmt: skip
    assert Bundle.read(tmp_path / "new").fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("part", "source"),
    [
        (DenseEntry(8), MINI),
        (FinderEntry(0.5), MINI),
        (FusionEntry("own", 3, FUSION), MINI),
        (FusionEntry("clusters", 8, FUSION), MINI),
        (ItemsEntry(8), BUNDLE),
        (
            MatcherEntry(
                "first", "x", "onnx/matcher-second.onnx", "onnx/matcher-second-words.onnx",
                "onnx/matcher-second-tokenizer.json", "cc5",
            ),
            BUNDLE,
        ),
    ],
)  # fmt: skip
def test_a_part_is_put_in_and_all_others_stay(copy, tmp_path, part, source):
    before = Bundle.read(copy)
    added = before.with_part(part, source, {"how": "in a test"}).write(copy)
    assert added == Bundle.read(copy)
    assert part in added.parts
    others = [
        p
        for p in before.parts
        if type(p) is not type(part) or vars(p).get("name") != vars(part).get("name")
    ]
    assert [p for p in added.parts if p != part] == [p for p in others if p != part]
    assert added.provenance == {**before.provenance, part.origin: {"how": "in a test"}}
    assert (added.fingerprint, added.scores) == (before.fingerprint, before.scores)
    for file in part.files:
        assert (copy / file).read_bytes() == (source / file).read_bytes()
    listed = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert listed == {*added.files, "finesight.json"}


def test_a_replaced_parts_files_go(copy):
    Bundle.read(copy).with_part(FusionEntry("own", 8, FUSION), MINI, {}).write(copy)
    assert not list(copy.glob("onnx/fusion-own*"))
    assert load_model(str(copy)).text_head is None


def test_scores_are_kept_in_the_folder(copy):
    assert Bundle.read(copy).keep_scores(effective_scale=0.5)
    assert load_model(str(copy)).effective_scale == 0.5
    assert parts(Bundle.read(copy).with_scores(effective_scale=0.375)) == parts(
        Bundle.read(BUNDLE).write(copy.parent / "new")
    )
    (copy / "finesight.json").unlink()
    assert not Bundle.read(copy).keep_scores(effective_scale=0.5)


def test_nothing_is_written_over(copy, tmp_path):
    with pytest.raises(InputError, match="is there already"):
        Bundle.read(BUNDLE).write(copy)
    with pytest.raises(InputError, match=r"is not a bundle of finesight.*finesight export"):
        need_manifest(tmp_path, tmp_path)


def test_a_bundle_that_cannot_be_written_leaves_nothing(copy, tmp_path):
    broken = Bundle.read(copy).with_part(ItemsEntry(8), tmp_path)
    with pytest.raises(OSError, match="item_head"):
        broken.write(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize("file", [ITEM_HEAD, OBJECTNESS, "onnx/matcher-first-words.onnx"])
def test_a_part_that_is_named_and_not_there(copy, file):
    (copy / file).unlink()
    with pytest.raises(DataError, match=f"{file}.*download, export or install"):
        load_model(str(copy))
    content = content_of(copy)
    del content["sha256"][file]
    (copy / "finesight.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"{file} is missing: download, export or install"):
        load_model(str(copy))


@pytest.mark.parametrize(
    "change", [{"items": []}, {"matchers": {"first": {}}}, {"fusions": 1}, {"looking": {}}]
)
def test_a_damaged_entry_of_a_part_is_one_sentence(copy, change):
    content = content_of(copy)
    (copy / "finesight.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(DataError, match=r"finesight\.json is damaged"):
        load_model(str(copy))


def test_a_fusion_without_training_is_named_in_the_manifest(copy):
    content = content_of(copy)
    for name, said in (("fps", None), ("of-tomorrow", "update finesight")):
        fusions = {name: {"vectors": 3}}
        (copy / "finesight.json").write_text(
            json.dumps({**content, "fusion": name, "fusions": fusions})
        )
        if said:
            with pytest.raises(DataError, match=said):
                load_model(str(copy))
        else:
            model = load_model(str(copy))
            assert (model.fusion_name, model.vectors) == ("fps", 3)


class TestExternalWeights:
    @pytest.fixture
    def large(self, copy):
        """The bundle with its image tower's weights beside the graph, as large models have them."""
        onnx = pytest.importorskip("onnx")
        path = copy / "onnx" / "vision_model.onnx"
        graph = onnx.load(path)
        path.unlink()
        onnx.save(
            graph, path, save_as_external_data=True, location="vision_model.onnx_data",
            size_threshold=200,
        )  # fmt: skip
        said = {n: v for n, v in vars(Bundle.read(BUNDLE)).items() if n not in _OF_FILES}
        Bundle.of_files(copy, **said).write(copy)
        return copy

    def test_they_are_copied_checked_and_identify_the_model(self, large, tmp_path):
        copied = Bundle.read(large).write(tmp_path / "new")
        expected = embeddings(load_model(str(BUNDLE)))
        np.testing.assert_allclose(
            embeddings(load_model(str(copied.directory)))["images"], expected["images"], atol=1e-5
        )
        weights = copied.directory / "onnx" / "vision_model.onnx_data"
        data = bytearray(weights.read_bytes())
        data[5] ^= 64
        weights.write_bytes(data)
        with pytest.raises(DataError, match=r"vision_model\.onnx_data is damaged or was altered"):
            load_model(str(copied.directory))
        other = Bundle.of_files(copied.directory, name="other").write(tmp_path / "other")
        assert other.fingerprint != copied.fingerprint

    def test_an_old_manifest_that_does_not_list_them_keeps_its_fingerprint(self, large):
        content = content_of(large)
        listed = {n: d for n, d in content["sha256"].items() if n.endswith((".onnx", ".json"))}
        (large / "finesight.json").write_text(json.dumps({**content, "sha256": listed}))
        old = Bundle.read(large)
        files = ("onnx/vision_model.onnx", "onnx/text_model.onnx")
        lines = [f"{f} {listed[f]}" for f in (*files, "tokenizer.json", "preprocessor_config.json")]
        assert old.fingerprint == hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


_OF_FILES = ("files", "sha256", "directory", "fingerprint")
