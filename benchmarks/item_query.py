"""How long it takes to find the very thing of a photo's box among 100,000 shop photos.

    python benchmarks/item_query.py --work data           # 100,000 images; minutes to build, once
    python benchmarks/item_query.py --quick               # 5,000 images

Two ways, side by side in one run, a query at a time: one item embedding an image in one matrix (a
shop that sells one thing a photo), and a collection as `finesight search PHOTO@BOX --item` asks it:
candidates by the fused vectors, then all of their regions through the item head. Both begin with
what every query costs: cutting the box out of a decoded photo, the encoder, the item head. The
gallery is made of regions that the model saw in the sample's photos, with noise, so that vectors
lie as the model's do. A model without an item head gets one of the usual size that knows nothing.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import lance
import numpy as np
import pyarrow as pa
from made_up import image_rows
from PIL import Image

from finesight import load_model
from finesight.images.open import Picture, read_image
from finesight.matching.item_head import ITEM_HEAD, ItemHead
from finesight.models import Model
from finesight.proposals import parse_proposer
from finesight.queries import SearchRequest
from finesight.search.encode import QueryVectors
from finesight.search.pipeline import Searchable, answer
from finesight.store.schema import table_schema
from finesight.store.snapshot import Snapshot
from finesight.store.table import ImageTable
from finesight.store.upkeep import keep_fast
from finesight.types import Part

SAMPLE = Path(__file__).parent.parent / "data" / "sample" / "images"
BLOCK = 2048  # images that are written at a time
TOP = 10
NOISE = 0.3
CAPTIONS = 816  # that a head tells apart: all colours, materials and classes of rendered items


def main() -> None:
    """Build what is not there yet, time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--regions", type=int, default=13, help="stored of an image")
    parser.add_argument("--vectors", type=int, default=8, help="fused, of an image")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--work", type=Path, help="where the collection is kept")
    parser.add_argument("--quick", action="store_true", help="5,000 images")
    options = parser.parse_args()
    if options.quick:
        options.images = 5000
    model = load_model(options.model)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        head = model.item_head or untrained(model, Path(temporary))
        photos = sorted(SAMPLE.glob("*.jpg"))[:60]
        seen = look(model, photos)
        name = f"images-{model.fingerprint}-{options.images}-{options.regions}.lance"
        place = work / name  # as collections name theirs: the index stands beside it
        if not (place / "ready").exists():
            write(place, seen, options)
        run(model, head, place, photos, options)


def untrained(model: Model, folder: Path) -> ItemHead:
    """Return a head of the usual size with random weights: it costs what a trained one does."""
    import torch

    from finesight.research.networks.items import HIDDEN, ItemHeadNetwork
    from finesight.research.training.items.export import items_part

    network = ItemHeadNetwork(model.encoder.width, HIDDEN)
    torch.nn.init.normal_(network.second.weight, std=0.05)
    said = torch.randn(CAPTIONS, model.encoder.width)
    network.captions = torch.nn.functional.normalize(said, dim=1)
    (folder / ITEM_HEAD).parent.mkdir(parents=True, exist_ok=True)
    items_part(network, folder)
    return ItemHead(folder / ITEM_HEAD)


def look(model: Model, photos: list[Path]) -> np.ndarray:
    """Return the embeddings (n, d) of the regions that the model keeps of some photos."""
    proposer = parse_proposer(model.regions, model.capabilities)
    found = []
    for photo in photos:
        proposals, crops = proposer.propose(Picture(read_image(photo)), model.encoder.preprocessing)
        found.append(proposals.complete(model.encoder.encode_images(crops)).embeddings)
    return np.concatenate(found)


def write(place: Path, seen: np.ndarray, options: argparse.Namespace) -> None:
    """Write a table of images as collections have it, with its index."""
    rng = np.random.default_rng(0)
    width = seen.shape[1]
    schema = table_schema(width)
    noise = NOISE / width**0.5

    def rows() -> Iterator[pa.RecordBatch]:
        for first in range(0, options.images, BLOCK):
            count = min(BLOCK, options.images - first)
            regions = seen[rng.integers(len(seen), size=(count, options.regions))]
            regions = regions + noise * rng.standard_normal(regions.shape, np.float32)
            regions /= np.linalg.norm(regions, axis=-1, keepdims=True)
            regions = regions.astype(np.float16)
            yield image_rows(schema, first, regions, regions[:, : options.vectors])

    if place.exists():
        shutil.rmtree(place)  # of a run that was stopped
    started = time.perf_counter()
    reader = pa.RecordBatchReader.from_batches(schema, rows())
    keep_fast(ImageTable(lance.write_dataset(reader, str(place))), "bench")
    (place / "ready").touch()
    print(f"built in {time.perf_counter() - started:.0f} s", flush=True)


def run(
    model: Model, head: ItemHead, place: Path, photos: list[Path], options: argparse.Namespace
) -> None:
    """Time both ways, query by query."""
    snapshot = Snapshot(ImageTable.open(place), "bench")
    with_head = SimpleNamespace(need_item_head=lambda: head)
    searched = Searchable(place.parent, snapshot, lambda: with_head, "bench")
    shown = Part(image=Image.new("RGB", (8, 8)))  # encoded by `ask`
    request = SearchRequest((shown,), k=TOP, item=True)
    gallery = np.concatenate(
        [
            head(np.stack([np.array(r[0], np.float32) for r in batch["regions"].to_pylist()]))
            for batch in snapshot.table.batches(["regions"], rows=BLOCK)
        ]
    )
    print(
        f"{len(gallery):,} images x {options.regions} regions, {options.vectors} fused vectors, "
        f"width {gallery.shape[1]}, {options.model}; {options.queries} queries after 20 to warm up"
    )
    rng = np.random.default_rng(1)
    images = [read_image(photo) for photo in photos[:20]]

    def ask() -> np.ndarray:
        low = rng.uniform(0, 0.7, 2)
        box = np.array([[*low, *(low + rng.uniform(0.05, 0.3, 2))]], np.float32)
        image = images[rng.integers(len(images))]
        crops = model.encoder.preprocessing.cut(image, box)
        return np.asarray(model.encoder.encode_images(crops))

    def matrix(query: np.ndarray) -> None:
        scores = gallery @ head(query)[0]
        best = np.argpartition(-scores, TOP)[:TOP]
        best[np.argsort(-scores[best])]

    def collection(query: np.ndarray) -> None:
        assert len(answer(searched, request, QueryVectors.of_text(query[0]))) == TOP

    ways: dict[str, Callable[[np.ndarray], None]] = {
        "the query itself": lambda query: None,
        "one matrix": matrix,
        "collection": collection,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(options.queries + 20):
        for name, find in ways.items():
            started = time.perf_counter()
            find(ask())
            if number >= 20:
                times[name].append(1000 * (time.perf_counter() - started))
    print(f"{'ms':18}{'p50':>8}{'p95':>8}")
    for name, values in times.items():
        print(f"{name:18}{np.percentile(values, 50):8.1f}{np.percentile(values, 95):8.1f}")


if __name__ == "__main__":
    main()
