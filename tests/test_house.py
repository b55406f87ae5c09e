"""The house stays easy to hold in one's head: small files, short functions, arrows one way."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREE = ROOT / "src" / "finesight"

ALLOWED: dict[str, str] = {}
"""What may be over a limit, as house.py names it ("file.py: lines", "file.py:name: lines"): why."""

WITH_TORCH = {"encoders/torch_*.py", "proposals/torch_*.py", "research/**/*.py", "cli/train*.py"}
"""The only files in which PyTorch is imported."""

WITH_LANCE = {"store/*.py"}

WITH_SESSIONS = {"graphs.py", "research/training/*.py", "research/training/**/*.py"}
"""The one place that opens ONNX graphs; and what writes them, which checks and converts them."""


def house():
    """The script that counts the tree, as a module."""
    spec = importlib.util.spec_from_file_location("house", ROOT / "benchmarks" / "house.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def importing(library):
    """The files, relative to the tree, that import a library or what is in it; anywhere in them."""
    found = set()
    for path in TREE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if any(name.split(".")[0] == library for name in names):
                found.add(path.relative_to(TREE))
    return found


def named_at_top(path):
    """The names that a module has once it is imported, as its text tells."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {"*"}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update((each.asname or each.name).split(".")[0] for each in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)  # a public name that is imported when it is first used
    return found


def missing(node):
    """What an import from finesight names that is not there."""
    place = TREE.parent.joinpath(*node.module.split("."))
    module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not module.exists():
        return [node.module]
    there = named_at_top(module) | {path.stem for path in place.glob("*")}
    return [f"{node.module}.{each.name}" for each in node.names if each.name not in there]


def outside(files, allowed):
    """The files that none of the patterns name, as text."""
    known = {path.relative_to(TREE) for pattern in allowed for path in TREE.glob(pattern)}
    return {path.as_posix() for path in files - known}


def test_nothing_is_longer_or_wider_than_a_reader_can_take_in():
    over = house().total(house().count_tree(TREE).values()).too_long
    named = {" ".join([*line.split()[:-2], line.split()[-1]]) for line in over}
    assert named - set(ALLOWED) == set(), "\n".join(over)


def test_what_is_allowed_to_be_long_has_its_reason():
    assert all(len(reason.split()) > 3 for reason in ALLOWED.values())


def test_only_the_store_imports_lance():
    assert outside(importing("lance"), WITH_LANCE) == set()


def test_onnx_sessions_are_opened_in_one_place():
    assert outside(importing("onnxruntime"), WITH_SESSIONS) == set()


def test_only_what_trains_or_runs_in_pytorch_imports_it():
    assert outside(importing("torch"), WITH_TORCH) == set()


@pytest.mark.parametrize("folder", ["benchmarks", "experiments", "docs"])
def test_scripts_import_what_there_is(folder):
    wrong = []
    for path in sorted((ROOT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("finesight"):
                wrong += [f"{path.name}: {name}" for name in missing(node)]
    old = [line for line in wrong if ": finesight.collection." in line]  # of version 0.1.0
    assert [line for line in wrong if line not in old] == []


FRESH = """
import importlib, json, sys
names, failed = json.loads(sys.argv[1]), {}
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        if (error.name or "finesight").startswith("finesight"):  # else an extra is not installed
            failed[name] = str(error)
    for loaded in [m for m in sys.modules if m == "finesight" or m.startswith("finesight.")]:
        del sys.modules[loaded]
print(json.dumps(failed))
"""
"""Imports each module as the first of finesight's, so that a circle shows whoever comes first."""


def test_every_module_can_be_the_first_that_is_imported():
    names = []
    for path in sorted(TREE.rglob("*.py")):
        parts = path.relative_to(TREE.parent).with_suffix("").parts
        if path.name != "__main__.py":
            names.append(".".join(parts[:-1] if path.name == "__init__.py" else parts))
    command = [sys.executable, "-c", FRESH, json.dumps(names)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == {}
