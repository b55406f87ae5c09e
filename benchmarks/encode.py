"""Images and regions a second of our pipeline, beside the bare model and plain transformers.

python benchmarks/encode.py [IMAGES]

ViT-B/32 with random weights, whole images of 2000 x 1500 pixels (JPEG): (a) the bare model in ONNX
Runtime on ready tensors, (b) transformers' processor and model, eager, float32, as most scripts
have it, and our pipeline from file to embedding, in float32 and int8. Then `mini` with CC@10. One
run, rounds alternating: the best of each, and the median of the rounds' ratios.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import transformers
from made_up import PHOTO, bare, bundle, checkpoint, in_rounds, photo, ratio, tensors
from PIL import Image

from finesight.indexing.encode import encode_sources
from finesight.indexing.sources import Source
from finesight.indexing.walking import find_images
from finesight.models import Model, load_model

ROUNDS = 5
BATCH = 16


def main() -> None:
    """Make model and images, take turns, print rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=int, nargs="?", default=64)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images = [photo(folder / f"{i}.jpg", i) for i in range(count)]
        network = checkpoint(folder / "torch")
        full, small = bundle(folder, "fp32"), bundle(folder, "int8")
        processor = transformers.CLIPImageProcessorPil()
        ready = tensors(full, count, BATCH)
        print(f"ViT-B/32, {count} whole images of {PHOTO[0]} x {PHOTO[1]} pixels")
        whole = measure(
            {
                "bare model, float32": lambda: bare(full, ready),
                "bare model, int8": lambda: bare(small, ready),
                "transformers, float32": lambda: plain(network, processor, images),
                "finesight, float32": lambda: encode(full, images, "full"),
                "finesight, int8": lambda: encode(small, images, "full"),
            },
            count,
            "images/s",
        )
        for ours, theirs in (
            ("finesight, float32", "bare model, float32"),
            ("finesight, float32", "transformers, float32"),
            ("finesight, int8", "bare model, int8"),
            ("finesight, int8", "transformers, float32"),
        ):
            print(f"  {ours} / {theirs}: {ratio(whole, ours, theirs)}")
        mini = load_model("mini")
        crops = tensors(mini, 166 * count)
        print(f"mini, {count} images of {PHOTO[0]} x {PHOTO[1]} pixels, CC@10")
        found = measure(
            {
                "bare model": lambda: bare(mini, crops),
                "finesight": lambda: encode(mini, images, "cc10"),
            },
            166 * count,
            "regions/s",
        )
        print(f"  finesight / bare model: {ratio(found, 'finesight', 'bare model')}")


def measure(works: dict[str, Callable[[], None]], items: int, unit: str) -> dict[str, list[float]]:
    """Return the seconds of every round, by work, and print the best rates."""
    seconds = in_rounds(works, ROUNDS)
    for name, found in seconds.items():
        print(f"  {name:<24} {items / min(found):8.1f} {unit}", flush=True)
    return seconds


def encode(model: Model, images: Sequence[Path], regions: str) -> None:
    """Encode files as indexing does, from file to fused vectors, and keep nothing."""
    sources = [Source(found) for found in find_images(images).images]
    for _ in encode_sources(sources, model, regions, model.vectors, lambda digest: False):
        pass


@torch.inference_mode()
def plain(network: torch.nn.Module, processor: object, images: Sequence[Path]) -> None:
    """Encode files as scripts with transformers do."""
    for start in range(0, len(images), BATCH):
        opened = [Image.open(path).convert("RGB") for path in images[start : start + BATCH]]
        pixels = processor(images=opened, return_tensors="pt")["pixel_values"]
        network.get_image_features(pixels)


if __name__ == "__main__":
    main()
