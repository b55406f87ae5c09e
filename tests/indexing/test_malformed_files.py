"""Four hundred broken files: no crash, no hang, bounded memory, and each one is reported."""

import json
import re
import subprocess
import sys
from pathlib import Path

import malformed
import pytest

# Bytes: 150 million pixels at a time, 4 bytes each, twice where a mode is converted. It needs 260
# million where nothing else runs; a bomb would take tens of times this.
MEMORY = 1.2e9

RUN = """
import json, re, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import ColorEncoder
from finesight.collection import Collection
from finesight.models import Model
model = Model("colors", "colors", ColorEncoder(), "a photo of a {}", "cc5", "0123456789abcdef")
store = Collection.open(sys.argv[3], model)
report = store.add([sys.argv[2]])
again = store.add([sys.argv[2]])
if sys.platform == "linux":  # there ru_maxrss begins with that of the parent
    memory = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
else:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({
    "indexed": report.indexed,
    "skipped": {item.path.name: item.reason for item in report.skipped},
    "again": [again.indexed, again.unchanged, [item.remembered for item in again.skipped]],
    "listed": len(store.skipped()),
    "memory": memory,
}))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    pytest.importorskip("resource")
    root = tmp_path_factory.mktemp("malformed")
    count = malformed.write_corpus(root / "files")
    arguments = [Path(malformed.__file__).parent, root / "files", root / "collection"]
    result = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return {"count": count, **json.loads(result.stdout)}


def test_every_file_is_indexed_or_reported(outcome):
    assert outcome["count"] >= 300
    assert outcome["indexed"] + len(outcome["skipped"]) == outcome["count"]
    assert outcome["listed"] == len(outcome["skipped"])
    for reason in outcome["skipped"].values():
        assert reason and reason.isprintable() and "/" not in reason.split(":")[0]


def test_memory_is_bounded(outcome):
    assert outcome["memory"] < MEMORY


def test_nothing_is_tried_again_before_it_changes(outcome):
    indexed, unchanged, remembered = outcome["again"]
    assert (indexed, unchanged) == (0, outcome["indexed"])
    assert all(remembered)


def test_what_is_cut_short_empty_or_a_bomb_is_skipped(outcome):
    names = [name for name, _ in malformed.files()]
    bad = [n for n in names if re.match(r"cut-|empty|text|zeros\.|png-|bmp-|not-a|script", n)]
    assert len(bad) > 120
    assert [name for name in bad if name not in outcome["skipped"]] == []


def test_odd_modes_and_broken_exif_are_no_reason_to_skip(outcome):
    odd = [name for name, _ in malformed.files() if name.startswith(("mode-", "exif-", "size-"))]
    assert len(odd) > 30
    assert {name: outcome["skipped"][name] for name in odd if name in outcome["skipped"]} == {}


def test_a_wrong_ending_does_not_matter(outcome):
    called = [name for name, _ in malformed.files() if "-called." in name]
    assert not set(called) & outcome["skipped"].keys()
