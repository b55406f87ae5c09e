import pytest

torch = pytest.importorskip("torch")

from finesight import load_model  # noqa: E402
from finesight.errors import InputError  # noqa: E402
from finesight.models import BUNDLED  # noqa: E402
from finesight.research.networks.matcher import MatcherSettings  # noqa: E402
from finesight.research.networks.matcher_kinds import build_matcher  # noqa: E402
from finesight.research.training.matcher.export import export_matcher  # noqa: E402
from finesight.research.training.matcher.training import token_tower  # noqa: E402
from finesight.research.training.vocabulary import tokens  # noqa: E402

TEXTS = ["a photo of a red mug", "a car"]


def test_minis_states_are_those_behind_its_embeddings():
    tower, width, tokenizer = token_tower(BUNDLED["mini"])
    ids, mask = tokens(tokenizer, TEXTS)
    with torch.inference_mode():
        states = tower.tower.states(ids, mask)
        assert tower(ids, mask).shape == (*ids.shape, width)
        there = mask[..., None].float()
        mean = (states * there).sum(1) / there.sum(1)
        found = torch.nn.functional.normalize(tower.tower.project(tower.tower.norm(mean)), dim=-1)
    expected = torch.from_numpy(load_model("mini").encoder.encode_texts(TEXTS))
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_matcher_over_token_states_is_exported_with_them(tmp_path):
    tower, width, tokenizer = token_tower(BUNDLED["mini"])
    settings = MatcherSettings("scan", 128, hidden=16, tokens=width)
    matcher = build_matcher(settings, tower).eval()
    files = [tmp_path / name for name in ("graph.onnx", "words.onnx", "tokenizer.json")]
    assert export_matcher(matcher, tokenizer, *files) < 1e-3


def test_other_models_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(InputError, match="--words gru"):
        token_tower(tmp_path)
