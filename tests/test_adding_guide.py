"""docs/adding.md says what is true: its Python runs, and what its diffs leave as it is stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
DIFFS = re.findall(r"^```diff\n# (\S+)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)

USE = """
import sys
from pathlib import Path
from PIL import Image
from finesight import Collection
import torch

folder = Path(sys.argv[1])
Image.new("RGB", (40, 20), "blue").save(folder / "blue.png")
both = Image.new("RGB", (40, 20), "blue")
both.paste("red", (20, 0, 40, 20))
both.save(folder / "both.png")
collection = Collection.open(folder / "collection", model)
collection.add([folder])
best = collection.search("red")[0]
assert (best.path.name, best.box) == ("both.png", (0.5, 0, 1, 1)), best

seen = type("Seen", (), {"embeddings": np.eye(3, dtype=np.float32)})
assert TRAINING_FREE["whole-and-mean"](seen, 8).shape == (2, 3)

parts, words = torch.randn(2, 5, 4), torch.randn(3, 6, 4)
there = torch.ones(2, 5, dtype=torch.bool)
mask = torch.arange(6) < torch.tensor([[2], [6], [1]])
scores = BestRegion.scores(None, parts, there, words, mask)
slow = [[(p @ w[:n].T).amax(0).mean() for w, n in zip(words, (2, 6, 1))] for p in parts]
assert torch.allclose(scores, torch.tensor(slow), atol=1e-5)

(folder / "list.csv").write_text("blue.png,sea,0,0,40,20\\nboth.png,sky,0,0,20,20\\n")
found = load(folder / "list.csv")
assert found.classes == ("sea", "sky") and found.images[1].objects[0].box == (0, 0, 0.5, 1)
"""


def test_what_it_shows_in_python_runs(tmp_path):
    program = "\n".join([*PYTHON, USE])
    result = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True)
    assert result.returncode == 0, result.stderr.decode()


@pytest.mark.parametrize(("file", "diff"), DIFFS)
def test_what_its_diffs_leave_stands_in_the_files(file, diff):
    lines = [line[1:] for line in diff.splitlines() if not line.startswith("+")]
    assert "\n".join(lines) in (ROOT / file).read_text(encoding="utf-8")


def test_every_file_and_name_that_it_mentions_is_there():
    for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", GUIDE):
        places = (ROOT / name, ROOT / "src" / "finesight" / name)
        assert any(place.is_file() for place in places), name
