"""The built wheel holds all that a search with mini needs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from conftest import spotted

ROOT = Path(__file__).parents[2]


def test_a_search_runs_from_the_unpacked_wheel(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    made = subprocess.run([*build, str(ROOT)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    red = spotted(tmp_path / "images" / "red.png", "red")

    # Nothing of the checkout may help: the package on the path is the unpacked one.
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    program = (
        "import finesight, sys; from finesight.cli.app import app;"
        f"assert finesight.__file__.startswith({str(tmp_path)!r}), finesight.__file__; app()"
    )
    for words in (["index", "images", "--model", "mini"], ["search", "a red mug", "--paths"]):
        ran = subprocess.run(
            [sys.executable, "-c", program, *words, "--collection", "c"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == str(red)
