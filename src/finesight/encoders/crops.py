"""Encodes crops: of one image, of several at once, and while the next images are still cut."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from typing import TypeVar

import numpy as np
from PIL import Image

from finesight.encoders.base import Encoder
from finesight.types import Float32, ImageVectors, UInt8

# Pixels of the crops that one core encodes in one go: few enough to stay in its caches.
_PIXELS = 2**18
# Crops encoded in one go where one batch takes the whole machine.
_CROPS = 512
# Items without crops (moved or damaged files) that wait for the next batch at most.
_WAITING = 256

T = TypeVar("T")
U = TypeVar("U")


def encode_boxes(image: Image.Image, encoder: Encoder, boxes: Float32) -> ImageVectors:
    """Return the embeddings of given boxes (p, 4), normalised xyxy, in one RGB image."""
    crops = encoder.preprocessing.cut(image, boxes)
    return ImageVectors(np.asarray(boxes, np.float32), encoder.encode_images(crops))


def encode_ahead(
    items: Iterable[T | None], cut: Callable[[T], tuple[U, UInt8 | None]], encoder: Encoder
) -> Iterator[tuple[U, Float32 | None]]:
    """Yield what `cut` returns for every item, in order, with embeddings in the place of crops.

    items: None among them means that the next is to be asked for later, when less is under way;
    cut: is called in threads; returns anything, and crops (p, side, side, 3) or None, for which
    embeddings (p, d) or None come back. What it raises is raised here, in its turn. Memory is
    bounded by the few items that are cut ahead, and two batches for each of the encoder's
    replicas.
    """
    workers = os.cpu_count() or 1
    replicas = encoder.replicas
    most = _CROPS if len(replicas) == 1 else max(1, _PIXELS // encoder.preprocessing.side**2)
    # The threads that cut also encode, so that no more of them want a core than there are.
    with ThreadPoolExecutor(max(workers, len(replicas))) as pool:
        ahead: deque[Future[tuple[U, UInt8 | None]]] = deque()
        encoding: deque[Future[list[tuple[U, Float32 | None]]]] = deque()
        waiting: list[tuple[U, UInt8 | None]] = []
        remaining = iter(items)
        free = cycle(replicas)
        try:
            while True:
                while len(ahead) < 2 * workers + 2 and (item := next(remaining, None)) is not None:
                    ahead.append(pool.submit(cut, item))
                if not ahead:
                    break
                waiting.append(ahead.popleft().result())
                crops = sum(len(c) for _, c in waiting if c is not None)
                if crops >= most or len(waiting) >= _WAITING:
                    encoding.append(pool.submit(_encode, waiting, next(free)))
                    waiting = []
                    while len(encoding) > 2 * len(replicas):
                        yield from encoding.popleft().result()
            if waiting:
                encoding.append(pool.submit(_encode, waiting, next(free)))
            while encoding:
                yield from encoding.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _encode(
    waiting: list[tuple[U, UInt8 | None]], encoder: Encoder
) -> list[tuple[U, Float32 | None]]:
    """Return results with the embeddings of their crops, encoded all at once."""
    cuts = [crops for _, crops in waiting if crops is not None]
    ends = np.cumsum([len(crops) for crops in cuts])[:-1]
    embeddings = iter(np.split(encoder.encode_images(np.concatenate(cuts)), ends) if cuts else [])
    return [(result, None if crops is None else next(embeddings)) for result, crops in waiting]
