"""Seconds that indexing takes where nothing, or only the place of the files, has changed.

python benchmarks/reindex.py [--quick]

Each figure is that of a whole `finesight index`, from the start of the process to its end. The
pictures are small and encoded as a whole, as what is measured does not depend on them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROUNDS = 5
INDEX = [sys.executable, "-m", "finesight", "index", "--model", "mini", "--regions", "full"]


def main() -> None:
    """Make pictures, index them, and print the best of some runs each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="500 pictures instead of 10,000")
    count = 500 if parser.parse_args().quick else 10_000
    with tempfile.TemporaryDirectory() as folder:
        pictures, collection = Path(folder) / "pictures", Path(folder) / "collection"
        _paint(pictures, count)
        first, _ = _index(pictures, collection)
        again = min(_index(pictures, collection)[0] for _ in range(ROUNDS))
        moved = pictures.rename(pictures.with_name("moved"))
        seconds, said = _index(moved, collection)
        assert f"{count} moved" in said, said
        after = min(_index(moved, collection)[0] for _ in range(ROUNDS))
        walk = min(_walk(moved) for _ in range(ROUNDS))
    print(f"{count:,} pictures, whole processes, {os.cpu_count()} cores")
    print(f"first run                        {first:8.2f} s")
    print(f"nothing changed                  {again:8.2f} s (best of {ROUNDS})")
    print(f"the folder was renamed           {seconds:8.2f} s (each file read, none encoded)")
    print(f"nothing changed, after that      {after:8.2f} s (best of {ROUNDS})")
    print(f"beside it: one stat a file       {walk:8.2f} s (os.scandir, best of {ROUNDS})")


def _paint(folder: Path, count: int) -> None:
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"{number // 500:03d}"
        place.mkdir(exist_ok=True)
        pixels = chance.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((160, 120)).save(place / f"{number:05d}.jpg")


def _index(pictures: Path, collection: Path) -> tuple[float, str]:
    start = time.perf_counter()
    command = [*INDEX, str(pictures), "--collection", str(collection)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, run.stderr


def _walk(folder: Path) -> float:
    start = time.perf_counter()
    for place in os.scandir(folder):
        for entry in os.scandir(place):
            entry.stat()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
