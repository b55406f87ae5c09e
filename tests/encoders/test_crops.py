import threading
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ColorEncoder

from finesight.encoders import crops as module
from finesight.encoders.crops import encode_ahead


def crops(number, count):
    return np.full((count, 8, 8, 3), number, np.uint8)


class Replicas(ColorEncoder):
    """Works in three threads, and wants small crops."""

    preprocessing = SimpleNamespace(side=8)

    @property
    def replicas(self):
        return [self] * 3


@pytest.mark.parametrize("encoder", [ColorEncoder(), Replicas()])
@pytest.mark.parametrize("at_once", [1, 7, 512])
def test_results_come_in_order_with_their_own_embeddings(monkeypatch, at_once, encoder):
    monkeypatch.setattr(module, "_CROPS", at_once)
    monkeypatch.setattr(module, "_PIXELS", at_once * 8 * 8)

    def cut(number):
        return number, None if number % 5 == 0 else crops(number, number % 3 + 1)

    found = list(encode_ahead(range(1, 60), cut, encoder))
    assert [number for number, _ in found] == list(range(1, 60))
    for number, embeddings in found:
        if number % 5 == 0:
            assert embeddings is None
        else:
            expected = encoder.encode_images(crops(number, number % 3 + 1))
            np.testing.assert_array_equal(embeddings, expected)


def test_items_are_taken_as_they_are_needed():
    taken = []

    def items():
        for number in range(10_000):
            taken.append(number)
            yield number

    encoded = encode_ahead(items(), lambda n: (n, crops(1, 512)), ColorEncoder())
    next(encoded)
    assert len(taken) < 1000
    encoded.close()


def test_replicas_work_at_the_same_time():
    together = threading.Barrier(3, timeout=20)  # fewer would wait for each other and fail

    class Meeting(Replicas):
        def encode_images(self, crops):
            together.wait()
            return super().encode_images(crops)

    count = module._PIXELS // 64
    found = encode_ahead(range(3), lambda n: (n, crops(n, count)), Meeting())
    assert [number for number, _ in found] == [0, 1, 2]


def test_what_the_encoder_raises_is_raised_here():
    class Broken(Replicas):
        def encode_images(self, crops):
            raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        list(encode_ahead(range(9), lambda n: (n, crops(1, 1)), Broken()))


def test_what_a_thread_raises_is_raised_here():
    def cut(number):
        assert threading.current_thread() is not threading.main_thread()
        if number == 3:
            raise ValueError("three")
        return number, crops(1, 1)

    with pytest.raises(ValueError, match="three"):
        list(encode_ahead(range(9), cut, ColorEncoder()))


def test_none_means_later():
    cut = []

    def items():
        for number in range(5):
            yield number
            while len(cut) <= number:
                yield None

    def one(number):
        cut.append(number)
        return number, None

    assert [number for number, _ in encode_ahead(items(), one, ColorEncoder())] == list(range(5))
