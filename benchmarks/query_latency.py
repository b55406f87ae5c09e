"""Latency, recall, memory and size of searches for fused vectors, beside other ways, in one run.

    python benchmarks/query_latency.py --quick                 # 20,000 images; a few minutes
    python benchmarks/query_latency.py --work data --out table.txt    # up to 1,000,000 vectors

Each way runs in a process of its own, whose memory is measured while it serves; what is finished
is kept in the folder given with --work, so that an interrupted run goes on. faiss takes part where
it is installed (finesight[bench]). Ways with a setting are tuned with other texts until they find
the wanted share of the exact ten best, and then measured with texts they have not seen.

Vectors lie as those of models like CLIP do: `World` in made_up.py.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from made_up import WIDTH, World, image_rows, normal, unit

from finesight.models import Model

TEXTS, TUNING = 300, 300
ROUNDS = 3  # of as many texts; the best one counts, as other work on the machine slows some
TOP = 10
WANTED, WANTED_OF_MANY = 0.98, 0.95
MARGIN = 0.3  # so much less may be missed of the texts of tuning: others miss more (log)
MANY = 500_000
BLOCK = 50_000
SIZES = {"100,000 x 1": (100_000, 1), "1,000,000 x 1": (1_000_000, 1), "125,000 x 8": (125_000, 8)}
QUICK = {"20,000 x 1": (20_000, 1), "2,500 x 8": (2_500, 8)}
WAYS = ("finesight", "numpy", "faiss flat", "Lance flat", "faiss HNSW", "faiss IVF-PQ")

SLOW_TO_BUILD = ("faiss HNSW", "faiss IVF-PQ")
"""Measured with one vector an image alone: a million vectors are a million vectors to them."""

Find = Callable[[np.ndarray, int], np.ndarray]
"""(query (d,), setting) -> the ten nearest images, best first."""


def make_data(folder: Path, images: int, each: int) -> None:
    """Write vectors.npy (float16), texts.npy, and the exact ten best images of each text."""
    if (folder / "truth.npy").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    world, rng = World(), np.random.default_rng(1)
    total = images * each
    vectors = np.lib.format.open_memmap(
        folder / "vectors.npy", mode="w+", dtype=np.float16, shape=(total, WIDTH)
    )
    for start in range(0, total, BLOCK):
        stop = min(start + BLOCK, total)
        vectors[start:stop] = world.images(rng, stop - start)
    texts = world.texts(np.random.default_rng(2), TEXTS + TUNING)
    np.save(folder / "texts.npy", texts)
    best, owner = np.zeros((len(texts), 0), np.float32), np.zeros((len(texts), 0), int)
    for start in range(0, total, BLOCK):
        block = vectors[start : start + BLOCK].astype(np.float32)
        score = np.maximum.reduceat(texts @ block.T, np.arange(0, len(block), each), axis=1)
        number = start // each + np.arange(score.shape[1])
        best = np.concatenate([best, score], axis=1)
        owner = np.concatenate([owner, np.broadcast_to(number, score.shape)], axis=1)
        order = np.argsort(-best, axis=1)[:, :TOP]
        best, owner = (np.take_along_axis(a, order, axis=1) for a in (best, owner))
    sample = vectors[:: max(1, total // 2000)][:2000].astype(np.float32)
    facts = {
        "image-image": float((sample @ sample.T)[np.triu_indices(len(sample), 1)].mean()),
        "text-image": float((texts @ sample.T).mean()),
        "text-best": float(best[:, 0].mean()),
    }
    (folder / "facts.json").write_text(json.dumps(facts))
    np.save(folder / "truth.npy", owner)


def first_images(numbers: np.ndarray, each: int) -> np.ndarray:
    """Return the first ten different images of vectors, best first."""
    owners = numbers[numbers >= 0] // each
    _, first = np.unique(owners, return_index=True)
    return owners[np.sort(first)][:TOP]


def by_numpy(folder: Path, each: int) -> tuple[Find, list[int], int]:
    """float32 vectors, one matrix product a query."""
    vectors = np.load(folder / "vectors.npy").astype(np.float32)

    def find(query: np.ndarray, setting: int) -> np.ndarray:
        score = np.maximum.reduceat(vectors @ query, np.arange(0, len(vectors), each))
        top = np.argpartition(-score, TOP)[:TOP]
        return top[np.argsort(-score[top])]

    return find, [0], vectors.nbytes


def by_faiss(kind: str) -> Callable[[Path, int], tuple[Find, list[int], int]]:
    """One of faiss's indexes over the vectors, by inner product."""

    def build(folder: Path, each: int) -> tuple[Find, list[int], int]:
        import faiss

        stored = np.load(folder / "vectors.npy", mmap_mode="r")
        lists = round(len(stored) ** 0.5)
        names = {"flat": "Flat", "HNSW": "HNSW32", "IVF-PQ": f"IVF{lists},PQ64"}
        settings = {"flat": [0], "HNSW": [64, 128, 256, 512, 1024]}
        kept, built = folder / f"{kind}.faiss", folder / f"faiss {kind}-built.txt"
        if built.exists():
            index = faiss.read_index(str(kept))
        else:
            start = time.perf_counter()
            index = faiss.index_factory(WIDTH, names[kind], faiss.METRIC_INNER_PRODUCT)
            if kind == "IVF-PQ":
                some = np.random.default_rng(0).permutation(len(stored))[: max(10_000, 40 * lists)]
                index.train(stored[np.sort(some)].astype(np.float32))
            for first in range(0, len(stored), BLOCK):
                index.add(np.asarray(stored[first : first + BLOCK], np.float32))
            if kind != "flat":
                faiss.write_index(index, str(kept))
                built.write_text(str(time.perf_counter() - start))
        size = faiss.serialize_index(index).nbytes if kind != "flat" else stored.size * 4
        wanted = TOP * each * (2 if each > 1 else 1)

        def find(query: np.ndarray, setting: int) -> np.ndarray:
            if kind == "HNSW":
                index.hnsw.efSearch = setting
            elif kind == "IVF-PQ":
                index.nprobe = setting
            return first_images(index.search(query[None], wanted)[1][0], each)

        shares = (0.01, 0.03, 0.1, 0.3, 1.0)
        return find, settings.get(kind, [max(1, round(s * lists)) for s in shares]), size

    return build


def batches(vectors: np.ndarray, each: int, images: int = 4096) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of the first image and the vectors (n, each, d) of some images."""
    for start in range(0, len(vectors) // each, images):
        part = np.asarray(vectors[start * each : (start + images) * each])
        yield start, part.reshape(-1, each, WIDTH)


def by_lance(folder: Path, each: int) -> tuple[Find, list[int], int]:
    """Lance's flat scan, one vector a row."""
    import lance
    import pyarrow as pa

    stored = np.load(folder / "vectors.npy", mmap_mode="r")
    schema = pa.schema([pa.field("vector", pa.list_(pa.float16(), WIDTH))])
    parts = (
        pa.record_batch(
            [pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), WIDTH)], schema=schema
        )
        for _, part in batches(stored, each)
    )
    place = folder / "flat.lance"
    shutil.rmtree(place, ignore_errors=True)
    reader = pa.RecordBatchReader.from_batches(schema, parts)
    table = lance.write_dataset(reader, str(place), mode="overwrite")
    wanted = TOP * each * (2 if each > 1 else 1)
    first = np.cumsum([0, *(fragment.count_rows() for fragment in table.get_fragments())])

    def find(query: np.ndarray, setting: int) -> np.ndarray:
        nearest = {"column": "vector", "q": query, "k": wanted, "metric": "dot"}
        rows = table.scanner(
            columns=["_distance"], nearest=nearest, with_row_address=True
        ).to_table()
        address = rows["_rowaddr"].to_numpy()
        return first_images(first[address >> 32] + (address & 0xFFFFFFFF).astype(int), each)

    return find, [0], disk_bytes(place)


def by_finesight(folder: Path, each: int) -> tuple[Find, list[int], int]:
    """The whole search of a collection: candidates, exact scores, hits.

    The regions of an image are its fused vectors, so that exact scores mean the same for all ways.
    """
    from finesight.queries import SearchRequest
    from finesight.search.encode import QueryVectors
    from finesight.search.pipeline import Searchable, answer
    from finesight.search.tune import tune
    from finesight.store.snapshot import FLAT, Snapshot
    from finesight.store.table import ImageTable
    from finesight.store.upkeep import keep_fast
    from finesight.store.vector_index import index_path

    stored = np.load(folder / "vectors.npy", mmap_mode="r")
    place = folder / "images-bench.lance"
    built = folder / "finesight-built.txt"
    if not built.exists():
        start = time.perf_counter()
        table = write_collection(place, stored, each)
        keep_fast(table, "bench")
        built.write_text(str(time.perf_counter() - start))
    aim = aim_of(len(stored))
    tune(Snapshot(ImageTable.open(place), "bench"), np.load(folder / "texts.npy")[TEXTS:], aim)
    snapshot = Snapshot(ImageTable.open(place), "bench")
    searched = Searchable(folder, snapshot, no_model, "bench")
    request = SearchRequest.of("a text", k=TOP)
    size = disk_bytes(index_path(place)) if len(stored) > FLAT else stored.nbytes

    def find(query: np.ndarray, setting: int) -> np.ndarray:
        hits = answer(searched, request, QueryVectors.of_text(query))
        return np.array([int(hit.path.stem) for hit in hits])

    return find, [0], size


def write_collection(place: Path, vectors: np.ndarray, each: int, regions: int | None = None):
    """Write a table of images as collections have it; regions: so many, else the vectors."""
    import lance
    import pyarrow as pa

    from finesight.store.schema import table_schema
    from finesight.store.table import ImageTable

    rng = np.random.default_rng(3)
    schema = table_schema(WIDTH)

    def rows() -> Iterator[pa.RecordBatch]:
        images = 4096 if regions is None else 128
        for first, part in batches(vectors, each, images):
            seen = part
            if regions is not None:
                noise = unit(normal(rng, len(part), regions, WIDTH))
                seen = unit(part[:, :1] + 0.8 * noise).astype(np.float16)
            yield image_rows(schema, first, seen, part)

    reader = pa.RecordBatchReader.from_batches(schema, rows())
    return ImageTable(lance.write_dataset(reader, str(place), mode="overwrite"))


def disk_bytes(place: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


BUILD = {
    "numpy": by_numpy,
    "faiss flat": by_faiss("flat"),
    "faiss HNSW": by_faiss("HNSW"),
    "faiss IVF-PQ": by_faiss("IVF-PQ"),
    "Lance flat": by_lance,
    "finesight": by_finesight,
}


def wanted_recall(vectors: int) -> float:
    """Return the share of the exact ten best that a way has to find among so many vectors."""
    return WANTED_OF_MANY if vectors > MANY else WANTED


def aim_of(vectors: int) -> float:
    """Return the share that a way has to find for the texts that it is tuned with."""
    return 1 - (1 - MARGIN) * (1 - wanted_recall(vectors))


def recall(find: Find, texts: np.ndarray, truth: np.ndarray, setting: int) -> float:
    """Return the mean share of the exact ten best that is found."""
    found = [np.isin(best, find(text, setting)) for text, best in zip(texts, truth, strict=True)]
    return float(np.mean(found))


def measure(way: str, folder: Path, each: int) -> dict[str, float]:
    """Build, tune and measure one way; in its own process."""
    start = time.perf_counter()
    find, settings, size = BUILD[way](folder, each)
    built = time.perf_counter() - start
    if (kept := folder / f"{way}-built.txt").exists():  # what is measured again is not built again
        built = float(kept.read_text())
    texts, truth = np.load(folder / "texts.npy"), np.load(folder / "truth.npy")
    aim = aim_of(len(np.load(folder / "vectors.npy", mmap_mode="r")))
    warm(folder)
    for setting in settings:  # one that is the only one needs no tuning
        if len(settings) == 1 or recall(find, texts[TEXTS:], truth[TEXTS:], setting) >= aim:
            break
    taken, found = [], []
    for text, best in zip(texts[:TEXTS], truth[:TEXTS], strict=True):
        start = time.perf_counter()
        ten = find(text, setting)
        taken.append(1000 * (time.perf_counter() - start))
        found.append(np.isin(best, ten).mean())
    times = min(np.split(np.array(taken), ROUNDS), key=np.median)
    return {
        "p50": float(np.median(times)),
        "p50 of all": float(np.median(taken)),
        "p99": float(np.percentile(times, 99)),
        "recall": float(np.mean(found)),
        "build": built,
        "bytes": size / (len(np.load(folder / "vectors.npy", mmap_mode="r")) / each),
        "memory": memory("RssAnon"),
        "peak": memory("VmHWM"),
    }


def warm(folder: Path) -> None:
    """Read all files of Lance's tables once, so that queries find them in the system's memory."""
    for path in folder.rglob("*.lance/**/*"):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(2**20):
                    pass


def memory(kind: str) -> float:
    """Return this process's memory in MB as Linux counts it; nan elsewhere."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    found = [line.split()[1] for line in lines if line.startswith(f"{kind}:")]
    return int(found[0]) / 1024 if found else float("nan")


def no_model() -> Model:
    """Give the model of queries that are vectors already: there is none."""
    raise AssertionError("the queries are vectors already")


def whole_search(folder: Path) -> dict[str, dict[str, float]]:
    """Time a search with 166 regions an image, in float16, in int8, and thinned out."""
    from finesight.queries import SearchRequest
    from finesight.search.encode import QueryVectors
    from finesight.search.pipeline import Searchable, answer
    from finesight.store.snapshot import Snapshot
    from finesight.store.storage import Storage

    world = World()
    vectors = world.images(np.random.default_rng(4), 8 * 1000).astype(np.float16)
    texts = world.texts(np.random.default_rng(5), 200)
    table = write_collection(folder / "images-regions.lance", vectors, 8, 166)
    found = {}
    for kind in ("float16", "int8"):
        if kind != "float16":
            table.store_as(Storage(kind))
        searched = Searchable(folder, Snapshot(table.newest()), no_model, "bench")
        request = SearchRequest.of("a text", k=TOP)
        times = []
        for text in texts:
            start = time.perf_counter()
            answer(searched, request, QueryVectors.of_text(text))
            times.append(1000 * (time.perf_counter() - start))
        found[kind] = {"p50": float(np.median(times)), "p99": float(np.percentile(times, 99))}
    return found


def in_own_process(arguments: list[str], kept: Path) -> dict[str, float]:
    """Run a part of this script, or return what an earlier run kept of it."""
    if not kept.exists():
        # Waiting threads of faiss's OpenMP must not keep the cores from those that work.
        result = subprocess.run(
            [sys.executable, __file__, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )
        if result.returncode:
            print(result.stderr, file=sys.stderr)
            return {}
        kept.write_text(result.stdout.splitlines()[-1])
    return json.loads(kept.read_text())


def table_of(name: str, folder: Path, each: int) -> list[str]:
    """Measure all ways at one size; returns the lines of its table."""
    facts = json.loads((folder / "facts.json").read_text())
    lines = [
        f"{name} vectors of {WIDTH} dimensions; mean cosines: image and image "
        f"{facts['image-image']:.2f}, text and image {facts['text-image']:.2f}, text and its best "
        f"image {facts['text-best']:.2f}",
        f"{'':<14}{'p50 ms':>8}{'(all)':>8}{'p99 ms':>8}{'recall@10':>11}{'build s':>9}"
        f"{'bytes/image':>13}{'memory MB':>11}{'peak MB':>9}",
    ]
    for way in WAYS:
        if each > 1 and way in SLOW_TO_BUILD:
            continue
        kept = folder / f"{way.replace(' ', '-')}.json"
        row = in_own_process(["--way", way, "--folder", str(folder), "--each", str(each)], kept)
        if not row:
            lines.append(f"{way:<14}  not measured: it is not installed, or failed")
            continue
        lines.append(
            f"{way:<14}{row['p50']:>8.2f}{row['p50 of all']:>8.2f}{row['p99']:>8.2f}"
            f"{row['recall']:>11.3f}{row['build']:>9.1f}{row['bytes']:>13,.0f}"
            f"{row['memory']:>11,.0f}{row['peak']:>9,.0f}"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    return [*lines, ""]


def report(work: Path, quick: bool) -> str:
    """Measure everything and return the table."""
    lines = [
        f"{os.cpu_count()} cores, {platform.machine()}; one query at a time, {TEXTS} text-like "
        f"queries after {TUNING} for tuning (wanted recall {WANTED}, of a million vectors "
        f"{WANTED_OF_MANY}).",
        f"p50, p99: of the best of {ROUNDS} rounds, (all): the median of all queries. memory: "
        "private memory while serving; peak: the most while building and serving.",
        "finesight: the whole search to its hits, in Python; others: the ten nearest.",
        "",
    ]
    for name, (images, each) in (QUICK if quick else SIZES).items():
        folder = work / name.replace(",", "").replace(" ", "")
        make_data(folder, images, each)
        lines += table_of(name, folder, each)
        shutil.rmtree(folder / "flat.lance", ignore_errors=True)
    found = in_own_process(["--whole-search", "--folder", str(work)], work / "regions.json")
    lines.append("The whole search where 100 candidates have 166 regions each:")
    lines += [
        f"  regions in {kind:<8} p50 {row['p50']:.1f} ms, p99 {row['p99']:.1f} ms"
        for kind, row in found.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure one way (in a process of its own), or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20,000 vectors instead of 1,000,000")
    parser.add_argument("--work", type=Path, help="keep data and finished parts in this folder")
    parser.add_argument("--out", type=Path, help="write the table to this file as well")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--whole-search", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--each", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.way, given.folder, given.each)))
        return
    if given.whole_search:
        print(json.dumps(whole_search(given.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        text = report(work, given.quick)
    print(text, end="")
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
