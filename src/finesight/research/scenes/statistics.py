"""What is in scene sets: the paper's Tables 2 and 6 and its Figure 5."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from finesight.errors import DataError, MissingDependencyError
from finesight.research.datasets.clevr_ds import SceneSet
from finesight.research.table import Cell, format_table

PAPER: dict[str, Cell] = {
    "images": "10,000",
    "classes": 51,
    "instances per image": "3.01 (1-5)",
    "classes per image": "3.01 (1-5)",
    "instances per class": "about 590",
    "area, % (min-max)": "0.01-97",  # 504 and 4,849,600 of 2240 x 2240 pixels
    "most hidden, %": "",
}
"""DetailCLIP, Tables 2 and 6, Figure 5 and section 4.2; numbers in threes are mean, min, max."""

DECADES = (1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.3, 0.6, 1.0)
"""Edges of the bins of areas, as shares of the image."""


@dataclass(frozen=True)
class Statistics:
    """One set, or several as one: what each image and each class counts.

    instances and classes: (n,) per image; shares: visible areas of all objects; by_class: objects
    of each class; hidden: the share hidden of each object.
    """

    name: str
    instances: np.ndarray
    classes: np.ndarray
    shares: np.ndarray
    hidden: np.ndarray
    by_class: dict[str, int]

    @property
    def histogram(self) -> np.ndarray:
        """How many objects fall between the DECADES (9,)."""
        return np.histogram(self.shares, DECADES)[0]

    def plain(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {
            "set": self.name,
            "images": len(self.instances),
            "classes": len(self.by_class),
            "instances_an_image": _spread(self.instances),
            "classes_an_image": _spread(self.classes),
            "instances_a_class": _spread(np.array(list(self.by_class.values()))),
            "area": _spread(self.shares),
            "hidden_most": float(self.hidden.max()),
            "histogram": {
                f"{low:g}-{high:g}": int(count)
                for (low, high), count in zip(pairwise(DECADES), self.histogram, strict=True)
            },
        }


def count(name: str, sets: Sequence[SceneSet]) -> Statistics:
    """Count what is in sets; raises DataError where they hold no object."""
    images = [image for each in sets for image in each.images]
    things = [thing for image in images for thing in image.objects]
    if not things:
        raise DataError(f"{name} holds no object: render more images")
    found = Counter(thing.class_name for thing in things)
    known = sorted({c for each in sets for c in each.classes})
    return Statistics(
        name,
        np.array([len(image.objects) for image in images]),
        np.array([len({thing.class_name for thing in image.objects}) for image in images]),
        np.array([thing.share for thing in things]),
        np.array([thing.hidden for thing in things]),
        {c: found[c] for c in known},
    )


def format_statistics(found: Sequence[Statistics]) -> str:
    """Return the tables for people, a column a set, the paper's CLEVR-DS first."""
    decades = [f"objects of {low:.2%}-{high:.2%}" for low, high in pairwise(DECADES)]
    columns = [(*PAPER, *decades), (*PAPER.values(), *[""] * len(decades)), *map(_column, found)]
    head = ("", "paper", *(each.name for each in found))
    width = max(18, *(len(each.name) + 2 for each in found))
    table = format_table(head, list(zip(*columns, strict=True)), (28, width))
    return f"{table}\n\nNumbers in threes: mean (min-max). The paper's images: 2240 px."


def _column(found: Statistics) -> list[Cell]:
    """Return a set's figures in the order of PAPER, then its shares of objects by area."""
    figures, shares = found.plain(), found.shares
    names = ("instances_an_image", "classes_an_image", "instances_a_class")
    spreads = [figures[name] for name in names]
    threes = [f"{mean:.2f} ({low:g}-{high:g})" for mean, low, high in spreads]
    area = f"{shares.min():.2%}-{shares.max():.0%}"
    hidden = f"{100 * found.hidden.max():.0f}"
    by_area = [f"{number / len(shares):.1%}" for number in found.histogram]
    return [f"{figures['images']:,}", figures["classes"], *threes, area, hidden, *by_area]


def plot(found: Sequence[Statistics], path: Path) -> None:
    """Draw Figure 5: the objects' areas and the objects of each class, a colour per set.

    Raises MissingDependencyError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("plots need matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(12, 8), layout="constrained")
    areas, classes = figure.subplots(2, 1)
    edges = np.geomspace(DECADES[0], 1, 33)
    for each in found:
        areas.hist(each.shares, edges, histtype="step", linewidth=1.6, label=each.name)
    areas.set(xscale="log", xlabel="visible area, share of the image", ylabel="objects")
    areas.legend()
    names = sorted({name for each in found for name in each.by_class})
    bottom = np.zeros(len(names))
    for each in found:
        heights = np.array([each.by_class.get(name, 0) for name in names])
        classes.bar(names, heights, bottom=bottom, label=each.name)
        bottom += heights
    classes.tick_params(axis="x", rotation=90)
    classes.set(ylabel="objects")
    classes.margins(x=0.01)
    figure.savefig(path)


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.mean()), float(values.min()), float(values.max())
