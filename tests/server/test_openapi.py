"""The OpenAPI document and the server say the same: schemathesis asks what the document allows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from finesight.server.settings import Settings

from .conftest import serving

TOKEN = "a-token-of-enough-letters"
SCHEMATHESIS = Path(sys.executable).parent / "schemathesis"
# That a box has x0 < x1, and that a query asks for something, no schema can say: such requests are
# valid by the document, and refused with a problem that says why.
UNSAYABLE = "positive_data_acceptance"

pytestmark = pytest.mark.skipif(not SCHEMATHESIS.exists(), reason="schemathesis is not installed")


def schemathesis(served, folder, *arguments):
    """Run it in a folder of its own, where it keeps what it finds."""
    return subprocess.run(
        [
            str(SCHEMATHESIS),
            "run",
            f"{served.url}/openapi.json",
            "--no-color",
            "--seed=1",
            "--checks=all",
            "--warnings=off",
            f"--exclude-checks={UNSAYABLE}",
            *arguments,
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )


def test_no_request_breaks_the_contract(collection, tmp_path):
    with serving(Settings(collections=(collection.directory,))) as served:
        arguments = ("--phases=coverage,fuzzing", "--max-examples=6")
        result = schemathesis(served, tmp_path, *arguments)
        assert result.returncode == 0, result.stdout
        assert "8 selected" in result.stdout
        assert served.search(text="red")["hits"]
        metrics = served.ask("/metrics").body.decode()
    assert 'status="5' not in metrics


def test_what_needs_the_token_says_so(collection, tmp_path):
    with serving(Settings(collections=(collection.directory,), token=TOKEN)) as served:
        paths = [f"--include-path={path}" for path in ("/status", "/images")]
        header = f"--header=Authorization: Bearer {TOKEN}"
        result = schemathesis(
            served, tmp_path, header, "--phases=fuzzing", "--max-examples=4", *paths
        )
        assert result.returncode == 0, result.stdout
        document = served.ask("/openapi.json").json()
    assert document["security"] == [{"token": []}]
    assert "401" in document["paths"]["/search"]["post"]["responses"]
