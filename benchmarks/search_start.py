"""Time of `finesight search`, process start to result, beside what its imports alone take.

Run after `make demo`: python benchmarks/search_start.py [COLLECTION]
"""

import argparse
import statistics
import subprocess
import sys

from made_up import in_rounds

RUNS = 10
QUERY = "a photo of a red mug"
IMPORTS = "import finesight.cli.app, lance, onnxruntime, tokenizers, numpy"


def run(*command: str) -> None:
    """Run a command of Python; raises where it fails."""
    subprocess.run([sys.executable, *command], check=True, capture_output=True)


def main() -> None:
    """Alternate the two commands and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", nargs="?", default="demo/collection")
    place = parser.parse_args().collection
    works = {
        "search": lambda: run("-m", "finesight", "search", QUERY, "--collection", place),
        "imports": lambda: run("-c", IMPORTS),
    }
    in_rounds(works, 1)  # what is read from disk for the first time does not count
    full, bare = map(statistics.median, in_rounds(works, RUNS).values())
    print(f"search, start to result   {full:.2f} s (median of {RUNS})")
    print(f"its imports alone         {bare:.2f} s")
    print(f"ratio                     {full / bare:.2f}")


if __name__ == "__main__":
    main()
