"""What people only search with must not load what they do not need."""

import subprocess
import sys

HEAVY = "torch", "transformers", "fastapi", "flask", "uvicorn", "bpy", "pandas", "huggingface_hub"


def loaded(code, modules=HEAVY):
    program = f"import sys; {code}; print(*[m for m in {modules!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return result.stdout.split()


def test_import_finesight_loads_next_to_nothing():
    assert loaded("import finesight") == []
    assert loaded("import finesight; sys.modules['numpy']") == []


def test_what_search_loads_has_no_torch_and_no_web_framework():
    code = "import finesight.cli.app; from finesight.collection import Collection"
    assert loaded(code) == []


def test_a_model_is_loaded_without_the_proposers():
    code = "from finesight.models import load_model; load_model('mini')"
    assert loaded(code, ("finesight.proposals",)) == []
