"""Sentences and images: linear probe, region fusion, SCAN, ADAPT and SGRAF under one protocol.

python experiments/caption_retrieval.py [--seeds 3] [--quick]
    [--part table|ablation|rerank|negatives|all]

Trained on the captions of train-textured, the epoch chosen on val-textured, tested once on
test-textured: five captions per image, image to text R@K, text to image R@K and their sum. Regions
are those that `finesight index` keeps by default (--regions normal): the whole image and the crops
that the model itself proposes, of a frozen encoder. What is trained is kept beside the features,
with the scores of the test set; a run that was stopped goes on.

A caption such as "a photo of a mug" is true of every image with a mug, but the protocol knows one
right image: no model can reach 100 %. "ceiling" is a reader who knows all that is true and then
guesses. "phrases" is what a typed search does, without training: a sentence is taken apart and each
phrase scored by its best region.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from protocol import arguments, feature_folder, features, of_first_images, print_table

from finesight import load_model
from finesight.proposals import resolve_effort
from finesight.queries.grammar import take_apart
from finesight.research.datasets import scene_texts
from finesight.research.datasets.records import CaptionSet
from finesight.research.evaluation.captions import Scorer, hard_negative_accuracy, score_pairs
from finesight.research.metrics import KS, CaptionRecalls, caption_recalls
from finesight.research.networks.matcher import Matcher, MatcherSettings
from finesight.research.networks.matcher_kinds import ENSEMBLES, KINDS, build_matcher
from finesight.research.networks.region_fusion import RegionFusionSettings, WithTextHead
from finesight.research.training.matcher.loop import PROBE, Recipe
from finesight.research.training.matcher.pairs import CaptionPairs
from finesight.research.training.matcher.region_fusion import FusionOnPairs, train_region_fusion
from finesight.research.training.matcher.training import (
    LONGEST_CAPTION,
    RECIPES,
    MatcherOnPairs,
    train_matcher,
)
from finesight.research.training.run import Run
from finesight.research.training.vocabulary import build_tokenizer, tokens, words_of

QUICK_EPOCHS = 1
SIZES = {"hidden": 128, "word_width": 128, "similarity": 64}
"""Small as mini's own 128; the papers' 1024, 300 and 256 are the defaults of the networks."""

EPOCHS = {"scan-t2i": 12, "scan-i2t": 12, "adapt-t2i": 14, "adapt-i2t": 8, "sgr": 5, "saf": 8}
PROBES = {
    "linear-probe": replace(PROBE, epochs=30, rate=1e-4),
    "region-fusion": replace(PROBE, epochs=20, rate=1e-3),
}
ABLATION = {
    "default (lambda 10)": {},
    "no fovea": {"fovea": False},
    "lambda 1": {"smooth": 1.0},
    "lambda 5": {"smooth": 5.0},
    "lambda learned": {"learned": True},
}
PAPER = {  # Flickr30K 1K: image to text and text to image R@1, and where they stand
    "linear probe": (82.3, 65.1, "region-fusion poster"),
    "region fusion": (88.9, 73.6, "region-fusion poster"),
    "scan-t2i": (61.8, 45.8, "ADAPT poster"),
    "scan-i2t": (67.9, 43.9, "ADAPT poster"),
    "scan": (67.4, 48.6, "both posters"),
    "adapt-t2i": (73.6, 57.0, "ADAPT poster"),
    "adapt-i2t": (70.2, 55.5, "ADAPT poster"),
    "adapt": (76.6, 60.7, "ADAPT poster"),
    "sgraf": (77.8, 58.5, "region-fusion poster"),
}
PAPER_ABLATION = {
    "default (lambda 10)": (76.2, 57.4),
    "no fovea": (72.4, 52.9),
    "lambda 1": (72.3, 56.8),
    "lambda 5": (75.1, 57.5),
    "lambda learned": (75.7, 58.1),
}
COLUMNS = ("seeds", *(f"i2t@{k}" for k in KS), *(f"t2i@{k}" for k in KS), "rsum")
TOP = 0.05  # of the gallery that is re-ranked
ROWS = ("linear-probe", "region-fusion", *KINDS, *ENSEMBLES)


class Bench:
    """The three sets with their features, and what was trained and scored before."""

    def __init__(self, options) -> None:
        torch.set_num_threads(1)
        self.options = options
        self.model = load_model(options.model)
        self.regions = resolve_effort(options.regions, self.model.capabilities)
        self.train, self.held, self.test = (
            self._pairs(name) for name in ("train-textured", "val-textured", "test-textured")
        )
        self.tokenizer = build_tokenizer(words_of(self.train.captions), LONGEST_CAPTION)
        folder = feature_folder("matchers", self.regions, options, self.model).name
        self.place = options.features.parent / "matchers" / self.model.fingerprint / folder

    def _pairs(self, name: str) -> CaptionPairs:
        captions: CaptionSet = scene_texts.load_captions(self.options.scenes / name)
        cache = features(name, self.regions, self.options, self.model)
        if self.options.quick:
            captions = captions_of(captions, len(cache))
        if name == "test-textured":
            self.captions = captions
        return CaptionPairs(cache, captions.captions, captions.owner)

    def scores(self, name: str, seed: int, **options) -> np.ndarray:
        """The scores of the test set (n, t) of a kind; an ensemble's are its members' mean."""
        if name in ENSEMBLES:
            return np.mean([self.scores(kind, seed) for kind in ENSEMBLES[name]], axis=0)
        kept = self._kept(name, seed, options).with_suffix(".npy")
        if not kept.exists():
            model = self.trained(name, seed, **options)
            start = time.process_time()
            found = model.all_scores()
            seconds = time.process_time() - start
            np.save(kept, found.astype(np.float32))
            print(f"{kept.stem}: {found.size:,} pairs scored in {seconds:.0f} s", flush=True)
        return np.load(kept)

    def seeds(self, name: str, **options) -> list[int]:
        """The seeds to report a kind with: all, or with --cached those that are there."""
        wanted = range(1 if self.options.quick else self.options.seeds)
        if not self.options.cached:
            return list(wanted)
        parts = ENSEMBLES.get(name, (name,))
        return [
            seed
            for seed in wanted
            if all(self._kept(part, seed, options).with_suffix(".npy").exists() for part in parts)
        ]

    def recalls(self, name: str, seed: int, **options) -> CaptionRecalls:
        """The recalls on the test set."""
        kept = self._kept(name, seed, options).with_suffix(".json")
        if not kept.exists():
            found = caption_recalls(self.scores(name, seed, **options), self.test.owner)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps([found.i2t, found.t2i]))
        i2t, t2i = json.loads(kept.read_text())
        return CaptionRecalls(tuple(i2t), tuple(t2i))

    def trained(self, name: str, seed: int, **options) -> MatcherOnPairs | FusionOnPairs:
        """A trained kind on the test pairs, from the cache or trained now."""
        path = self._kept(name, seed, options).with_suffix(".pt")
        fresh = not path.exists()
        if name in PROBES:
            return self._fusion(name, seed, path, fresh)
        settings = MatcherSettings(
            name,
            self.model.encoder.width,
            self.tokenizer.get_vocab_size(),
            **(SIZES | options),
        )
        matcher = build_matcher(settings)
        if fresh:
            start = time.process_time()
            matcher, score = train_matcher(
                settings,
                self.train,
                self.held,
                self.tokenizer,
                lambda kind: self._recipe(kind, seed),
                Run(
                    path.with_suffix(".checkpoint"),
                    lambda step: print(f"{path.stem} {step}", flush=True),
                ),
            )
            self._keep(matcher, path, score, time.process_time() - start)
        matcher.load_state_dict(torch.load(path, weights_only=True))
        return MatcherOnPairs(matcher.eval(), self.test, self.tokenizer)

    def _fusion(self, name: str, seed: int, path: Path, fresh: bool) -> FusionOnPairs:
        settings = RegionFusionSettings(
            name, self.model.encoder.width, feed_forward=256, dropout=0.3
        )
        module = WithTextHead(settings)
        encode = self.model.encoder.encode_texts
        if fresh:
            start = time.process_time()
            recipe = replace(PROBES[name], seed=seed)
            if self.options.quick:
                recipe = replace(recipe, epochs=QUICK_EPOCHS)
            module, score = train_region_fusion(settings, self.train, self.held, encode, recipe)
            self._keep(module, path, score, time.process_time() - start)
        module.load_state_dict(torch.load(path, weights_only=True))
        return FusionOnPairs(module.eval(), self.test, encode(list(self.test.captions)))

    def _recipe(self, kind: str, seed: int) -> Recipe:
        epochs = QUICK_EPOCHS if self.options.quick else EPOCHS[kind]
        recipe = replace(RECIPES[kind], epochs=epochs, batch=64, seed=seed)
        if kind.startswith("adapt"):  # 4,000 steps of warm-up are 51 of our epochs
            return replace(recipe, rate=3e-3, warm_up=200, drop_after=0.6)
        return replace(recipe, rate=2e-3 if kind in ("sgr", "saf") else 1e-3, drop_after=0.6)

    def _keep(self, module: torch.nn.Module, path: Path, score: float, seconds: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(module.state_dict(), path)
        for left in path.parent.glob(f"{path.stem}.checkpoint*"):
            left.unlink()
        print(f"{path.stem}: validation {score:.1f}, trained in {seconds:.0f} s", flush=True)

    def _kept(self, name: str, seed: int, options: dict) -> Path:
        changed = "".join(f"-{key}={value}" for key, value in sorted(options.items()))
        quick = "-quick" if self.options.quick else ""
        return self.place / f"{name}{changed}-seed{seed}{quick}"


def captions_of(captions: CaptionSet, images: int) -> CaptionSet:
    """The first images of a set with their captions."""
    few = captions.owner < images
    count = int(few.sum())
    more = captions.more[(captions.more[:, 0] < images) & (captions.more[:, 1] < count)]
    return CaptionSet(
        captions.name,
        captions.images[:images],
        captions.captions[:count],
        captions.owner[few],
        more,
    )


def main() -> None:
    """Train what is not there yet, test it, and print the tables."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--part", choices=("table", "ablation", "rerank", "negatives", "all"), default="all"
    )
    parser.add_argument("--only", help="train and score this kind alone, and print no table")
    parser.add_argument("--regions", default="normal", help="the region proposals")
    parser.add_argument("--cached", action="store_true", help="train nothing: what is there")
    parser.add_argument("--kinds", nargs="+", default=ROWS, choices=ROWS, help="rows of the table")
    options = parser.parse_args()
    bench = Bench(options)
    seeds = range(1 if options.quick else options.seeds)
    if options.only:
        for seed in seeds:
            bench.recalls(options.only, seed)
        return
    if options.part in ("table", "all"):
        _table(bench, options.kinds)
    if options.part in ("ablation", "all"):
        _ablation(bench)
    if options.part in ("rerank", "all"):
        _rerank(bench, seeds[0])
    if options.part in ("negatives", "all"):
        _negatives(bench, seeds[0], [name for name in options.kinds if name not in ENSEMBLES])


def _table(bench: Bench, kinds: Sequence[str]) -> None:
    images, texts = len(bench.test.regions), len(bench.test)
    print(
        f"\ntest-textured, {images:,} images, {texts:,} captions, {bench.model.name}, regions "
        f"{bench.regions}; R@K in percent, mean ± standard deviation over seeds"
    )
    chance = caption_recalls(np.zeros((images, texts)), bench.test.owner)
    rows = [
        _row("chance", [chance]),
        ["ceiling", "-", *[100.0] * 3, *_ceiling(bench.captions), "", ""],
        _row("phrases", [caption_recalls(Phrases(bench).scores(texts), bench.test.owner)]),
    ]
    found: dict[str, list[CaptionRecalls]] = {}
    for name in kinds:
        seeds = bench.seeds(name)
        if not seeds:
            continue
        found[name] = [bench.recalls(name, seed) for seed in seeds]
        rows.append(_row(name.replace("-", " ") if name in PROBES else name, found[name]))
    print_table(("model", *COLUMNS, "paper i2t@1/t2i@1"), rows)
    if set(PROBES) <= set(found):
        probe, fusion = (_mean(found[name]) for name in PROBES)
        print(
            f"\nregion fusion over the linear probe, relative R@1: image to text "
            f"{100 * (fusion[0] / probe[0] - 1):+.0f} % (poster +8 %), text to image "
            f"{100 * (fusion[3] / probe[3] - 1):+.0f} % (poster +13 %); the linear probe's R@1 is "
            f"{probe[0] / chance.i2t[0]:.0f} and {probe[3] / chance.t2i[0]:.0f} times chance"
        )
    if {"adapt", "scan"} <= set(found):
        gap = [a.rsum - s.rsum for a, s in zip(found["adapt"], found["scan"], strict=False)]
        print("ADAPT over SCAN, rsum of the ensembles by seed:", *(f"{each:+.1f}" for each in gap))
    print(
        "What differs: the posters' images are photographs with five human captions each, their "
        "regions are of a detector; ours are rendered scenes, the captions made from the scene, "
        "mini's proposals and 128 numbers a region. Captions of level 1 and 2 name one object and "
        "are true of many images. Compare differences, not levels."
    )


def _row(name: str, found: Sequence[CaptionRecalls]) -> list[object]:
    values = np.array([[*each.i2t, *each.t2i, each.rsum] for each in found])
    mean, spread = values.mean(axis=0), values.std(axis=0)
    cells = [
        f"{m:.1f} ± {s:.1f}" if len(found) > 1 else f"{m:.1f}"
        for m, s in zip(mean, spread, strict=True)
    ]
    paper = PAPER.get(name)
    return [
        name,
        len(found),
        *cells,
        f"{paper[0]:.1f} / {paper[1]:.1f} ({paper[2]})" if paper else "-",
    ]


def _mean(found: Sequence[CaptionRecalls]) -> np.ndarray:
    return np.mean([[*each.i2t, *each.t2i] for each in found], axis=0)


def _ceiling(captions: CaptionSet) -> list[float]:
    """Text to image R@K of one who knows every image that a caption is true of, and guesses."""
    true = captions.relevant().sum(axis=0)
    return [100 * float(np.mean(np.minimum(k, true) / true)) for k in KS]


def _ablation(bench: Bench) -> None:
    print("\nADAPT-T2I, what the fovea and its lambda do (poster: Flickr30K)")
    rows = []
    for name, options in ABLATION.items():
        seeds = bench.seeds("adapt-t2i", **options)
        if not seeds:
            continue
        found = [bench.recalls("adapt-t2i", seed, **options) for seed in seeds]
        paper = PAPER_ABLATION[name]
        rows.append([*_row(name, found)[:-1], f"{paper[0]:.1f} / {paper[1]:.1f}"])
    print_table(("variant", *COLUMNS, "paper"), rows)


class Phrases:
    """A typed search's first stage, untrained: each phrase of a sentence by its best region."""

    def __init__(self, bench: Bench) -> None:
        asked = [take_apart(caption).phrases for caption in bench.test.captions]
        known = {each.text: None for phrases in asked for each in phrases}
        place = {text: number for number, text in enumerate(known)}
        self.texts = bench.model.encoder.encode_texts(list(known))
        self.asked = [[place[each.text] for each in phrases] for phrases in asked]
        cache = bench.test.regions
        parts = [cache[image].embeddings for image in range(len(cache))]
        self.starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
        self.regions = np.concatenate(parts)

    def scores(self, captions: int) -> np.ndarray:
        """Return the scores (n, t) of all images for the first captions, one after another."""
        columns = []
        for asked in self.asked[:captions]:
            found = self.texts[asked] @ self.regions.T
            columns.append(np.maximum.reduceat(found, self.starts, axis=1).mean(axis=0))
        return np.stack(columns, axis=1)


def _rerank(bench: Bench, seed: int, queries: int = 200) -> None:
    """Text to image: the matcher sees the best of a first stage, one query after another."""
    phrases = Phrases(bench)
    start = time.perf_counter()
    phrases.scores(queries)
    seconds = time.perf_counter() - start
    before = phrases.scores(len(bench.test))
    _reranked(bench, seed, "phrase by phrase", before, seconds, queries)
    # One product of vectors, whose time does not show beside a matcher's.
    _reranked(bench, seed, "region fusion", bench.scores("region-fusion", seed), 0.0, queries)


def _reranked(
    bench: Bench, seed: int, first: str, before: np.ndarray, seconds: float, queries: int
) -> None:
    """Print what matchers keep of their R@1; seconds: of the first stage for so many queries."""
    images = len(bench.test.regions)
    top = max(1, round(TOP * images))
    nearest = np.argsort(-before, axis=0, kind="stable")[:top]
    there = 100 * float((nearest == bench.test.owner).any(axis=0).mean())
    alone = caption_recalls(before, bench.test.owner).t2i[0]
    print(
        f"\nre-ranking the best {top} of {images:,} of {first} (t2i@1 {alone:.1f}), one query at a "
        f"time; the right image is among them for {there:.1f} % of the captions"
    )
    rows = []
    for name in ("scan-t2i", "scan", "adapt-t2i", "adapt", "saf", "sgr"):
        if not bench.seeds(name):
            continue
        full = bench.scores(name, seed)
        after = np.full_like(full, -np.inf)
        np.put_along_axis(after, nearest, np.take_along_axis(full, nearest, axis=0), axis=0)
        # Behind those that were re-ranked, none is ranked any more: far below, in no order.
        after[~np.isfinite(after)] = full.min() - 1
        whole, few = (caption_recalls(each, bench.test.owner).t2i[0] for each in (full, after))
        members = [bench.trained(kind, seed) for kind in ENSEMBLES.get(name, (name,))]
        slow = [_seconds(each, range(images), queries) for each in members]
        fast = [_seconds(each, nearest, queries) for each in members]
        again, both = (100 * each / sum(slow) for each in (sum(fast), seconds + sum(fast)))
        kept = f"{100 * few / whole:.1f} %"
        rows.append([name, whole, few, kept, f"{again:.1f} %", f"{both:.1f} %"])
    head = ("matcher", "t2i@1 of all", "of the best", "kept", "of its time", "with the first stage")
    print_table(head, rows)


@torch.inference_mode()
def _seconds(model: MatcherOnPairs, chosen: range | np.ndarray, queries: int) -> float:
    """Seconds of scoring some images for one text after another, the towers' work not counted."""
    matcher: Matcher = model.module
    images = model.encode_regions()
    ids, mask = tokens(model.tokenizer, model.pairs.captions[:queries])
    words = [
        (matcher.words(row[None, :n], here[None, :n]), here[None, :n].bool())
        for row, here, n in zip(ids, mask, mask.sum(dim=1).tolist(), strict=True)
    ]
    start = time.perf_counter()
    for query, (said, here) in enumerate(words):
        if isinstance(chosen, range):
            matcher.scores(images.parts, images.there, said, here)
        else:
            rows = torch.from_numpy(chosen[:, query])
            matcher.scores(images.parts[rows], images.there[rows], said, here)
    return time.perf_counter() - start


def _negatives(bench: Bench, seed: int, kinds: Sequence[str]) -> None:
    """Which models read, and which count words: a true caption against one that is nearly true."""
    pairs = scene_texts.load_negatives(bench.options.scenes / "test-textured")
    pairs = of_first_images(pairs, len(bench.test.regions))
    print(f"\nhard negatives, {len(pairs):,} pairs: how often the true caption wins, in percent")
    rows = []
    for name in kinds:
        model = bench.trained(name, seed)
        scorer = _fusion_scorer(bench, model) if name in PROBES else _matcher_scorer(model)
        found = hard_negative_accuracy(pairs, score_pairs(pairs, scorer))
        rows.append([name, *(f"{100 * each.right:.1f} ± {100 * each.error:.1f}" for each in found)])
        head = ("model", *(each.kind for each in found))
    print_table(head, rows)


def _matcher_scorer(model: MatcherOnPairs) -> Scorer:
    @torch.inference_mode()
    def score(images: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        regions, there, _ = model.pairs.images(images)
        return model.module(regions, there, *tokens(model.tokenizer, texts)).numpy()

    return score


def _fusion_scorer(bench: Bench, model: FusionOnPairs) -> Scorer:
    @torch.inference_mode()
    def score(images: Sequence[int], texts: Sequence[str]) -> np.ndarray:
        embeddings = torch.from_numpy(bench.model.encoder.encode_texts(list(texts)))
        return model.module(*model.pairs.images(images), embeddings).numpy()

    return score


if __name__ == "__main__":
    main()
