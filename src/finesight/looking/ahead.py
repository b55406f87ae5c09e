"""Keeps all cores busy: images are cut in threads while the crops before them are encoded."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from finesight.encoders import Encoder
from finesight.looking.crops import encode_cut
from finesight.types import Float32, UInt8

# Crops encoded in one go: enough to keep every core busy, few enough to stay in the caches.
_CROPS = 512
# Items without crops (moved or damaged files) that wait for the next batch at most.
_WAITING = 256

T = TypeVar("T")
U = TypeVar("U")


def encode_ahead(
    items: Iterable[T | None], cut: Callable[[T], tuple[U, UInt8 | None]], encoder: Encoder
) -> Iterator[tuple[U, Float32 | None]]:
    """Yield what `cut` returns for every item, in order, with embeddings in the place of crops.

    items: None among them means that the next is to be asked for later, when less is under way;
    cut: is called in threads; returns anything, and crops (p, side, side, 3) or None, for which
    embeddings (p, d) or None come back. What it raises is raised here, in its turn. Memory is
    bounded by the few items that are cut ahead.
    """
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[tuple[U, UInt8 | None]]] = deque()
        waiting: list[tuple[U, UInt8 | None]] = []
        remaining = iter(items)
        try:
            while True:
                while len(ahead) < 2 * workers + 2 and (item := next(remaining, None)) is not None:
                    ahead.append(pool.submit(cut, item))
                if not ahead:
                    break
                waiting.append(ahead.popleft().result())
                crops = sum(len(c) for _, c in waiting if c is not None)
                if crops >= _CROPS or len(waiting) >= _WAITING:
                    yield from _encode(waiting, encoder)
                    waiting = []
            yield from _encode(waiting, encoder)
        finally:
            for future in ahead:
                future.cancel()


def _encode(
    waiting: list[tuple[U, UInt8 | None]], encoder: Encoder
) -> Iterator[tuple[U, Float32 | None]]:
    cuts = [crops for _, crops in waiting if crops is not None]
    embeddings = iter(encode_cut(encoder, cuts) if cuts else [])
    for result, crops in waiting:
        yield result, None if crops is None else next(embeddings)
