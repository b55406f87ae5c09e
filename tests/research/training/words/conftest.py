import pytest
from classifiers import write_classifier, write_taxonomy


@pytest.fixture
def taxonomy_folder(tmp_path):
    return write_taxonomy(tmp_path / "wordnet")


@pytest.fixture
def classifier_folder(tmp_path):
    return write_classifier(tmp_path / "classifier")
