"""What a fusion is trained on and validated with, from features, words and labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from finesight.errors import InputError
from finesight.models import Model
from finesight.research.datasets import read_dataset
from finesight.research.training.features import FeatureCache, open_features, split_features
from finesight.research.training.fusion.proxies import TEMPLATES, Proxies, build_proxies
from finesight.research.training.fusion.training import Validate
from finesight.research.training.fusion.validation import AnswersOfRegions, RecallOfClasses

HELD_OUT = 10  # without validation features, every tenth image validates
KS = (1, 4, 8)
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
    cache: FeatureCache,
    model: Model,
    proxies: Proxies,
    features: Path | None,
    labels: Path | None,
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
        return cache, AnswersOfRegions(held_out, _queries(held_out, proxies), KS)
    dataset = read_dataset(labels)
    if len(dataset.images) != len(held_out):
        raise InputError(
            f"{features} holds {len(held_out)} images and {labels} {len(dataset.images)}: "
            "make the features of that dataset"
        )
    prompts = [model.prompt.format(name) for name in dataset.classes]
    texts = torch.from_numpy(model.encoder.encode_texts(prompts))
    return cache, RecallOfClasses(held_out, dataset, texts, KS)


def _queries(held_out: FeatureCache, proxies: Proxies) -> Tensor:
    """The texts to train with, or some regions of the validation images where there are none."""
    if proxies.texts is not None:
        return proxies.texts
    generator = torch.Generator().manual_seed(0)
    regions, _, there = held_out.padded(range(len(held_out)))
    rows = torch.from_numpy(regions[there])
    return rows[torch.randint(len(rows), (QUERIES,), generator=generator)]
