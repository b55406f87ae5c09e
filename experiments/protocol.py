"""What the experiments share: the standard sets, cached features, queries, recall, intervals.

Scenes are those of `finesight render standard-sets`; features are written on first use. Recall is
class-prompt Recall@1 in percent (METHODS.md 1); recovery is (fused − whole) / (CC@10 max − whole).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from finesight import load_model
from finesight.models import Model
from finesight.proposals.finder_proposer import OBJECTS
from finesight.research.datasets.clevr_ds import SceneSet, load
from finesight.research.datasets.scene_texts import HardNegatives
from finesight.research.evaluation.class_prompts import SUBSETS, largest_shares
from finesight.research.metrics import class_prompt_recall
from finesight.research.table import Cell, format_table
from finesight.research.training.extraction import write_features
from finesight.research.training.features import FeatureCache
from finesight.types import Float32, ImageVectors

CACHE = Path("~/.cache/finesight").expanduser()
QUICK_IMAGES = 120
RESAMPLES = 400
SIZES = {"mix": "all", "S": "<1%", "L": ">5%"}
"""Columns of most tables, and the subsets that they show: all objects, small and large ones."""


def arguments(
    documentation: str, searched: str | None = None, out: bool = False, plot: bool = False
) -> argparse.ArgumentParser:
    """Return a parser with the options that every experiment has, and some that many have.

    searched: what --set is where it is not given; out, plot: whether there are such options.
    """
    parser = argparse.ArgumentParser(description=documentation.splitlines()[0])
    parser.add_argument("--scenes", type=Path, default=CACHE / "scenes", help="the standard sets")
    parser.add_argument("--features", type=Path, default=CACHE / "features", help="their features")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_IMAGES} images per set")
    if searched is not None:
        parser.add_argument("--set", default=searched, help="val-textured to choose settings")
    if out:
        parser.add_argument("--out", type=Path, help="write the tables to this file as well")
    if plot:
        parser.add_argument("--plot", type=Path, help="draw the figure into this file")
    return parser


@dataclass(frozen=True)
class Queries:
    """Texts with their true answers: embeddings (t, d), relevant and gallery (t, n) bool."""

    texts: Float32
    relevant: np.ndarray
    gallery: np.ndarray


class TestSet:
    """A standard set with what a model sees in it."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name = name
        self.options = options
        self.model: Model = load_model(options.model)
        whole = load(options.scenes / name)
        self.count = QUICK_IMAGES if options.quick else len(whole.images)
        self.scenes: SceneSet = whole
        self._seen: dict[str, list[ImageVectors]] = {}

    @property
    def title(self) -> str:
        """What stands above a table of Recall@1."""
        return f"{self.name}, {self.count} images, {self.model.name}, Recall@1 in percent"

    def seen(self, regions: str = "cc10") -> list[ImageVectors]:
        """Return the proposals of every image, encoded."""
        if regions not in self._seen:
            cache = features(self.name, regions, self.options, self.model)
            self._seen[regions] = [cache[i] for i in range(len(cache))]
        return self._seen[regions][: self.count]

    @cached_property
    def _shares(self) -> np.ndarray:
        return largest_shares(self.scenes)[:, : self.count]

    @cached_property
    def _texts(self) -> Float32:
        return self.prompts(self.scenes.classes)

    def prompts(self, names: Sequence[str]) -> Float32:
        """Encode names in the model's prompt."""
        return self.model.encoder.encode_texts([self.model.prompt.format(n) for n in names])

    def classes(self, subset: str = "all", which: str = "all") -> Queries:
        """Return class prompts; subset: of SUBSETS; which: "all", "named" or "never" classes."""
        low, high = SUBSETS[subset]
        shares = self._shares
        relevant = (shares >= low) & (shares < high) & (shares > 0)
        gallery = relevant | ~(shares > 0)
        never = np.array([name in self.scenes.never_named for name in self.scenes.classes])
        chosen = {"all": never | True, "never": never, "named": ~never}[which]
        return Queries(self._texts[chosen], relevant[chosen], gallery[chosen])

    def colored(self) -> Queries:
        """Return "red mug"-like prompts, all that are true of an image."""
        pairs = sorted(
            {
                (thing.color, thing.class_name)
                for image in self.scenes.images[: self.count]
                for thing in image.objects
            }
        )
        relevant = np.zeros((len(pairs), self.count), bool)
        rows = {pair: row for row, pair in enumerate(pairs)}
        for i, image in enumerate(self.scenes.images[: self.count]):
            for thing in image.objects:
                relevant[rows[thing.color, thing.class_name], i] = True
        texts = self.prompts([f"{color} {name}" for color, name in pairs])
        return Queries(texts, relevant, np.ones_like(relevant))

    def all_queries(self) -> dict[str, Queries]:
        """Return the queries of the headline table, by their column's name."""
        return {
            "mix": self.classes(),
            "S": self.classes("<1%"),
            "L": self.classes(">5%"),
            "never": self.classes(which="never"),
            "colour": self.colored(),
        }


def features(
    name: str, regions: str, options: argparse.Namespace, model: Model | None = None
) -> FeatureCache:
    """Return the features of a standard set, from the cache or written now."""
    model = model or load_model(options.model)
    out = feature_folder(name, regions, options, model)
    images = load(options.scenes / name).images
    if options.quick:
        images = images[:QUICK_IMAGES]

    def progress(done: int) -> None:
        print(f"\r{name} {regions}: {done}/{len(images)}", end="", file=sys.stderr)

    return write_features(images, model, regions, out, progress)


def feature_folder(name: str, regions: str, options: argparse.Namespace, model: Model) -> Path:
    """Return where the features of a standard set are; what found objects is part of the name."""
    parts = [name, regions]
    if model.objects is not None and OBJECTS.fullmatch(regions):
        parts.append(model.objects.version)
    if options.quick:
        parts.append("quick")
    return Path(options.features / model.fingerprint / "-".join(parts))


def scores(queries: Queries, vectors: Sequence[Float32]) -> np.ndarray:
    """Return each image's best cosine (t, n) over its vectors (k, d)."""
    return np.stack([(queries.texts @ each.T).max(axis=1) for each in vectors], axis=1)


def recall(queries: Queries, found: np.ndarray) -> float:
    """Return class-prompt Recall@1 in percent."""
    return 100 * class_prompt_recall(found, queries.relevant, queries.gallery, 1)


def bootstrap(
    queries: Queries, methods: dict[str, np.ndarray], seed: int = 0
) -> dict[str, np.ndarray]:
    """Return Recall@1 of each method's scores (t, n) on the same resamples of the images.

    Differences of the arrays give paired intervals.
    """
    rng = np.random.default_rng(seed)
    count = queries.relevant.shape[1]
    drawn = {name: np.empty(RESAMPLES) for name in methods}
    for sample in range(RESAMPLES):
        rows = rng.integers(count, size=count)
        part = Queries(queries.texts, queries.relevant[:, rows], queries.gallery[:, rows])
        for name, found in methods.items():
            drawn[name][sample] = recall(part, found[:, rows])
    return drawn


def interval(values: np.ndarray) -> str:
    """The 95 % interval of bootstrap values, for people."""
    low, high = np.percentile(values, [2.5, 97.5])
    return f"[{low:.1f}, {high:.1f}]"


def means_of_samples(
    values: np.ndarray, samples: int = 2000, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the means of values (n,) on bootstrap samples; weights: what each value counts."""
    counts = np.ones(len(values)) if weights is None else weights
    drawn = np.random.default_rng(0).integers(len(values), size=(samples, len(values)))
    return (values * counts)[drawn].sum(axis=1) / counts[drawn].sum(axis=1)


def gain(values: np.ndarray, samples: int = 2000) -> str:
    """The mean of paired differences and its 95 % interval, for people."""
    return f"{values.mean():+.1f} {interval(means_of_samples(values, samples))}"


def of_first_images(negatives: HardNegatives, images: int) -> HardNegatives:
    """Return the hard negatives of the first images."""
    rows = np.flatnonzero(negatives.image < images)
    texts = (negatives.kinds, negatives.true, negatives.false)
    return HardNegatives(negatives.image[rows], *(tuple(t[i] for i in rows) for t in texts))


def recovery(fused: float, whole: float, regions: float) -> float:
    """How much of what the regions add a fusion keeps, in percent."""
    return 100 * (fused - whole) / (regions - whole)


def whole_and_regions(test: TestSet) -> dict[str, list[Float32]]:
    """Return the vectors of the two references: the whole image, and all of CC@10."""
    seen = test.seen("cc10")
    return {
        "whole image": [each.embeddings[:1] for each in seen],
        "CC@10 max": [each.embeddings for each in seen],
    }


def print_table(head: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> None:
    """Print rows under a head; see `format_table`."""
    print(format_table(head, rows))


def report(lines: Sequence[str], out: Path | None) -> None:
    """Print lines, and write them to a file as well where one is named."""
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if out is not None:
        out.write_text(text, encoding="utf-8")


def pyplot():
    """Return matplotlib's pyplot, which draws into files alone."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as found

    return found


# DetailCLIP, arXiv 2208.14649: table, dataset, method, input, Recall@1.
PAPER = (
    ("7", "mix", "CLIP ViT-B/32", "whole image", 20.35),
    ("7", "mix", "CLIP ViT-B/32", "CC@10 max", 41.78),
    ("7", "mix", "DetailCLIP", "fused", 41.10),
    ("7", "S", "CLIP ViT-B/32", "whole image", 3.18),
    ("7", "S", "CLIP ViT-B/32", "CC@10 max", 29.30),
    ("7", "S", "DetailCLIP", "fused", 26.30),
    ("7", "L", "CLIP ViT-B/32", "whole image", 25.67),
    ("7", "L", "CLIP ViT-B/32", "CC@10 max", 38.97),
    ("7", "L", "DetailCLIP", "fused", 39.23),
    ("9", "mix", "not tuned", "whole image", 20.35),
    ("9", "mix", "MLP-1", "whole image", 18.57),
    ("9", "mix", "MLP-2", "whole image", 19.85),
    ("9", "mix", "MLP-3", "whole image", 19.42),
    ("9", "mix", "MLP-1 with BN", "whole image", 17.22),
    ("9", "mix", "MLP-2 with BN", "whole image", 15.90),
    ("9", "mix", "MLP-3 with BN", "whole image", 15.12),
    ("9", "mix", "transformer", "whole image", 17.16),
    ("10", "mix", "CLIP ViT-B/32", "CC@10 max", 41.78),
    ("10", "mix", "CLIP ViT-B/32", "CC@10 mean", 40.21),
    ("10", "S", "CLIP ViT-B/32", "CC@10 max", 29.30),
    ("10", "S", "CLIP ViT-B/32", "CC@10 mean", 25.29),
    ("10", "L", "CLIP ViT-B/32", "CC@10 max", 38.97),
    ("10", "L", "CLIP ViT-B/32", "CC@10 mean", 24.83),
    ("fig7", "mix", "CLIP ViT-B/32", "true boxes", 51.57),
)

DIFFERS = (
    "What differs: the paper's encoder is CLIP ViT-B/32 at 224 px on 10,000 scenes of 51 ShapeNet "
    "classes; ours is mini at 64 px on procedural classes, and mini was trained on such scenes. "
    "Compare ratios, not levels."
)
