"""Regions a second of `Collection.add`, beside the bare encoder's on ready crops, in one run.

python benchmarks/index_throughput.py [SCENES] [MODEL]
"""

import argparse
import tempfile
from pathlib import Path

from made_up import bare, in_rounds, tensors

from finesight import Collection, load_model

ROUNDS = 3
IMAGES = 160
CROPS = 166 * 20


def main() -> None:
    """Alternate indexing and bare encoding, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path, nargs="?", default=Path("data/sample/images"))
    parser.add_argument("model", nargs="?", default="mini")
    given = parser.parse_args()
    model = load_model(given.model)
    images = sorted(given.scenes.iterdir())[:IMAGES]
    ready = tensors(model, CROPS)

    def index() -> None:
        with tempfile.TemporaryDirectory() as place:
            Collection.open(place, model).add(images, "cc10")

    seconds = in_rounds({"bare": lambda: bare(model, ready), "index": index}, ROUNDS)
    indexed, alone = 166 * len(images) / min(seconds["index"]), CROPS / min(seconds["bare"])
    print(f"index, decoding to commit   {indexed:8.0f} regions/s (best of {ROUNDS})")
    print(f"bare encoder                {alone:8.0f} regions/s")
    print(f"share                       {indexed / alone:8.2f}")


if __name__ == "__main__":
    main()
