import pytest
from talking import ANSWERER, ASKER, SceneGraphAnswerer, ScriptedAsker


@pytest.fixture
def models(folder):
    """An asker, and an answerer that knows the scenes of the test's folder."""
    return {ASKER: ScriptedAsker(), ANSWERER: SceneGraphAnswerer(folder)}
