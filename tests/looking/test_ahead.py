import threading

import numpy as np
import pytest
from conftest import ColorEncoder

from finesight.looking import ahead
from finesight.looking.ahead import encode_ahead


def crops(number, count):
    return np.full((count, 8, 8, 3), number, np.uint8)


@pytest.mark.parametrize("at_once", [1, 7, 512])
def test_results_come_in_order_with_their_own_embeddings(monkeypatch, at_once):
    monkeypatch.setattr(ahead, "_CROPS", at_once)
    encoder = ColorEncoder()

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

    looked = encode_ahead(items(), lambda n: (n, crops(1, 512)), ColorEncoder())
    next(looked)
    assert len(taken) < 1000
    looked.close()


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
