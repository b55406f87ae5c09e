"""Regions a second of `Collection.add`, beside the bare encoder's on ready crops, in one run.

python benchmarks/index_throughput.py [SCENES] [MODEL]
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from finesight import Collection, load_model

ROUNDS = 3
IMAGES = 160


def main() -> None:
    """Alternate indexing and bare encoding, and print the best of each."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "data/sample/images")
    model = load_model(sys.argv[2] if len(sys.argv) > 2 else "mini")
    images = sorted(folder.iterdir())[:IMAGES]
    side = model.encoder.preprocessing.side
    crops = np.random.default_rng(0).integers(0, 256, (166 * 20, side, side, 3), dtype=np.uint8)
    tensors = [model.encoder.preprocessing.tensor(crops[i : i + 256]) for i in range(0, 3320, 256)]
    session = model.encoder._vision
    indexed, bare = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for tensor in tensors:
            session.run(["image_embeds"], {"pixel_values": tensor})
        bare.append(len(crops) / (time.perf_counter() - start))
        with tempfile.TemporaryDirectory() as place:
            start = time.perf_counter()
            Collection.open(place, model).add(images, "cc10")
            indexed.append(166 * len(images) / (time.perf_counter() - start))
    print(f"index, decoding to commit   {max(indexed):8.0f} regions/s (best of {ROUNDS})")
    print(f"bare encoder                {max(bare):8.0f} regions/s")
    print(f"share                       {max(indexed) / max(bare):8.2f}")


if __name__ == "__main__":
    main()
