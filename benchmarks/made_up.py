"""What benchmarks measure with: photos, a model of the usual size and rates, made up."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

PHOTO = (2000, 1500)
"""The width and height of photos, in pixels."""


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
