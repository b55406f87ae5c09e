"""Images and regions a second of our pipeline, beside the bare model and plain transformers.

python benchmarks/encode.py [IMAGES]

ViT-B/32 with random weights, whole images of 2000 x 1500 pixels (JPEG): (a) the bare model in ONNX
Runtime on ready tensors, (b) transformers' processor and model, eager, float32, as most scripts
have it, and our pipeline from file to embedding, in float32 and int8. Then `mini` with CC@10. One
run, rounds alternating: the best of each, and the median of the rounds' ratios.
"""

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from finesight.indexing.encode import Source, encode_files
from finesight.indexing.walking import find_images
from finesight.models import Model, load_model
from finesight.research.training.bundle_export import export_model

ROUNDS = 5
SIZE = (2000, 1500)
BATCH = 16


def main() -> None:
    """Make model and images, alternate the ways, print rates and ratios."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images = [_photo(folder / f"{i}.jpg", i) for i in range(count)]
        network = _checkpoint(folder / "torch")
        original = load_model(str(folder / "torch"))
        bundles = {}
        for precision in ("fp32", "int8"):
            export_model(original, folder / precision, precision)
            bundles[precision] = load_model(str(folder / precision))
        processor = transformers.CLIPImageProcessorPil()
        ways: dict[str, Callable[[], None]] = {
            "bare model, float32": lambda: _bare(bundles["fp32"], count),
            "bare model, int8": lambda: _bare(bundles["int8"], count),
            "transformers, float32": lambda: _plain(network, processor, images),
            "finesight, float32": lambda: _ours(bundles["fp32"], images, "full"),
            "finesight, int8": lambda: _ours(bundles["int8"], images, "full"),
        }
        print(f"ViT-B/32, {count} whole images of {SIZE[0]} x {SIZE[1]} pixels")
        whole = _rates(ways, count, "images/s")
        for ours, theirs in (
            ("finesight, float32", "bare model, float32"),
            ("finesight, float32", "transformers, float32"),
            ("finesight, int8", "bare model, int8"),
            ("finesight, int8", "transformers, float32"),
        ):
            print(f"  {ours} / {theirs}: {_ratio(whole, ours, theirs)}")
        mini = load_model("mini")
        regions = 166 * count
        print(f"mini, {count} images of {SIZE[0]} x {SIZE[1]} pixels, CC@10")
        found = _rates(
            {
                "bare model": lambda: _bare(mini, regions),
                "finesight": lambda: _ours(mini, images, "cc10"),
            },
            regions,
            "regions/s",
        )
        print(f"  finesight / bare model: {_ratio(found, 'finesight', 'bare model')}")


def _rates(ways: dict[str, Callable[[], None]], items: int, unit: str) -> dict[str, list[float]]:
    """Return the rates of every round, by way."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            rates[name].append(items / (time.perf_counter() - start))
    for name, found in rates.items():
        print(f"  {name:<24} {max(found):8.1f} {unit}", flush=True)
    return rates


def _ratio(rates: dict[str, list[float]], ours: str, theirs: str) -> str:
    each = sorted(a / b for a, b in zip(rates[ours], rates[theirs], strict=True))
    return f"{np.median(each):.2f} (rounds: {each[0]:.2f} to {each[-1]:.2f})"


def _bare(model: Model, count: int) -> None:
    """Run the image tower on tensors that are ready."""
    encoder = model.encoder
    side = encoder.preprocessing.side
    batch = 256 if side < 100 else BATCH
    pixels = encoder.preprocessing.tensor(np.zeros((batch, side, side, 3), np.uint8))
    for start in range(0, count, batch):
        part = pixels[: min(batch, count - start)]
        encoder._vision.run(["image_embeds"], {"pixel_values": part})


def _ours(model: Model, images: Sequence[Path], regions: str) -> None:
    sources = [Source(found) for found in find_images(images).images]
    for _ in encode_files(sources, model, regions, model.vectors, lambda digest: False):
        pass


@torch.inference_mode()
def _plain(network: torch.nn.Module, processor: object, images: Sequence[Path]) -> None:
    for start in range(0, len(images), BATCH):
        opened = [Image.open(path).convert("RGB") for path in images[start : start + BATCH]]
        pixels = processor(images=opened, return_tensors="pt")["pixel_values"]
        network.get_image_features(pixels)


def _photo(path: Path, seed: int) -> Path:
    """Save a JPEG file with detail at several scales, as photographs have."""
    rng = np.random.default_rng(seed)
    total = np.zeros((SIZE[1], SIZE[0], 3), np.float32)
    for cells in (4, 16, 64, 256):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize(SIZE, Image.Resampling.BICUBIC), np.float32) / 4
    Image.fromarray(total.astype(np.uint8)).save(path, quality=90)
    hashlib.sha256(path.read_bytes())  # in the page cache for every way
    return path


def _checkpoint(folder: Path) -> torch.nn.Module:
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


if __name__ == "__main__":
    main()
