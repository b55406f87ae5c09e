"""Puts a trained matcher into a model bundle, where it runs without PyTorch."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from finesight.files import write_json
from finesight.matching import NetworkMatcher
from finesight.models.parts import MatcherEntry
from finesight.research.networks.matcher import Matcher
from finesight.research.training.export import export_graph, need_agreement

MOST_APART = 1e-3  # between the scores of PyTorch and of ONNX Runtime


def export_matcher(
    matcher: Matcher, tokenizer: Tokenizer, graph: Path, words: Path, vocabulary: Path
) -> float:
    """Write a matcher's graphs and its tokenizer; any number of images, regions, texts and words.

    Returns how far the scores of the two runtimes are apart at most; raises FinesightError where
    that is too far.
    """
    matcher = copy.deepcopy(matcher).float().cpu().eval()
    regions = nn.functional.normalize(torch.randn(2, 5, matcher.settings.width), dim=-1)
    there = torch.arange(5) < torch.tensor([[5], [3]])
    ids = torch.randint(tokenizer.get_vocab_size(), (3, 4))
    mask = (torch.arange(4) < torch.tensor([[4], [2], [3]])).long()
    axes = {0: "t", 1: "w"}
    given = {"input_ids": ids, "attention_mask": mask}
    export_graph(matcher, given, axes, ["words"], words, matcher.words)
    _any_length(words)
    with torch.inference_mode():
        parts = matcher.words(ids, mask).clone()
    inputs = {"regions": regions, "there": there, "words": parts, "mask": mask.bool()}
    images = {0: "b", 1: "p"}

    def scores(regions: Tensor, there: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """The region tower, and how its parts meet the words: (b, t)."""
        return matcher.scores(matcher.images(regions, there), there, words, mask)

    export_graph(matcher, inputs, [images, images, axes, axes], ["scores"], graph, scores)
    tokenizer.save(str(vocabulary))
    apart = _apart(matcher, tokenizer, NetworkMatcher(graph, words, vocabulary))
    need_agreement(f"matcher {graph}", apart < MOST_APART, f"scores {apart:.5f} apart")
    return apart


def _any_length(path: Path) -> None:
    """Take out of a word tower's graph that its texts have the example's number of words.

    The exporter notes the shapes behind a GRU as it saw them; the operators serve any.
    """
    model = onnx.load(path)
    del model.graph.value_info[:]
    for place, name in enumerate(("t", "w")):
        model.graph.output[0].type.tensor_type.shape.dim[place].dim_param = name
    onnx.save(model, path)


def _apart(matcher: Matcher, tokenizer: Tokenizer, exported: NetworkMatcher) -> float:
    """The largest difference of the two runtimes' scores, for images and texts of many sizes."""
    rng = np.random.default_rng(0)
    known = [token for token in tokenizer.get_vocab() if not token.startswith(("[", "<"))]
    texts = [" ".join(rng.choice(known, count)) for count in (1, 2, 5, 9)]
    seen = [rng.normal(size=(count, matcher.settings.width)) for count in (1, 2, 12, 7, 1)]
    regions = [(r / np.linalg.norm(r, axis=1, keepdims=True)).astype(np.float32) for r in seen]
    theirs = exported.scores(regions, texts)
    ours = np.zeros_like(theirs)
    for column, text in enumerate(texts):
        tokens = tokenizer.encode(text)
        ids, mask = torch.tensor([tokens.ids]), torch.tensor([tokens.attention_mask])
        with torch.inference_mode():
            for row, each in enumerate(regions):
                there = torch.ones(1, len(each), dtype=torch.bool)
                ours[row, column] = float(matcher(torch.from_numpy(each)[None], there, ids, mask))
    return float(np.abs(ours - theirs).max())


def matcher_part(
    matcher: Matcher, tokenizer: Tokenizer, name: str, regions: str, folder: Path
) -> tuple[MatcherEntry, float]:
    """Write a matcher to a folder; also returns how far the runtimes are apart.

    regions: the proposer whose regions it was trained with.
    """
    stem = f"onnx/matcher-{name}"
    files = (f"{stem}.onnx", f"{stem}-words.onnx", f"{stem}-tokenizer.json")
    apart = export_matcher(matcher, tokenizer, *(folder / file for file in files))
    return MatcherEntry(name, matcher.settings.kind, *files, regions), apart


def write_matcher_alone(
    matcher: Matcher, tokenizer: Tokenizer, provenance: Mapping[str, Any], out: Path
) -> float:
    """Write a matcher's graphs to a new folder; returns how far the runtimes are apart."""
    out.mkdir(parents=True)
    files = (out / "matcher.onnx", out / "words.onnx", out / "tokenizer.json")
    apart = export_matcher(matcher, tokenizer, *files)
    write_json(out / "matcher.json", dict(provenance))
    return apart
