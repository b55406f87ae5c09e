"""Does re-ranking help a search? The sample's captions asked of its collection, with and without.

python experiments/rerank_search.py [--kind scan] [--seed 0] [--quick]

What a user gets: a matcher that experiments/caption_retrieval.py trained is put into a bundle, the
160 sample scenes are indexed with it as they are by default, and every caption is searched for.
Right is a first hit that the caption is true of. Levels: 1 "a photo of a mug", 2 with its colour,
3 two objects with colours, 4 how they stand, 5 all that is there.
"""

import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from caption_retrieval import ENSEMBLES, Bench
from protocol import arguments, print_table

from finesight.collection import Collection
from finesight.research.datasets import scene_texts
from finesight.research.datasets.scene_texts import LEVELS
from finesight.research.networks.matcher import Ensemble
from finesight.research.training.export import put_part
from finesight.research.training.matcher.export import matcher_part

SAMPLE = Path(__file__).parent.parent / "data" / "sample"
QUICK_CAPTIONS = 40


def main() -> None:
    """Export, index, ask and print."""
    parser = arguments(__doc__)
    parser.add_argument("--kind", default="scan", choices=ENSEMBLES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.seeds, options.cached = options.seed + 1, True
    options.regions = "normal"
    bench = Bench(options)
    members = [bench.trained(kind, options.seed).module for kind in ENSEMBLES[options.kind]]
    matcher = Ensemble(replace(members[0].settings, kind=options.kind), members).eval()
    with tempfile.TemporaryDirectory() as place:
        bundle, home = Path(place) / "bundle", Path(place) / "collection"
        part = partial(matcher_part, matcher, bench.tokenizer, options.kind, bench.regions)
        put_part(bench.model.directory, bundle, {}, part)
        collection = Collection.open(home, str(bundle))
        collection.add([SAMPLE])
        rows = [_row(collection, level, options) for level in LEVELS]
    head = ("level", "captions", "plain", "re-ranked", "ms", "ms re-ranked")
    print(f"right first hits in percent, {options.kind}, the best 100 re-ranked")
    print_table(head, rows)


def _row(collection: Collection, level: int, options) -> list[object]:
    captions = scene_texts.load_captions(SAMPLE, levels=(level,))
    true = captions.relevant()
    places = {Path(name).name: place for place, name in enumerate(captions.images)}
    count = QUICK_CAPTIONS if options.quick else len(captions.captions)
    shares, times = [], []
    for rerank in (None, options.kind):
        start, right = time.perf_counter(), []
        for place, text in enumerate(captions.captions[:count]):
            hit = collection.search(text, 1, rerank=rerank)[0]
            right.append(true[places[hit.path.name], place])
        shares.append(100 * float(np.mean(right)))
        times.append(1000 * (time.perf_counter() - start) / count)
    return [level, count, *shares, *times]


if __name__ == "__main__":
    main()
