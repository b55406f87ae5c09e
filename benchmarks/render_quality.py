"""Scenes a second and quality against a 64-sample reference, by samples a pixel and look.

python benchmarks/render_quality.py [SCENES]

The time is that of drawing alone, one scene after the other; below the table stands that of
`finesight render`, which thinks the next scenes out meanwhile, with its start and its annotations.
Quality is the PSNR of the JPEG files, and its worst over the scenes.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from finesight.research.scenes import blender
from finesight.research.scenes.render import prepare
from finesight.research.scenes.sampling import Recipe

REFERENCE = 64
COMMAND = [sys.executable, "-m", "finesight", "render", "clevr-ds", "--seed", "5"]


def main() -> None:
    """Print a table for both looks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=int, nargs="?", default=8)
    scenes = parser.parse_args().scenes
    print(f"{scenes} scenes of 640 x 640 pixels, Cycles, denoised")
    print("look      samples   scenes/s   PSNR dB (worst)")
    for look in ("plain", "textured"):
        jobs = [prepare(Recipe(seed=5, look=look), index)[1] for index in range(scenes)]
        _draw(jobs[0], blender.SAMPLES)  # the first one pays for Blender's start
        reference = [_draw(job, REFERENCE)[0] for job in jobs]
        for samples in (1, 2, 4, 8):
            drawn = [_draw(job, samples) for job in jobs]
            pairs = zip(drawn, reference, strict=True)
            quality = [_psnr(pixels, best) for (pixels, _), best in pairs]
            rate = scenes / sum(seconds for _, seconds in drawn)
            mean, worst = statistics.mean(quality), min(quality)
            print(f"{look:<9} {samples:>7} {rate:>10.2f}   {mean:.1f} ({worst:.1f})", flush=True)
    for look in ("plain", "textured"):
        print(
            f"finesight render --look {look}: {_command(look, 6 * scenes):.2f} scenes/s", flush=True
        )


def _draw(job: dict, samples: int) -> tuple[np.ndarray, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.jpg"
        start = time.perf_counter()
        blender.render(job, str(path), samples)
        seconds = time.perf_counter() - start
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), float), seconds


def _command(look: str, images: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        options = ["--out", folder, "--images", str(images), "--look", look]
        start = time.perf_counter()
        subprocess.run([*COMMAND, *options], check=True, capture_output=True)
        return images / (time.perf_counter() - start)


def _psnr(pixels: np.ndarray, reference: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.square(pixels - reference).mean()))


if __name__ == "__main__":
    main()
