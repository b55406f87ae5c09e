import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from finesight.models import BUNDLED, load_model
from finesight.types import ModelIdentity

ALL_PARTS = Path(__file__).parents[1] / "fixtures" / "bundle_all_parts"


def edited(bundle: Path, change):
    """Change `finesight.json` of a bundle."""
    path = bundle / "finesight.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def swapped(bundle: Path, file: str, other: Path):
    """Put another file in a file's place, as if it had been written so."""
    shutil.copy(other, bundle / file)
    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    edited(bundle, lambda content: content["sha256"].update({file: digest}))


@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(ALL_PARTS, tmp_path / "bundle"))


def test_a_bundle_and_its_copy_are_the_same(bundle):
    one, other = load_model(str(ALL_PARTS)), load_model(str(bundle))
    assert one.identity == other.identity
    assert one.identity.differs(other.identity) == ()
    assert one.identity.towers == one.fingerprint
    assert all(vars(one.identity).values())


def test_what_was_not_recorded_does_not_differ():
    whole = load_model("mini").identity
    assert ModelIdentity(whole.towers, fusion="other").differs(whole) == ("fusion",)
    assert replace(whole, towers="x", fit=None).differs(whole) == ("towers",)


@pytest.mark.parametrize(
    ("file", "other", "part"),
    [
        ("onnx/objectness.onnx", "onnx/objectness.onnx", "finder"),
        ("onnx/dense_model.onnx", "onnx/dense_model.onnx", "dense"),
        ("onnx/fusion-own.onnx", "onnx/fusion-clusters.onnx", "fusion"),
        ("onnx/fusion-own-text.onnx", "onnx/region_head.onnx", "text_head"),
        ("onnx/matcher-first.onnx", "onnx/text_model.onnx", None),
        ("onnx/item_head.onnx", "onnx/region_head.onnx", None),
    ],
)
def test_another_graph_of_a_part_is_another_version_of_it(bundle, file, other, part):
    swapped(bundle, file, BUNDLED["mini"] / other)
    found = load_model(str(bundle)).identity.differs(load_model(str(ALL_PARTS)).identity)
    assert found == (() if part is None else (part,))


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("fit", "crop", "fit"),
        ("prompt", "{}", "background"),
        ("knows", {"things": ["mug"], "colors": ["red"]}, "background"),
    ],
)
def test_settings_outside_the_files_count_too(bundle, key, value, part):
    edited(bundle, lambda content: content.update({key: value}))
    other = load_model(str(bundle))
    assert other.identity.differs(load_model(str(ALL_PARTS)).identity) == (part,)
    assert other.fingerprint == load_model(str(ALL_PARTS)).fingerprint
