"""Is the memory of indexing independent of the number of images?

python benchmarks/index_memory.py [IMAGES]

Indexes few and then many times as many photos of 2000 x 1500 pixels with `mini`, each in a process
of its own, and prints the most memory either needed. No two photos are alike, so that each is
decoded and encoded.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from made_up import PHOTO, photo

TIMES = 8


def main() -> None:
    """Print the peak of both runs and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=int, nargs="?", default=40)
    parser.add_argument("--one", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        _index(*given.one)
        return
    few = given.images
    with tempfile.TemporaryDirectory() as place:
        peaks = []
        for count in (few, TIMES * few):
            folder = Path(place) / f"photos{count}"
            folder.mkdir()
            for number in range(count):
                photo(folder / f"{number}.jpg", number, scales=[16])
            command = [sys.executable, __file__, "--one", folder, Path(place) / f"c{count}"]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks.append(int(run.stdout) / 1024)
            print(
                f"{count:>5} photos of {PHOTO[0]} x {PHOTO[1]} pixels: {peaks[-1]:.0f} MB at most"
            )
        print(f"ratio {peaks[1] / peaks[0]:.2f} for {TIMES} times as many")


def _index(folder: Path, collection: Path) -> None:
    from finesight import Collection

    Collection.open(collection, "mini").add([folder])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main()
