"""An encoder for many callers: what they ask at the same moment is encoded together."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

import numpy as np

from finesight.encoders import Encoder
from finesight.server.recent import Recent
from finesight.types import Float32, UInt8

REMEMBERED = 4096
"""Texts whose embeddings are kept: typing on, paging and the slider ask for the same ones again."""

T = TypeVar("T")


class Batching(Generic[T]):
    """Runs a function of many items once for all callers that wait at the same moment.

    The first caller works; who comes meanwhile waits, and the next one takes all their items
    along. Nobody waits for a batch to fill, so a single caller loses no time.
    """

    def __init__(self, run: Callable[[list[T]], Float32], largest: int) -> None:
        self._run = run
        self._largest = largest
        self._waiting: list[tuple[T, Future[Float32]]] = []
        self._queue = threading.Lock()
        self._working = threading.Lock()

    def __call__(self, items: Sequence[T]) -> list[Float32]:
        """Return one row per item; an exception goes to every caller of the batch."""
        futures: list[Future[Float32]] = [Future() for _ in items]
        with self._queue:
            self._waiting.extend(zip(items, futures, strict=True))
        while not all(future.done() for future in futures):
            with self._working:
                if not all(future.done() for future in futures):
                    self._work()
        return [future.result() for future in futures]

    def _work(self) -> None:
        with self._queue:
            batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
        if not batch:
            return
        try:
            rows = self._run([item for item, _ in batch])
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), row in zip(batch, rows, strict=True):
            future.set_result(row)


class BatchingEncoder:
    """An encoder whose texts and crops are encoded in batches across threads.

    Embeddings of recent texts are kept. encoded: texts and crops given to the encoder, batches:
    in how many calls.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.encoded = self.batches = 0
        self._lock = threading.Lock()
        self._recent: Recent[str, Float32] = Recent(REMEMBERED)
        self._texts = Batching[str](self._run_texts, largest=64)
        self._crops = Batching[UInt8](self._run_crops, largest=64)

    def __getattr__(self, name: str) -> Any:
        """Return what is not batched: the encoder's own."""
        return getattr(self._encoder, name)

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return the L2-normalised embeddings (t, d) of texts."""
        known = {text: row for text in texts if (row := self._recent.get(text)) is not None}
        new = list(dict.fromkeys(text for text in texts if text not in known))
        for text, vector in zip(new, self._texts(new), strict=True):
            known[text] = vector
            self._recent.put(text, vector)
        return np.stack([known[text] for text in texts])

    @property
    def replicas(self) -> "tuple[BatchingEncoder, ...]":
        """This one alone: it gathers what many ask for into one batch."""
        return (self,)

    def encode_images(self, crops: UInt8) -> Float32:
        """Return the L2-normalised embeddings (b, d) of crops (b, side, side, 3)."""
        return np.stack(self._crops(list(crops)))

    def _run_texts(self, texts: list[str]) -> Float32:
        self._count(len(texts))
        # Two callers may ask for the same text at once.
        each = list(dict.fromkeys(texts))
        rows = dict(zip(each, self._encoder.encode_texts(each), strict=True))
        return np.stack([rows[text] for text in texts])

    def _run_crops(self, crops: list[UInt8]) -> Float32:
        self._count(len(crops))
        return self._encoder.encode_images(np.stack(crops))

    def _count(self, items: int) -> None:
        with self._lock:
            self.encoded += items
            self.batches += 1
