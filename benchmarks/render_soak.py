"""Kill `finesight render` at random moments, and see that the set ends the same.

python benchmarks/render_soak.py [KILLS]
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = 60
COMMAND = [sys.executable, "-m", "finesight", "render", "clevr-ds", "--size", "240", "--seed", "9"]


def main() -> None:
    """Render once without and once with kills; print what differs, and fail if anything does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int, nargs="?", default=20)
    kills = parser.parse_args().kills
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        start = time.monotonic()
        subprocess.run(_command(whole, IMAGES), check=True, capture_output=True)
        longest = 2 * (time.monotonic() - start) / kills + 3
        done = number = 0
        while number < kills:
            # The set grows, so that a run has work left when it is killed; one that ends first is
            # no kill.
            images = max(done + 6, IMAGES * (number + 1) // kills)
            run = subprocess.Popen(_command(killed, images), stderr=subprocess.DEVNULL)
            try:
                run.wait(moments.uniform(0.5, longest))
            except subprocess.TimeoutExpired:
                run.kill()
                run.wait()
                number += 1
            done = len(list((killed / "images").glob("*.jpg"))) if killed.exists() else 0
            print(f"kill {number}: exit {run.returncode}, {done} images", flush=True)
        subprocess.run(_command(killed, max(done, IMAGES)), check=True, capture_output=True)
        if done > IMAGES:
            subprocess.run(_command(whole, done), check=True, capture_output=True)
        wrong = []
        for file in sorted(p.relative_to(whole) for p in whole.rglob("*") if p.is_file()):
            if file.suffix == ".jpg":
                same = _largest_difference(whole / file, killed / file) <= 2
            else:
                same = (whole / file).read_bytes() == (killed / file).read_bytes()
            if not same:
                wrong.append(str(file))
        left = [str(p) for p in killed.rglob("*.part")]
        print(f"files that differ: {wrong or 'none'}; left behind: {left or 'nothing'}")
        sys.exit(bool(wrong or left))


def _command(out: Path, images: int) -> list[str]:
    return [*COMMAND, "--out", str(out), "--images", str(images)]


def _largest_difference(a: Path, b: Path) -> int:
    with Image.open(a) as one, Image.open(b) as other:
        return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max())


if __name__ == "__main__":
    main()
