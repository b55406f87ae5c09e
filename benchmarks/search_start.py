"""Time of `finesight search`, process start to result, beside what its imports alone take.

Run after `make demo`: python benchmarks/search_start.py [COLLECTION]
"""

import statistics
import subprocess
import sys
import time

RUNS = 10
QUERY = "a photo of a red mug"
IMPORTS = "import finesight.cli.app, lance, onnxruntime, tokenizers, numpy"


def seconds(command: list[str]) -> float:
    """Return how long a command takes; raises where it fails."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Alternate the two commands and print their medians."""
    collection = sys.argv[1] if len(sys.argv) > 1 else "demo/collection"
    search = [sys.executable, "-m", "finesight", "search", QUERY, "--collection", collection]
    imports = [sys.executable, "-c", IMPORTS]
    seconds(search), seconds(imports)
    pairs = [(seconds(search), seconds(imports)) for _ in range(RUNS)]
    full, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"search, start to result   {full:.2f} s (median of {RUNS})")
    print(f"its imports alone         {bare:.2f} s")
    print(f"ratio                     {full / bare:.2f}")


if __name__ == "__main__":
    main()
