"""Searching and indexing with two versions of the code, side by side in one run.

    python benchmarks/two_trees.py OLD NEW --quick                         # under 3 minutes
    python benchmarks/two_trees.py OLD NEW --out docs/results/two_trees.txt    # under 10 minutes

OLD and NEW are checkouts. Each measurement runs in a process of its own with one of them, in
rounds that take turns in who comes first, so that other work on the machine slows both alike;
searches take turns text by text. A ratio is that of the new time to the old one (of rates, the new
rate to the old one), within each round; "speed" is how fast the new code is beside the old: 1 for
as fast, above 1 for faster.

Latency: of `Collection.search` over images whose vectors of 512 dimensions are made up
(`World` in made_up.py), with regions and a calibration, in a collection that the old code wrote.
Texts are embedded by an encoder that is made up too and takes no time. Throughput: of
`Collection.add` over the images of data/sample and the bundled `mini`, without loading it. Start:
from the start of `finesight search` to its end, with `mini`.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from made_up import WIDTH, World, image_rows, normal, timed, unit

REGIONS, VECTORS = 16, 2
"""Of each image; as many as the normal effort keeps, and as many as an index is soon built of."""

BLOCK = 2048  # images written at a time
COLORS = ("red", "green", "blue", "yellow", "purple", "brown", "gray", "cyan", "white", "black")
THINGS = ("mug", "car", "chair", "lamp", "boat", "table", "clock", "guitar", "knife", "camera")
TEXTS = [f"{color} {thing}" for thing in THINGS for color in COLORS]
TWO_PARTS = [f"{one} beside a {other}" for one, other in zip(TEXTS, reversed(TEXTS), strict=True)]
SMALL = 40  # images of the collection that is searched from the start of a process
WARM = 20  # searches that do not count
FINGERPRINT = "5" * 16

Trees = tuple[Path, Path]
"""The old checkout and the new one."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured: images searched, photos indexed by effort, rounds of each kind."""

    images: int
    photos: dict[str, int]
    rounds: int
    starts: int


FULL = Sizes(100_000, {"normal": 160, "cc10": 32}, 7, 15)
QUICK = Sizes(30_000, {"normal": 40, "cc10": 8}, 3, 5)


class MadeUpEncoder:
    """Embeds a text as a vector that its letters decide, at once."""

    def __init__(self, preprocessing: Any) -> None:
        self.preprocessing = preprocessing
        self.width, self.longest_text = WIDTH, 77
        self._world, self._known = World(), {}

    @property
    def replicas(self) -> tuple["MadeUpEncoder", ...]:
        """This one alone."""
        return (self,)

    def reads_whole(self, text: str) -> bool:
        """Whether a text is not cut: always."""
        return True

    def unknown_words(self, text: str) -> list[str]:
        """Return the words that have no token: none."""
        return []

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Return vectors (t, 512) as `World.texts` makes them."""
        for text in texts:
            if text not in self._known:
                rng = np.random.default_rng(list(text.encode()))
                self._known[text] = self._world.texts(rng, 1)[0]
        return np.stack([self._known[text] for text in texts])


def made_up_model() -> Any:
    """Return `mini` with the made-up encoder in the place of its towers."""
    from finesight import load_model

    mini = load_model("mini")
    encoder = MadeUpEncoder(mini.encoder.preprocessing)
    changed = {"encoder": encoder, "fingerprint": FINGERPRINT, "regions": "cc10"}
    bare = ("dense", "objects", "finder", "directory", "text_head")
    changed |= {each.name: None for each in fields(mini) if each.name in bare}
    return replace(mini, **changed)


# What follows runs in processes of their own, build_collection with the old code alone.


def build_collection(place: str, images: int) -> None:
    """Write a collection of made-up images, with indexes and a calibration; by the old code."""
    import lance
    from finesight.collection.collection import Collection
    from finesight.collection.judging import keep_judged
    from finesight.collection.upkeep import keep_fast

    # These names are those of version 0.1.0 and stay: this function runs with the OLD code alone.
    collection = Collection.open(place, made_up_model())
    Path(place).mkdir(parents=True)
    collection._create("cc10", VECTORS)
    table = collection._table()
    lance.write_dataset(rows(table.schema, images), table.uri, mode="append")
    table = collection._table()
    keep_fast(table, collection._made_of)
    keep_judged(table, collection.model, collection._made_of, collection.directory)


def rows(schema: Any, images: int) -> Any:
    """Return a reader of the rows of made-up images, as collections of version 0.1.0 have them."""
    import pyarrow as pa

    world, rng = World(), np.random.default_rng(1)

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, images, BLOCK):
            count = min(BLOCK, images - first)
            whole = world.images(rng, count)
            noise = unit(normal(rng, count, REGIONS, WIDTH))
            regions = unit(whole[:, None] + 0.8 * noise).astype(np.float16)
            regions[:, 0] = whole
            low = rng.uniform(0, 0.7, (count, REGIONS, 2))
            boxes = np.concatenate([low, low + 0.3], axis=-1).astype(np.float32)
            boxes[:, 0] = 0, 0, 1, 1
            pooled = regions[:, :VECTORS]
            yield image_rows(schema, first, regions, pooled, boxes)

    return pa.RecordBatchReader.from_batches(schema, batches())


def answer_searches(place: str) -> None:
    """Search for each line of stdin; print the milliseconds that it took."""
    from finesight import Collection

    collection = Collection.open(place, made_up_model())
    for text in map(str.strip, sys.stdin):
        print(1000 * timed(lambda text=text: collection.search(text, 10)), flush=True)


def measure_indexing(photos: list[str], effort: str) -> dict[str, float]:
    """Return the images a second of indexing photos into a new collection."""
    from finesight import Collection, load_model

    model = load_model("mini")
    with tempfile.TemporaryDirectory() as place:
        Collection.open(Path(place) / "warm", model).add(photos[:2], effort)
        collection = Collection.open(Path(place) / "timed", model)
        seconds = timed(lambda: collection.add(photos, effort))
        assert len(collection) == len(photos)
    return {"rate": len(photos) / seconds}


PARTS = {each.__name__: each for each in (build_collection, answer_searches, measure_indexing)}


# What follows runs in the process that was asked for the table.


def environment(tree: Path) -> dict[str, str]:
    """Return the environment in which Python imports the finesight of a checkout."""
    return {**os.environ, "PYTHONPATH": str(tree / "src"), "HF_HUB_OFFLINE": "1"}


def ask(tree: Path, command: list[str]) -> str:
    """Run Python with a checkout's finesight; return what it prints, or end with its error."""
    run = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment(tree)
    )
    if run.returncode:
        raise SystemExit(f"{tree}: python {' '.join(command)[:200]} failed:\n{run.stderr}")
    return run.stdout


def part(tree: Path, name: str, **given: Any) -> Any:
    """Run one of PARTS with a checkout's finesight; return what it returns."""
    said = ask(tree, [__file__, "--part", name, json.dumps(given)]).splitlines()
    return json.loads(said[-1]) if said else None


def in_turns(
    trees: Trees, rounds: int, measure: Callable[[Path], dict[str, float]]
) -> dict[str, list[tuple[float, float]]]:
    """Measure both trees in every round, in turns; return (old, new) of each round, by name."""
    found: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        order = trees if number % 2 == 0 else trees[::-1]
        measured = {tree: measure(tree) for tree in order}
        for name in measured[trees[0]]:
            pair = measured[trees[0]][name], measured[trees[1]][name]
            found.setdefault(name, []).append(pair)
    return found


HEAD = f"{'':<44}{'old':>9}{'new':>9}  {'new/old':>8}  {'speed':>6}  (rounds)"


def row(name: str, pairs: list[tuple[float, float]], of_rates: bool) -> str:
    """Return a line of the table: medians, and the median and spread of the rounds' ratios."""
    old, new = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = [b / a for a, b in pairs]
    speeds = sorted(ratios if of_rates else [1 / each for each in ratios])
    line = (
        f"{name:<44}{old:>9.2f}{new:>9.2f}  {statistics.median(ratios):>8.3f}  "
        f"{statistics.median(speeds):>6.3f}  ({len(pairs)}: {speeds[0]:.2f} to {speeds[-1]:.2f})"
    )
    print(line, file=sys.stderr, flush=True)
    return line


def search_rows(trees: Trees, sizes: Sizes, work: Path) -> Iterator[str]:
    """Yield the lines of searches over made-up images, whose collection is built if need be."""
    place, ready = work / f"made-up-{sizes.images}", work / f"made-up-{sizes.images}.ready"
    if not ready.exists():
        shutil.rmtree(place, ignore_errors=True)  # of a run that was stopped
        part(trees[0], "build_collection", place=str(place), images=sizes.images)
        ready.touch()
    found: dict[str, list[tuple[float, float]]] = {"one text": [], "two things": []}
    for _ in range(sizes.rounds):
        for name, texts in (("one text", TEXTS), ("two things", TWO_PARTS)):
            found[name].append(search_round(trees, place, texts))
    for name, pairs in found.items():
        yield row(f"search, {name}, p50 ms", pairs, False)


def search_round(trees: Trees, place: Path, texts: list[str]) -> tuple[float, float]:
    """Return the p50 of both trees, whose fresh processes take turns text by text."""
    command = [
        sys.executable,
        __file__,
        "--part",
        "answer_searches",
        json.dumps({"place": str(place)}),
    ]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment(tree),
                )
            )
            for tree in trees
        ]
        times: list[list[float]] = [[], []]
        for number, text in enumerate([*texts[:WARM], *texts]):
            for which in (0, 1) if number % 2 else (1, 0):
                process = processes[which]
                assert process.stdin is not None and process.stdout is not None
                print(text, file=process.stdin, flush=True)
                answer = process.stdout.readline()
                if not answer:
                    raise SystemExit(f"{trees[which]}: searching failed")
                times[which].append(float(answer))
    old, new = (statistics.median(each[WARM:]) for each in times)
    return old, new


def index_rows(trees: Trees, sizes: Sizes, work: Path) -> Iterator[str]:
    """Yield the lines of indexing, one for each effort."""
    for effort, count in sizes.photos.items():
        given = {"photos": photos(trees)[:count], "effort": effort}
        found = in_turns(
            trees, sizes.rounds, lambda tree, given=given: part(tree, "measure_indexing", **given)
        )
        yield row(f"index, {effort}, images/s", found["rate"], True)


def start_rows(trees: Trees, sizes: Sizes, work: Path) -> Iterator[str]:
    """Yield the line of whole processes that search a small collection."""
    small = str(work / "small")
    if not (work / "small").exists():
        index = ["-m", "finesight", "index", *photos(trees)[:SMALL], "--model", "mini"]
        ask(trees[0], [*index, "--collection", small])
    search = ["-m", "finesight", "search", "a red mug", "--collection", small]
    for tree in trees:  # what Python compiles at the first start is kept for the others
        ask(tree, search)
    found = in_turns(
        trees, sizes.starts, lambda tree: {"start": 1000 * timed(lambda: ask(tree, search))}
    )
    yield row("finesight search, start to result, ms", found["start"], False)


ROWS = {"search": search_rows, "index": index_rows, "start": start_rows}


def report(trees: Trees, sizes: Sizes, work: Path, kinds: list[str]) -> str:
    """Measure and return the table."""
    counts = ", ".join(f"{count} at {effort}" for effort, count in sizes.photos.items())
    lines = [
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; "
        f"old: {lines_of(trees[0]):,} lines in src, new: {lines_of(trees[1]):,}",
        "Medians of rounds in fresh processes that take turns. new/old and speed (above 1: the new "
        "code is faster) are of the rounds.",
        "",
        HEAD,
        *(line for kind in kinds for line in ROWS[kind](trees, sizes, work)),
        "",
        f"search: {sizes.images:,} made-up images of {REGIONS} regions and {VECTORS} pooled "
        f"vectors in {WIDTH} dimensions (World in made_up.py), {len(TEXTS)} texts, k = 10;",
        "    no model: texts are embedded at once. The old code wrote the collection.",
        f"index: rendered scenes (data/sample), the model mini; {counts}.",
        f"start: {SMALL} of these scenes, the model mini.",
    ]
    return "\n".join(lines) + "\n"


def photos(trees: Trees) -> list[str]:
    """Return the sample's images, the same for both trees."""
    return [str(path) for path in sorted((trees[0] / "data/sample/images").iterdir())]


def lines_of(tree: Path) -> int:
    """Return the lines of a checkout's source."""
    files = (tree / "src").rglob("*.py")
    return sum(path.read_text(encoding="utf-8").count("\n") for path in files)


def main() -> None:
    """Measure and print the table; or one part of it, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trees", type=Path, nargs="*", metavar="OLD NEW", help="two checkouts")
    parser.add_argument("--quick", action="store_true", help="30,000 images, fewer rounds")
    parser.add_argument("--work", type=Path, help="keep the collections in this folder")
    parser.add_argument("--out", type=Path, help="write the table to this file as well")
    parser.add_argument("--images", type=int, help="search so many images instead")
    parser.add_argument("--rounds", type=int, help="as many rounds of each kind instead")
    parser.add_argument("--only", choices=ROWS, nargs="+", default=list(ROWS), help="these alone")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        import finesight

        assert Path(finesight.__file__).is_relative_to(os.environ["PYTHONPATH"]), "another tree"
        name, options = given.part
        found = PARTS[name](**json.loads(options))
        if found is not None:
            print(json.dumps(found))
        return
    if len(given.trees) != 2:
        parser.error("name two checkouts, the old one first")
    for tree in given.trees:
        if not (tree / "src" / "finesight").is_dir():
            parser.error(f"{tree} is no checkout: there is no src/finesight in it")
    sizes = QUICK if given.quick else FULL
    if given.images:
        sizes = replace(sizes, images=given.images)
    if given.rounds:
        sizes = replace(sizes, rounds=given.rounds, starts=given.rounds)
    old, new = (tree.resolve() for tree in given.trees)
    with tempfile.TemporaryDirectory() as temporary:
        work = (given.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        text = report((old, new), sizes, work, given.only)
    print(text, end="")
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
