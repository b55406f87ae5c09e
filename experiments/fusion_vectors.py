"""How much of the 166 regions do k vectors keep? Trained and training-free fusions, by k.

python experiments/fusion_vectors.py [--seeds 3] [--plot FILE] [--quick]

Fusions are trained on the textured and plain training scenes with the 36 classes that may be named
(and their colours, where a row says so), the best epoch is chosen on the validation scenes, and
tested on scenes with instances that neither has. Columns: all objects, small ones, large ones, the
15 classes that no training named, and "red mug"-like queries. Each cell: Recall@1, and in brackets
the recovery, (fused − whole) / (CC@10 max − whole). Rows of trained fusions are means over seeds;
below the table stand paired bootstrap intervals of the differences to CC@10 max and to the
training-free clusters of the same k, for the first seed.
"""

import time
from pathlib import Path

import numpy as np
import torch
from fusion_recipes import RECIPES, Recipe
from protocol import (
    Queries,
    TestSet,
    arguments,
    bootstrap,
    features,
    interval,
    print_table,
    recall,
    recovery,
    scores,
    whole_and_regions,
)

from finesight.fusion import ClosedForm, farthest_points, salient_clusters
from finesight.networks.fusion import FusionNetwork
from finesight.training.features import FeatureCache, join_features
from finesight.training.fusion import train_fusion
from finesight.training.fusion_validation import RecallOfClasses
from finesight.training.proxies import build_proxies
from finesight.types import Float32

KS = (1, 2, 4, 8, 16, 32)
HEADLINE = (1, 2, 4, 8)
QUICK_EPOCHS = 2
_IMAGES = 128


def main() -> None:
    """Train, test and print; fusions that were trained before are read from the cache."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--only", nargs="*", default=list(RECIPES), help="recipes to train")
    options = parser.parse_args()
    seeds = 1 if options.quick else options.seeds
    held = TestSet("val-textured", options)
    model = held.model
    names = ("train-textured",) if options.quick else ("train-textured", "train-plain")
    caches = [features(name, "cc10", options, model) for name in names]
    suffix = "-cc10-quick" if options.quick else "-cc10"
    train = join_features([options.features / model.fingerprint / f"{n}{suffix}" for n in names])
    assert len(train) == sum(map(len, caches))
    trained = {
        name: [_train(name, seed, train, held, options) for seed in range(seeds)]
        for name in options.only
    }
    curves = {}
    for name in ("test-textured",) if options.quick else ("test-textured", "test-plain"):
        test = TestSet(name, options)
        print(f"\n{name}, {test.count} images, {model.name}, {len(train)} training images")
        curves[name] = _report(test, trained)
    if options.plot:
        _plot(curves["test-textured"], options.plot)


def _train(name: str, seed: int, train: FeatureCache, held: TestSet, options) -> FusionNetwork:
    """Train one recipe with one seed, or read what was trained before."""
    recipe: Recipe = RECIPES[name]
    place = options.features.parent / "fusions" / held.model.fingerprint
    path = place / f"{name}-{seed}{'-quick' if options.quick else ''}.pt"
    if path.exists():
        network = recipe.build(held.model.encoder.width)
        network.load_state_dict(torch.load(path, weights_only=True))
        return network.eval()
    words = recipe.words(held.scenes.classes, held.scenes.never_named, held.scenes.colors)
    proxies = build_proxies(held.model.encoder, words, recipe.proxies, recipe.templates)
    cache = features("val-textured", "cc10", options, held.model)
    texts = torch.from_numpy(held.prompts(held.scenes.classes))
    scenes = held.scenes
    if options.quick:
        scenes = type(scenes)(**{**vars(scenes), "images": scenes.images[: len(cache)]})
    validate = RecallOfClasses(cache, scenes, texts, recipe.validated)
    settings = recipe.training(seed, QUICK_EPOCHS if options.quick else None)
    start = time.monotonic()
    network, score = train_fusion(
        train, recipe.settings(held.model.encoder.width), settings, proxies, validate
    )
    print(f"{name}, seed {seed}: {time.monotonic() - start:.0f} s, validation {100 * score:.1f}")
    place.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return network


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
    cache = features(test.name, "cc10", test.options, test.model)
    seen = test.seen("cc10")
    named = np.array([c not in test.scenes.never_named for c in test.scenes.classes])
    closed = ClosedForm(test.prompts(test.scenes.classes)[named])
    methods: dict[str, list[list[Float32]]] = {n: [v] for n, v in whole_and_regions(test).items()}
    methods["true boxes"] = [[each.embeddings[1:] for each in test.seen("annotated")]]
    methods["closed form k=1"] = [[closed(each) for each in seen]]
    for k in KS:
        methods[f"farthest points k={k}"] = [[farthest_points(each, k) for each in seen]]
    for k in KS:
        methods[f"salient k={k}"] = [[salient_clusters(each, k) for each in seen]]
    for name, networks in trained.items():
        for k in KS if networks[0].any_number else (networks[0].settings.vectors,):
            methods[f"{name} k={k}"] = [vectors_of(network, cache, k) for network in networks]
    queries = test.all_queries()
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
    _differences(queries, values, list(trained))
    return curves


def _differences(
    queries: dict[str, Queries], values: dict[str, dict[str, list]], names: list[str]
) -> None:
    """Print intervals of trained against CC@10 max and against salient clusters of the same k."""
    print("\ndifferences in Recall@1, [95 %] over images:")
    rows = []
    for name in names:
        for k in HEADLINE:
            method = f"{name} k={k}"
            if method not in values:
                continue
            row: list[object] = [method]
            for column, asked in queries.items():
                others = {"CC": "CC@10 max", "salient": f"salient k={k}"}
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
    print_table(["trained minus", *queries], rows)


def _plot(curves: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = {"mix": "all classes", "never": "never-named classes", "colour": "colour and class"}
    figure, axes = pyplot.subplots(1, len(shown), figsize=(11, 3.6), layout="constrained")
    for axis, (column, title) in zip(axes, shown.items(), strict=True):
        found = curves[column]
        families = sorted({method.rsplit(" k=", 1)[0] for method in found if " k=" in method})
        for family in families:
            points = [(k, found[f"{family} k={k}"][1]) for k in KS if f"{family} k={k}" in found]
            axis.plot(*zip(*points, strict=True), "o-", ms=3, label=family)
        axis.axhline(100, color="gray", lw=0.8)
        axis.set_xscale("log", base=2)
        axis.set(title=title, xlabel="vectors an image", ylabel="recovery, %", ylim=(-5, 125))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.savefig(path)


if __name__ == "__main__":
    main()
