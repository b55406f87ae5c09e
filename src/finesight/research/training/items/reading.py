"""Reads what items are learned from: their photos, and the captions of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from finesight.errors import InputError
from finesight.research.datasets import ItemSet, View, clevr_ds, read_items
from finesight.research.datasets.captions import read_captions
from finesight.research.training.items.examples import (
    CAPTIONS,
    Example,
    described,
    examples,
    from_captions,
)


def read_examples(
    datasets: Sequence[Path],
    scenes: Sequence[Path],
    captions: str,
    report: Callable[[ItemSet], None] = lambda items: None,
) -> list[Example]:
    """Return the things of shop and user photos with their captions, and those of scenes.

    scenes: rendered sets whose objects teach words alone; captions: one of CAPTIONS, or a file of
    captions; report: is called with each set, whose problems it may tell. Raises InputError where
    no item is shown twice, and for unknown captions.
    """
    found: list[Example] = []
    for place in datasets:
        items = read_items(place)
        report(items)
        found += examples(items, _caption(captions, items))
    if not any(each.identity is not None for each in found):
        raise InputError(
            f"{', '.join(map(str, datasets))}: no photo shows an item that others show too (its "
            "style is 0 everywhere): name a set with pairs"
        )
    for place in scenes:
        found += described(clevr_ds.load(place))
    return found


def _caption(captions: str, items: ItemSet) -> Callable[[View], str | None]:
    if captions in CAPTIONS:
        return CAPTIONS[captions]
    if not Path(captions).exists():
        raise InputError(
            f"unknown captions {captions!r}: use {', '.join(CAPTIONS)}, or name a file of captions"
        )
    return from_captions(read_captions(Path(captions)), items)
