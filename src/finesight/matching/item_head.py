"""The item head of a bundle: from embeddings of regions to embeddings of the very things in them.

Two regions whose item embeddings are close show the same item: the same shape, colour and
material, not only the same kind of thing. The graph takes `regions` (n, d), embeddings of the
bundle's own encoder, and gives `items` (n, e), both L2-normalised. So what a collection keeps of
its regions is all that is needed to look for an item in it.
"""

from pathlib import Path

import numpy as np

from finesight.errors import DataError
from finesight.graphs import Graph
from finesight.types import Float32

ITEM_HEAD = "onnx/item_head.onnx"
"""Where a bundle keeps it."""

_AT_ONCE = 2**14  # regions: the largest intermediate array then holds some tens of MiB


class ItemHead:
    """Region embeddings (n, d) → item embeddings (n, e); its graph is read on first use."""

    def __init__(self, path: Path) -> None:
        self._graph = Graph(path)

    def __call__(self, regions: Float32) -> Float32:
        """Return the item embeddings (n, e) of region embeddings (n, d), of length 1.

        Raises DataError for a graph that cannot be read, or one made for another width d.
        """
        regions = np.asarray(regions, np.float32)
        wanted = self._graph.inputs["regions"].shape[-1]
        if isinstance(wanted, int) and regions.shape[-1] != wanted:
            raise DataError(
                f"{self._graph.path} takes embeddings of width {wanted}, and these have "
                f"{regions.shape[-1]}: use the model that the collection was indexed with"
            )
        blocks = [regions[i : i + _AT_ONCE] for i in range(0, max(len(regions), 1), _AT_ONCE)]
        found = [self._graph.one({"regions": block}, "items") for block in blocks]
        return np.concatenate(found)
