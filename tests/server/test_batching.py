"""Encoding for many callers at once."""

import threading

import numpy as np
import pytest

from finesight.server.batching import Batching, BatchingEncoder


def test_who_waits_at_the_same_moment_is_encoded_together():
    begun, go_on = threading.Event(), threading.Event()
    batches = []

    def run(items):
        batches.append(list(items))
        begun.set()
        go_on.wait(10)
        return np.array([[item] for item in items], np.float32)

    batching = Batching(run, largest=3)
    found = {}

    def ask(number):
        found[number] = batching([number])[0].item()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    threads[0].start()
    begun.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(batching._waiting) < 5:
        pass
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert found == {number: number for number in range(6)}
    assert sorted(map(len, batches)) == [1, 2, 3]


def test_a_failure_reaches_its_callers_and_no_later_one():
    def run(items):
        if "bad" in items:
            raise ValueError("bad")
        return np.zeros((len(items), 1), np.float32)

    batching = Batching(run, largest=9)
    with pytest.raises(ValueError, match="bad"):
        batching(["bad"])
    assert len(batching(["good"])) == 1


def test_the_embeddings_are_the_encoders_own(color_model):
    encoder = BatchingEncoder(color_model.encoder)
    texts = ["red", "green", "red", "blue"]
    assert np.array_equal(encoder.encode_texts(texts), color_model.encoder.encode_texts(texts))
    assert np.array_equal(encoder.encode_texts(texts), color_model.encoder.encode_texts(texts))
    assert (encoder.encoded, encoder.batches) == (3, 1)
    crops = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    assert np.array_equal(encoder.encode_images(crops), color_model.encoder.encode_images(crops))


def test_what_is_remembered_is_bounded(color_model, monkeypatch):
    monkeypatch.setattr("finesight.server.batching.REMEMBERED", 2)
    encoder = BatchingEncoder(color_model.encoder)
    encoder.encode_texts(["red", "green", "blue"])
    assert len(encoder._recent) == 2
    encoder.encode_texts(["red"])
    assert encoder.encoded == 4
