"""What a collection knows to tell hits from what merely ranks first: estimated, kept, applied.

The estimate lies in a file beside the table, one a model. It needs the model's background texts
and the regions that are stored, and no labels.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from finesight.models import Model
from finesight.scoring.calibration import Background, fit_curve
from finesight.scoring.similarity import cosines, max_over_regions, normalise
from finesight.search.encode import QueryVectors
from finesight.store.calibration import (
    Calibrator,
    Curves,
    calibration_file,
    load_calibrator,
    save_calibrator,
)
from finesight.store.schema import unpack, unpack_stored
from finesight.store.snapshot import Snapshot
from finesight.types import Float32

_REGIONS = 100_000  # are read to estimate, at most
_HITS = 10  # of every background text, at least
_SHARE = 0.05  # or so many of the images
_BARE = 0.2  # the same of texts that only name a thing: more images hold it
_GROWN = 0.2  # the collection may change by so much before it is estimated again
_CHUNK = 512


def keep_calibrated(snapshot: Snapshot, model: Model, force: bool = False) -> None:
    """Fit the calibration of a table where that was not done, or it has changed by a fifth."""
    file = calibration_file(snapshot.table.path)
    texts, known = model.background, load_calibrator(file)
    if known is not None and (known.made_of, known.texts) == (snapshot.made_of, texts):
        grown = abs(snapshot.images - known.images) > _GROWN * known.images
        if not (force or grown):
            return
        background = known.background
    else:
        vectors = model.encoder.encode_texts([model.prompt.format(text) for text in texts])
        background = Background.of(texts, vectors)
    regions = snapshot.some_regions(_REGIONS)  # of a large collection, of images all over it
    if regions is None:
        return
    seen, counts = unpack(regions)
    curves = learn(seen.astype(np.float32, copy=False), counts, background, texts)
    if curves is not None:
        made = Calibrator(background, texts, curves, snapshot.images, snapshot.made_of)
        save_calibrator(file, made)


def learn(
    seen: Float32, counts: np.ndarray, background: Background, texts: Sequence[str]
) -> Curves | None:
    """Return the curves of the best hits of every background text.

    seen: the regions of images one after another (sum of counts, d), counts: (n,) of each. None
    where there are too few of them.
    """
    if not len(counts):
        return None
    starts = np.cumsum(counts) - counts
    few, many = (min(len(counts), max(_HITS, round(s * len(counts)))) for s in (_SHARE, _BARE))
    margins: list[np.ndarray] = []
    bare: list[np.ndarray] = []
    cosines: list[np.ndarray] = []
    for first in range(0, len(texts), _CHUNK):
        found = background.vectors[first : first + _CHUNK] @ seen.T
        best = np.maximum.reduceat(found, starts, axis=1)
        for row, text in enumerate(texts[first : first + _CHUNK]):
            images = np.argsort(-best[row], kind="stable")[:many]
            regions = [
                starts[i] + int(found[row, starts[i] : starts[i] + counts[i]].argmax())
                for i in images
            ]
            values = background.margins(text, best[row, images], seen[regions])
            margins.append(values[:few])
            cosines.append(best[row, images[:few]])
            bare += [values] if background.is_bare(text) else []
    margin, cosine = fit_curve(np.concatenate(margins)), fit_curve(np.concatenate(cosines))
    if margin is None or cosine is None:
        return None
    return Curves(margin, (fit_curve(np.concatenate(bare)) if bare else None) or margin, cosine)


def relevances(snapshot: Snapshot, query: QueryVectors, row_ids: np.ndarray) -> Float32:
    """Return the relevance of every part of a query in some images, (m, n), as `relevances_of`."""
    batches = snapshot.batches(["regions"], row_ids)
    known = [relevances_of(snapshot, query, batch["regions"]) for batch, _ in batches]
    return np.concatenate([np.zeros((len(query.texts), 0), np.float32), *known], axis=1)


def relevances_of(snapshot: Snapshot, query: QueryVectors, regions: pa.ListArray) -> Float32:
    """Return the relevance of every part of a query in images with these regions, (m, n), in 0..1.

    Not a number for a part without words. Each part is judged by its best region, whatever the
    images were ranked by. What the model cannot read is not there. The snapshot must have a
    calibrator.
    """
    assert snapshot.calibrator is not None
    seen, counts = unpack_stored(regions)
    starts = np.cumsum(counts) - counts
    known = np.full((len(query.texts), len(counts)), np.nan, np.float32)
    for part, found in enumerate(cosines(query.vectors, seen)):
        text = query.texts[part]
        if query.unread[part]:
            known[part] = 0
        elif text is not None:
            best, which = max_over_regions(found, counts)
            vectors = normalise(seen[starts + which])
            known[part] = snapshot.calibrator.relevance(text, best, vectors)
    return known


def relevance_of(query: QueryVectors, parts: Float32) -> Float32:
    """Return the relevance (n,) of images by that of their parts (m, n).

    An image is as relevant as all wanted parts together, and none of the unwanted ones; not a
    number where no part's is known.
    """
    there = np.where((query.weights > 0)[:, None], parts, 1 - parts)
    relevance: Float32 = np.where(np.isnan(there), 1, there).prod(axis=0)
    return np.where(np.isnan(there).all(axis=0), np.nan, relevance)
