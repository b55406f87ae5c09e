"""What a fusion is trained on and validated with, from features, words and labels.

The validation decides which epoch is kept: with labels, or without any.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finesight.errors import InputError
from finesight.models import Model
from finesight.research.datasets import read_dataset
from finesight.research.datasets.records import LabelledSet
from finesight.research.metrics import class_prompt_recall
from finesight.research.networks.fusion import FusionNetwork
from finesight.research.training.features import FeatureCache, open_features, split_features
from finesight.research.training.fusion.losses import best_scores, rank_preserving
from finesight.research.training.fusion.proxies import TEMPLATES, Proxies, build_proxies
from finesight.research.training.fusion.training import Validate

HELD_OUT = 10  # without validation features, every tenth image validates
KS = (1, 4, 8)
_IMAGES = 128  # fused in one go
QUERIES = 512  # regions that stand for queries where there are no words


def read_proxies(model: Model, dataset: Path | None, vocabulary: Path | None) -> Proxies:
    """Return words where there are some, else the regions of the images themselves.

    dataset: its class names are words, without those that are never named; vocabulary: a text file
    of one word a line. Raises InputError for a vocabulary that cannot be read or has no words.
    """
    words: list[str] = []
    if dataset is not None:
        found = read_dataset(dataset)
        words += [name for name in found.classes if name not in found.never_named]
    if vocabulary is not None:
        try:
            lines = vocabulary.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{vocabulary} cannot be read as a text file: {error}") from error
        words += [line.strip() for line in lines if line.strip()]
        if not words:
            raise InputError(f"{vocabulary} holds no words: write one a line")
    shares = {"texts": 128, "directions": 64, "patches": 64} if words else {"patches": 256}
    return build_proxies(model.encoder, words, shares, TEMPLATES)


def hold_out(
    cache: FeatureCache, model: Model, proxies: Proxies, features: Path | None, labels: Path | None
) -> tuple[FeatureCache, Validate]:
    """Return what to train on, and what validates.

    features: of other images, else every tenth image is held out; labels: their dataset, whose
    Recall@1 then decides. Raises InputError where labels and features do not fit.
    """
    if labels is not None and features is None:
        raise InputError("--validation-dataset needs the features of its images: --validation DIR")
    if features is None:
        cache, held_out = split_features(cache, HELD_OUT)
    else:
        held_out = open_features(features)
        held_out.check_own_regions(model, features)
    if labels is None:
        texts = proxies.texts
        if texts is None:  # some regions of the validation images stand for queries
            generator = torch.Generator().manual_seed(0)
            regions, _, there = held_out.padded(range(len(held_out)))
            rows = torch.from_numpy(regions[there])
            texts = rows[torch.randint(len(rows), (QUERIES,), generator=generator)]
        return cache, answers_of_regions(held_out, texts, KS)
    dataset = read_dataset(labels)
    if len(dataset.images) != len(held_out):
        raise InputError(
            f"{features} holds {len(held_out)} images and {labels} {len(dataset.images)}: "
            "make the features of that dataset"
        )
    prompts = [model.prompt.format(name) for name in dataset.classes]
    texts = torch.from_numpy(model.encoder.encode_texts(prompts))
    return cache, recall_of_classes(held_out, dataset, texts, KS)


@torch.inference_mode()
def fused_scores(network: FusionNetwork, cache: FeatureCache, texts: Tensor) -> Tensor:
    """Return each image's best cosine over its fused vectors, for texts (t, d): (t, n)."""
    device = next(itertools.chain(network.parameters(), network.buffers())).device
    parts = []
    for start in range(0, len(cache), _IMAGES):
        arrays = cache.padded(range(start, min(start + _IMAGES, len(cache))))
        regions, boxes, there = (torch.from_numpy(part).to(device) for part in arrays)
        parts.append(best_scores(texts.to(device), network(regions, there, boxes)).cpu())
    return torch.cat(parts).T


def _over(ks: Sequence[int], score: Callable[[FusionNetwork], float]) -> Validate:
    """Return the mean of a score over some k, where the network serves any."""

    def mean(network: FusionNetwork) -> float:
        before, found = network.vectors, []
        for k in ks if network.any_number else [before]:
            network.vectors = k
            found.append(score(network))
        network.vectors = before
        return float(np.mean(found))

    return mean


def recall_of_classes(
    cache: FeatureCache, dataset: LabelledSet, texts: Tensor, ks: Sequence[int]
) -> Validate:
    """Return the mean, over some k, of Recall@1 of the classes that may be named, in 0..1.

    texts: (c, d), the prompts of `dataset.classes`; ks: where the network serves any k.
    """
    named = [name not in dataset.never_named for name in dataset.classes]
    shown = [{thing.class_name for thing in image.objects} for image in dataset.images]
    asked = [name for name, may in zip(dataset.classes, named, strict=True) if may]
    relevant = np.array([[name in there for there in shown] for name in asked])
    prompts, everything = texts[torch.tensor(named)], np.ones_like(relevant)

    def recall(network: FusionNetwork) -> float:
        scores = fused_scores(network, cache, prompts).numpy()
        return class_prompt_recall(scores, relevant, everything, 1)

    return _over(ks, recall)


def answers_of_regions(cache: FeatureCache, texts: Tensor, ks: Sequence[int]) -> Validate:
    """Return how well the fused vectors rank unlabelled images as all their regions do.

    The negative divergence of `rank_preserving`, the mean over some k; 0 is a perfect copy.
    """
    regions = (torch.from_numpy(seen.embeddings) for seen in cache)
    target = torch.stack([best_scores(texts, each[None])[0] for each in regions])

    def fit(network: FusionNetwork) -> float:
        return -rank_preserving(target, fused_scores(network, cache, texts).T).item()

    return _over(ks, fit)
