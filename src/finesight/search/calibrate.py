"""What a collection knows to tell hits from what merely ranks first: estimated, kept, applied.

The estimate lies in a file beside the table, one a model. It needs the model's background texts
and the regions that are stored, and no labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import lance
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
from finesight.types import Float32, Hit, Match

_REGIONS = 100_000  # are read to estimate, at most
_HITS = 10  # of every background text, at least
_SHARE = 0.05  # or so many of the images
_BARE = 0.2  # the same of texts that only name a thing: more images hold it
_GROWN = 0.2  # the collection may change by so much before it is estimated anew
_CHUNK = 512


def keep_calibrated(
    table: lance.LanceDataset, model: Model, made_of: str, directory: Path, anew: bool = False
) -> None:
    """Estimate for a table, where that was not done, or the collection has changed by a fifth."""
    file = calibration_file(directory, model.fingerprint)
    known, images = load_calibrator(file), table.count_rows()
    if known is not None and (known.made_of, known.texts) != (made_of, model.background):
        known = None
    if known is not None and not anew and abs(images - known.images) <= _GROWN * known.images:
        return
    if known is not None:
        vectors = known.background.vectors
    else:
        vectors = model.encoder.encode_texts([model.prompt.format(t) for t in model.background])
    found = estimate(table, Background.of(model.background, vectors), model.background)
    if found is not None:
        save_calibrator(file, replace(found, made_of=made_of))


def estimate(
    table: lance.LanceDataset, background: Background, texts: Sequence[str]
) -> Calibrator | None:
    """Search a table for every background text, and learn from their hits; None for too few.

    Of a large collection, images spread evenly over it are read.
    """
    seen, counts = _some_regions(table)
    curves = learn(seen, counts, background, texts)
    if curves is None:
        return None
    return Calibrator(background, tuple(texts), curves, table.count_rows(), "")


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


def relevances(
    calibrator: Calibrator, query: QueryVectors, regions: pa.ListArray
) -> list[list[float | None]]:
    """Return the relevance of every part of a query in some images; None for a part without words.

    regions: those of the images, as they are stored. Each part is judged by its best one, whatever
    the images were ranked by. What the model cannot read is not there.
    """
    seen, counts = unpack_stored(regions)
    starts = np.cumsum(counts) - counts
    parts: list[list[float | None]] = []
    each_part = zip(query.texts, query.unread, cosines(query.vectors, seen), strict=True)
    for text, unread, found in each_part:
        if text is None or unread:
            parts.append([None if text is None else 0.0] * len(counts))
            continue
        best, which = max_over_regions(found, counts)
        region = normalise(seen[starts + which])
        parts.append(calibrator.relevance(text, best, region).tolist())
    return [list(each) for each in zip(*parts, strict=True)]


def calibrated(hits: Sequence[Hit], relevances: Sequence[Sequence[float | None]]) -> list[Hit]:
    """Return hits with the relevance of each, and of each of its parts.

    relevances: of each hit, those of its matches in order; None for what has none. A hit
    is as relevant as all wanted parts together, and none of the unwanted ones.
    """
    out = []
    for hit, parts in zip(hits, relevances, strict=True):
        matches = tuple(
            replace(match, relevance=part) for match, part in zip(hit.matches, parts, strict=True)
        )
        out.append(replace(hit, matches=matches, relevance=_together(matches)))
    return out


def relevant_hits(hits: Callable[[int], list[Hit]], k: int, offset: int, least: float) -> list[Hit]:
    """Return the first k hits behind `offset` that are relevant enough, ranked anew.

    hits: gives so many of the best. It is asked for more until there are enough, or the second
    half of what came held nothing relevant.
    """
    wanted, count = offset + k, 2 * (offset + k)
    while True:
        found = hits(count)
        good = [hit for hit in found if hit.relevance is not None and hit.relevance >= least]
        late = [hit for hit in good if hit.rank > count // 2]
        if len(good) >= wanted or len(found) < count or not late:
            return [replace(hit, rank=rank) for rank, hit in enumerate(good, 1)][offset:wanted]
        count *= 2


def _together(matches: Sequence[Match]) -> float | None:
    known = [
        match.relevance if match.weight > 0 else 1 - match.relevance
        for match in matches
        if match.relevance is not None
    ]
    return float(np.prod(known)) if known else None


def _some_regions(table: lance.LanceDataset) -> tuple[Float32, np.ndarray]:
    """Return the regions (sum of counts, d) of images spread evenly, and their counts."""
    images = table.count_rows()
    if not images:
        return np.zeros((0, 1), np.float32), np.zeros(0, int)
    few = table.take(list(range(min(images, 20))), columns=["regions"])["regions"]
    each = max(1.0, float(np.mean(few.combine_chunks().value_lengths())))
    wanted = min(images, max(1, int(_REGIONS / each)))
    rows = np.unique(np.linspace(0, images - 1, wanted).astype(int))
    column = table.take(rows.tolist(), columns=["regions"])["regions"]
    seen, counts = unpack(column.combine_chunks())
    return seen.astype(np.float32, copy=False), counts
