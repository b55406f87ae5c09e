"""Is the memory of indexing independent of the number of images?

python benchmarks/index_memory.py [IMAGES]

Indexes few and then many times as many photos of 2000 x 1500 pixels with `mini` and CC@10, each in
a process of its own, and prints the most memory either needed. The photos differ in a few pixels,
so that each is decoded and encoded.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

TIMES = 8
SIZE = (2000, 1500)


def main() -> None:
    """Print the peak of both runs and their ratio."""
    if sys.argv[1:2] == ["--one"]:
        _index(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    few = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as place:
        peaks = []
        for count in (few, TIMES * few):
            folder = Path(place) / f"photos{count}"
            folder.mkdir()
            for number in range(count):
                _photo(folder / f"{number}.jpg", number)
            command = [sys.executable, __file__, "--one", folder, Path(place) / f"c{count}"]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks.append(int(run.stdout) / 1024)
            print(f"{count:>5} photos of {SIZE[0]} x {SIZE[1]} pixels: {peaks[-1]:.0f} MB at most")
        print(f"ratio {peaks[1] / peaks[0]:.2f} for {TIMES} times as many")


def _index(folder: Path, collection: Path) -> None:
    from finesight import Collection

    Collection.open(collection, "mini").add([folder])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _photo(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    coarse.resize(SIZE, Image.Resampling.BICUBIC).save(path, quality=85)


if __name__ == "__main__":
    main()
