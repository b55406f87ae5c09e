import shutil
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from finesight.errors import DataError, InputError  # noqa: E402
from finesight.matching import NetworkMatcher  # noqa: E402
from finesight.models import BUNDLED, load_model  # noqa: E402
from finesight.research.networks.matcher import MatcherSettings  # noqa: E402
from finesight.research.networks.matcher_kinds import ENSEMBLES, KINDS, build_matcher  # noqa: E402
from finesight.research.training.export import put_part  # noqa: E402
from finesight.research.training.matcher.export import (  # noqa: E402
    export_matcher,
    matcher_part,
)
from finesight.research.training.vocabulary import build_tokenizer, tokens  # noqa: E402

TEXTS = ["a red mug", "a blue car and a red mug", "car"]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["a", "red", "blue", "mug", "car", "and"], 32)


def build(kind, tokenizer, width=12):
    torch.manual_seed(0)
    settings = MatcherSettings(
        kind, width, tokenizer.get_vocab_size(), hidden=10, word_width=6, similarity=8
    )
    return build_matcher(settings).eval()


@pytest.mark.parametrize("kind", [*KINDS, *ENSEMBLES])
def test_the_exported_matcher_is_the_trained_one(kind, tokenizer, tmp_path):
    matcher = build(kind, tokenizer)
    files = [tmp_path / name for name in ("graph.onnx", "words.onnx", "tokenizer.json")]
    assert export_matcher(matcher, tokenizer, *files) < 1e-4
    rng = np.random.default_rng(1)
    regions = [rng.normal(size=(count, 12)).astype(np.float32) for count in (3, 1, 8, 3)]
    found = NetworkMatcher(*files).scores(regions, TEXTS)
    ids, mask = tokens(tokenizer, TEXTS)
    with torch.inference_mode():
        for row, each in enumerate(regions):
            there = torch.ones(1, len(each), dtype=torch.bool)
            ours = matcher(torch.from_numpy(each)[None], there, ids, mask)[0].numpy()
            assert np.allclose(found[row], ours, atol=1e-4)


def test_a_bundle_finds_its_matcher_and_says_what_it_has(tokenizer, tmp_path):
    matcher = build("scan-t2i", tokenizer, load_model("mini").encoder.width)
    out = tmp_path / "model"
    part = partial(matcher_part, matcher, tokenizer, "mine", "cc3")
    put_part(BUNDLED["mini"], out, {"how": "not trained"}, part)
    model = load_model(str(out))
    assert model.fingerprint == load_model("mini").fingerprint
    assert model.matchers["mine"].regions == "cc3"
    regions = [np.eye(model.encoder.width, dtype=np.float32)[:3]]
    assert model.matcher("mine").scores(regions, TEXTS).shape == (1, 3)
    with pytest.raises(DataError, match="another encoder"):
        model.matcher("mine").scores([np.zeros((2, 7), np.float32)], TEXTS)
    with pytest.raises(InputError, match=r"no matcher 'adapt' \(it has: mine\)"):
        model.matcher("adapt")
    with pytest.raises(InputError, match=r"it has: none.*finesight train matcher"):
        load_model("mini").matcher("adapt")
    with pytest.raises(InputError, match="is there already"):
        put_part(BUNDLED["mini"], out, {}, part)
    (out / "onnx" / "matcher-mine.onnx").write_bytes(b"damaged")
    with pytest.raises(DataError, match="damaged or was altered"):
        load_model(str(out))
    shutil.rmtree(out)
