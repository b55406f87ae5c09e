"""How much of the 166 regions do k vectors keep? Trained and training-free fusions, by k.

python experiments/fusion_vectors.py [--regions cc10] [--set test-textured] [--seeds 3] [--paper 1]
        [--no-intervals] [--quick]

Everything that knows words knows the 36 classes that may be named; the test scenes have instances
that training never showed. Columns: the 36 named classes, and their small objects; all classes,
small objects, large ones, the 15 classes that nothing named, and "red mug"-like queries. Each cell:
Recall@1, and in brackets the recovery, (fused − whole) / (CC@10 max − whole). The paper's
encoder-decoder (tiny, zero-initialised residual, query proxy loss) is trained on the textured and
plain training scenes, its best epoch chosen on the validation scenes; so are clusters, of regions
other than CC@10, where `mini`'s own were trained. Rows of trained fusions are means over seeds ±
standard deviation.
"oracle" weights regions by how well they frame a true object, which no one knows at search time: a
bound for what clusters of these regions can keep. --regions: what is fused, other proposals
than CC@10, which stays what recovery is measured against. Below stand paired bootstrap intervals of
the differences to CC@10 max and to the training-free clusters of CC@10 of the same k.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from protocol import (
    Queries,
    TestSet,
    arguments,
    bootstrap,
    feature_folder,
    features,
    interval,
    print_table,
    pyplot,
    recall,
    recovery,
    scores,
    whole_and_regions,
)

from finesight.boxes import areas, intersections
from finesight.fusion import ClosedForm, farthest_points, salient_clusters
from finesight.fusion.training_free import cluster
from finesight.research.networks.fusion import FusionNetwork, FusionSettings, build_fusion
from finesight.research.training.features import FeatureCache, join_features
from finesight.research.training.fusion.data import recall_of_classes
from finesight.research.training.fusion.proxies import TEMPLATES, Proxies, build_proxies
from finesight.research.training.fusion.training import FusionTraining, fill_table, train_fusion
from finesight.types import Float32, ImageVectors

KS = (1, 2, 4, 8, 16, 32)
PAPER = {"kind": "transformer", "size": "tiny", "residual": True}
EPOCHS, EPOCHS_OF_FEW, QUICK_EPOCHS = 8, 40, 1
"""Of the paper's fusion, of 166 regions and of fewer: what eight minutes on two cores allow."""
MIXED = {"texts": 128, "directions": 64, "patches": 64}
"""Proxies a step of the clusters, as `finesight train fusion` has them with words."""
RANK = {"rank": 1.0}
_IMAGES = 128


def main() -> None:
    """Train, test and print; fusions that were trained before are read from the cache."""
    parser = arguments(__doc__, "test-textured", plot=True)
    parser.add_argument("--regions", default="cc10", help="what is fused")
    parser.add_argument("--seeds", type=int, default=3, help="of the clusters trained here")
    parser.add_argument("--paper", type=int, default=1, help="seeds of its fusion; 0: without it")
    parser.add_argument("--no-intervals", action="store_true", help="the table alone: minutes less")
    options = parser.parse_args()
    held = TestSet("val-textured", options)
    model = held.model
    names = ("train-textured",) if options.quick else ("train-textured", "train-plain")
    for name in names:
        features(name, options.regions, options, model)
    train = join_features([feature_folder(n, options.regions, options, model) for n in names])
    words = [c for c in held.scenes.classes if c not in held.scenes.never_named]
    proxies = build_proxies(model.encoder, words, {"texts": len(TEMPLATES) * len(words)}, TEMPLATES)
    width = model.encoder.width
    trained: dict[str, list[FusionNetwork]] = {"score table": [fill_table(train, proxies)]}
    if options.regions != "cc10":
        mixed = build_proxies(model.encoder, words, MIXED, TEMPLATES)
        network = FusionSettings("clusters", width, 8, geometry=True, directions=mixed.begin_with)
        training = FusionTraining(epochs=QUICK_EPOCHS if options.quick else 30, losses=RANK)
        trained["clusters trained on these"] = [
            _train("clusters", network, training, seed, (train, mixed), held, options)
            for seed in range(1 if options.quick else options.seeds)
        ]
    if options.paper:
        network = FusionSettings(width=width, **PAPER)
        epochs = EPOCHS if options.regions == "cc10" else EPOCHS_OF_FEW
        training = FusionTraining(epochs=QUICK_EPOCHS if options.quick else epochs)
        trained["paper's encoder-decoder"] = [
            _train("paper", network, training, seed, (train, proxies), held, options)
            for seed in range(1 if options.quick else options.paper)
        ]
    test = TestSet(options.set, options)
    print(
        f"\n{test.name}, {test.count} images, {model.name}, {len(train)} training images; fused: "
        f"{options.regions}"
    )
    curves = _report(test, trained)
    if options.plot:
        _plot(curves, options.plot)


def _train(
    name: str,
    settings: FusionSettings,
    training: FusionTraining,
    seed: int,
    source: tuple[FeatureCache, Proxies],
    held: TestSet,
    options,
) -> FusionNetwork:
    """Train a fusion with one seed, or read what was trained before."""
    place = options.features.parent / "fusions" / held.model.fingerprint
    folder = feature_folder(name, options.regions, options, held.model)
    path = place / f"{folder.name}-{seed}.pt"
    if path.exists():
        network = build_fusion(settings)
        network.load_state_dict(torch.load(path, weights_only=True))
        return network.eval()
    cache = features("val-textured", options.regions, options, held.model)
    texts = torch.from_numpy(held.prompts(held.scenes.classes))
    scenes = held.scenes
    if options.quick:
        scenes = replace(scenes, images=scenes.images[: len(cache)])
    # Of the epochs, one is chosen for all k that a network serves.
    ks = (1,) if name == "paper" else (1, 4, 8)
    validate = recall_of_classes(cache, scenes, texts, ks)
    start = time.monotonic()
    train, proxies = source
    network, score = train_fusion(train, settings, replace(training, seed=seed), proxies, validate)
    print(f"{name}, seed {seed}: {time.monotonic() - start:.0f} s, validation {100 * score:.1f}")
    place.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return network


def framing(seen: ImageVectors, boxes: np.ndarray) -> Float32:
    """How well each region (p,) frames a true box (n, 4): 1 whole and large, 0 not at all."""
    best = np.zeros(len(seen.boxes), np.float32)
    sides = (seen.boxes[:, 2:] - seen.boxes[:, :2]).max(axis=1)
    for box in boxes:
        inside = intersections(seen.boxes, box) / areas(box)
        fill = (box[2:] - box[:2]).max() / sides
        good = inside**2 * np.minimum(1, fill / 0.6) * np.minimum(1, 1.6 / fill)
        best = np.maximum(best, good.astype(np.float32))
    return best


def vectors_of(network: FusionNetwork, cache: FeatureCache, k: int) -> list[Float32]:
    """Fuse every image of a cache to k vectors."""
    network.vectors = k
    found = []
    with torch.inference_mode():
        for start in range(0, len(cache), _IMAGES):
            arrays = cache.padded(range(start, min(start + _IMAGES, len(cache))))
            regions, boxes, there = (torch.from_numpy(part) for part in arrays)
            found.extend(network(regions, there, boxes).numpy())
    return found


def _report(test: TestSet, trained: dict[str, list[FusionNetwork]]) -> dict:
    """Print the table of one set; return the curves over k."""
    cache = features(test.name, test.options.regions, test.options, test.model)
    seen = test.seen(test.options.regions)
    named = np.array([c not in test.scenes.never_named for c in test.scenes.classes])
    closed = ClosedForm(test.prompts(test.scenes.classes)[named])
    methods: dict[str, list[list[Float32]]] = {n: [v] for n, v in whole_and_regions(test).items()}
    if test.options.regions != "cc10":
        methods[f"{test.options.regions} max"] = [[each.embeddings for each in seen]]
    methods["true boxes"] = [[each.embeddings[1:] for each in test.seen("annotated")]]
    methods["closed form k=1"] = [[closed(each) for each in seen]]
    for k in KS:
        methods[f"farthest points k={k}"] = [[farthest_points(each, k) for each in seen]]
    for k in KS:
        methods[f"salient k={k}"] = [[salient_clusters(each, k) for each in seen]]
    if test.options.regions != "cc10":
        for k in KS:
            methods[f"CC@10 salient k={k}"] = [
                [salient_clusters(each, k) for each in test.seen("cc10")]
            ]
    truth = [np.array([t.box for t in i.objects]) for i in test.scenes.images[: test.count]]
    weights = [framing(each, boxes) for each, boxes in zip(seen, truth, strict=True)]
    for k in KS:
        methods[f"oracle k={k}"] = [
            [cluster(e.embeddings, w, k) for e, w in zip(seen, weights, strict=True)]
        ]
    for k in KS:
        methods[f"{test.model.name}'s clusters k={k}"] = [[test.model.fuse(e, k) for e in seen]]
    for name, networks in trained.items():
        for k in KS if networks[0].any_number else (networks[0].settings.vectors,):
            methods[f"{name} k={k}"] = [vectors_of(network, cache, k) for network in networks]
    named_ones = {"named": "all", "named S": "<1%"}
    queries = {c: test.classes(subset, "named") for c, subset in named_ones.items()}
    queries |= test.all_queries()
    values = {
        method: {
            column: [scores(asked, each) for each in runs] for column, asked in queries.items()
        }
        for method, runs in methods.items()
    }
    table, curves = [], {}
    for method, columns in values.items():
        cells: list[object] = [method]
        for column, runs in columns.items():
            asked = queries[column]
            found = [recall(asked, run) for run in runs]
            whole, regions = (
                recall(asked, values[m][column][0]) for m in ("whole image", "CC@10 max")
            )
            kept = recovery(float(np.mean(found)), whole, regions)
            spread = f" ±{np.std(found):.1f}" if len(found) > 1 else ""
            cells.append(f"{np.mean(found):.1f}{spread} ({kept:.0f} %)")
            curves.setdefault(column, {})[method] = (float(np.mean(found)), kept)
        table.append(cells)
    print_table(["", *queries], table)
    salient = ["salient"] if test.options.regions != "cc10" else []
    if not test.options.no_intervals:
        _differences(queries, values, [*trained, f"{test.model.name}'s clusters", *salient])
    return curves


def _differences(
    queries: dict[str, Queries], values: dict[str, dict[str, list]], names: list[str]
) -> None:
    """Print intervals of the differences to CC@10 max and to its salient clusters of the same k."""
    print("\ndifferences in Recall@1, [95 %] over images:")
    rows = []
    for name in names:
        for k in KS[:4]:
            method = f"{name} k={k}"
            if method not in values:
                continue
            row: list[object] = [method]
            for column, asked in queries.items():
                free = f"CC@10 salient k={k}"
                others = {"CC": "CC@10 max", "free": free if free in values else f"salient k={k}"}
                found = {m: values[m][column][0] for m in (method, *others.values())}
                drawn = bootstrap(asked, found)
                row.append(
                    "  ".join(
                        f"{short} {recall(asked, found[method]) - recall(asked, found[other]):+.1f}"
                        f" {interval(drawn[method] - drawn[other])}"
                        for short, other in others.items()
                    )
                )
            rows.append(row)
    print_table(["minus", *queries], rows)


def _plot(curves: dict, path: Path) -> None:
    shown = {"mix": "all classes", "never": "never-named classes", "colour": "colour and class"}
    figure, axes = pyplot().subplots(1, len(shown), figsize=(11, 3.6), layout="constrained")
    for axis, (column, title) in zip(axes, shown.items(), strict=True):
        found = curves[column]
        families = sorted({method.rsplit(" k=", 1)[0] for method in found if " k=" in method})
        for family in families:
            points = [(k, found[f"{family} k={k}"][1]) for k in KS if f"{family} k={k}" in found]
            axis.plot(*zip(*points, strict=True), "o-", ms=3, label=family)
        axis.axhline(100, color="gray", lw=0.8)
        axis.set_xscale("log", base=2)
        axis.set(title=title, xlabel="vectors per image", ylabel="recovery, %", ylim=(-5, 125))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.savefig(path)


if __name__ == "__main__":
    main()
