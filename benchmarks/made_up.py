"""What benchmarks measure with: photos, vectors, rows and models that are made up; and times."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

PHOTO = (2000, 1500)
"""The width and height of photos, in pixels."""


WIDTH, LATENT, CLUSTERS = 512, 64, 2000


def photo(path: Path, seed: int, scales: Sequence[int] = (4, 16, 64, 256)) -> Path:
    """Save a JPEG file with detail at several scales, as photographs have; return its path.

    scales: how many patches of detail it is wide.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((PHOTO[1], PHOTO[0], 3), np.float32)
    for cells in scales:
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize(PHOTO, Image.Resampling.BICUBIC), np.float32) / len(
            scales
        )
    Image.fromarray(total.astype(np.uint8)).save(path, quality=90)
    path.read_bytes()  # in the page cache for whatever reads it
    return path


def unit(x: np.ndarray) -> np.ndarray:
    """Scale vectors to length 1."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw float32 from a normal distribution."""
    return rng.standard_normal(shape, dtype=np.float32)


class World:
    """Vectors of images and texts, made so that texts lie outside of what is searched, as in CLIP.

    An image vector is .7 g + .6 c + .4 e, a text .75 h + .45 c + .5 e, scaled to length 1: g and h
    are two fixed directions, the gap between the modalities; c is content, one of 2,000 clusters
    (their sizes fall as 1 / rank) with .7 of its own in 64 dimensions; e is noise in all 512.
    Images are then at a mean cosine of about .5 from each other, a text at .03 from images and
    about .28 from the best of them.
    """

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.image_gap, self.text_gap = unit(normal(rng, 2, WIDTH))
        self.basis = np.linalg.qr(normal(rng, WIDTH, LATENT))[0].T
        self.centres = unit(normal(rng, CLUSTERS, LATENT))
        self.shares = 1 / np.arange(1, CLUSTERS + 1)
        self.shares /= self.shares.sum()

    def content(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return the contents of so many vectors (count, d)."""
        own = rng.choice(CLUSTERS, count, p=self.shares)
        return unit(self.centres[own] + 0.7 * unit(normal(rng, count, LATENT))) @ self.basis

    def images(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return image vectors (count, d)."""
        noise = unit(normal(rng, count, WIDTH))
        return unit(0.7 * self.image_gap + 0.6 * self.content(rng, count) + 0.4 * noise)

    def texts(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return text vectors (count, d)."""
        noise = unit(normal(rng, count, WIDTH))
        return unit(0.75 * self.text_gap + 0.45 * self.content(rng, count) + 0.5 * noise)


def image_rows(schema, first: int, regions, pooled, boxes: np.ndarray | None = None):
    """Return a batch of n rows of a collection's table, of images number `first` and on.

    regions: (n, p, d) in float16, region 0 the whole image; pooled: the fused vectors (n, k, d);
    boxes: (n, p, 4), those of whole images if not given. Serves version 0.1.0 as well.
    """
    import pyarrow as pa

    try:
        from finesight.store.schema import lists
    except ModuleNotFoundError:
        from finesight.collection.schema import lists

    count, p, _ = regions.shape
    if boxes is None:
        boxes = np.tile(np.float32([0, 0, 1, 1]), (count, p, 1))
    numbers = [f"{first + i:016x}" for i in range(count)]
    columns = {
        "id": numbers,
        "path": [f"/photos/{first + i:07d}.jpg" for i in range(count)],
        "sha256": [number * 4 for number in numbers],
        **dict.fromkeys(("size", "mtime_ns"), [1] * count),
        **dict.fromkeys(("width", "height"), [1000] * count),
        "looked": ["cc10"] * count,
        "whole": list(regions[:, 0]),
        "regions": lists(list(regions)),
        "boxes": lists(list(boxes)),
        "fused": lists(list(pooled)),
    }
    arrays = [columns.get(field.name, [None] * count) for field in schema]
    return pa.RecordBatch.from_arrays(
        [
            array if isinstance(array, pa.Array) else pa.array(array, field.type)
            for array, field in zip(arrays, schema, strict=True)
        ],
        schema=schema,
    )


def checkpoint(folder: Path):
    """Save a ViT-B/32 with random weights, for measurements of time alone; return the network."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    network = transformers.CLIPModel(transformers.CLIPConfig()).eval()
    network.save_pretrained(folder)
    transformers.CLIPImageProcessorPil().save_pretrained(folder)
    words = {"<pad>": 0, "<unk>": 1, "a": 2}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    return network


def bundle(folder: Path, precision: str):
    """Return the model of `checkpoint`, exported into a folder beside its checkpoint."""
    from finesight.models import load_model
    from finesight.research.training.bundle_export import export_model

    if not (folder / "torch").exists():
        checkpoint(folder / "torch")
    export_model(load_model(str(folder / "torch")), folder / precision, precision)
    return load_model(str(folder / precision))


def bare(model, tensors: Sequence[np.ndarray]) -> None:
    """Run the image tower of a bundle alone, on tensors (b, 3, side, side) that are ready."""
    for tensor in tensors:
        model.encoder._vision.run({"pixel_values": tensor}, ["image_embeds"])


def tensors(model, count: int, batch: int = 256) -> list[np.ndarray]:
    """Return `count` random crops as the image tower takes them, in batches."""
    side, rng = model.encoder.preprocessing.side, np.random.default_rng(0)
    crops = rng.integers(0, 256, (min(batch, count), side, side, 3), dtype=np.uint8)
    ready = model.encoder.preprocessing.tensor(crops)
    return [ready[: min(batch, count - start)] for start in range(0, count, batch)]


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_rounds(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each work in each round; they take turns within a round."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(timed(work))
    return seconds


def ratio(seconds: dict[str, list[float]], ours: str, theirs: str) -> str:
    """Return how fast `ours` is beside `theirs`: the median of the rounds, and their spread."""
    each = sorted(b / a for a, b in zip(seconds[ours], seconds[theirs], strict=True))
    return f"{np.median(each):.2f} (rounds: {each[0]:.2f} to {each[-1]:.2f})"
