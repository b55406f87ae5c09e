"""How regions are kept: in float16 or int8, all of them or those that add something."""

import json
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from finesight.boxes import areas
from finesight.errors import InputError
from finesight.scoring.similarity import normalise, to_int8
from finesight.store.schema import lists, unpack
from finesight.types import Float32

KINDS = {"float16": pa.float16(), "int8": pa.int8()}
"""What the embeddings of regions can be kept as, by name."""

_METADATA = b"storage"


@dataclass(frozen=True)
class Storage:
    """How the regions of a collection are kept.

    kind: one of KINDS; distinct: regions are left out whose cosine with a larger one that is kept
    is at least so high (1 leaves out copies alone); None keeps all.
    """

    kind: str = "float16"
    distinct: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"keep regions as {' or '.join(KINDS)}, got {self.kind!r}")
        if self.distinct is not None and not 0.5 <= self.distinct <= 1:
            raise InputError(f"distinct is a cosine between 0.5 and 1, got {self.distinct}")

    @staticmethod
    def of(schema: pa.Schema) -> "Storage":
        """Return how a table of this schema keeps its regions."""
        noted = (schema.metadata or {}).get(_METADATA)
        return Storage(**json.loads(noted)) if noted else Storage()

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """Return a table's schema with the regions as they are kept, and a note of how."""
        metadata = {**(schema.metadata or {}), _METADATA: json.dumps(asdict(self))}
        place = schema.get_field_index("regions")
        width = schema.field(place).type.value_type.list_size
        kept = pa.list_(pa.list_(KINDS[self.kind], width))
        return schema.set(place, pa.field("regions", kept)).with_metadata(metadata)

    def fit(self, rows: pa.Table) -> pa.Table:
        """Return rows with their regions as they are kept, and the boxes of these."""
        schema = self.schema(rows.schema)
        if self.distinct is None and rows.schema.field("regions") == schema.field("regions"):
            return rows
        if rows.num_rows == 0:
            return schema.empty_table()
        seen, counts = unpack(rows["regions"])
        boxes, _ = unpack(rows["boxes"])
        regions = to_int8(seen) if self.kind == "int8" else seen.astype(np.float16)
        if self.distinct is not None:
            # Compared as they are kept, so that keeping them again leaves out no more.
            seen, ends = normalise(regions), np.cumsum(counts)
            keep = [
                first + distinct_regions(seen[first:last], boxes[first:last], self.distinct)
                for first, last in zip(ends - counts, ends, strict=True)
            ]
            counts = np.array([len(each) for each in keep])
            regions, boxes = regions[np.concatenate(keep)], boxes[np.concatenate(keep)]
        ends = np.cumsum(counts)[:-1]
        for name, values in (("regions", regions), ("boxes", boxes)):
            place = schema.get_field_index(name)
            rows = rows.set_column(place, schema.field(place), lists(np.split(values, ends)))
        return rows.cast(schema)


def distinct_regions(regions: Float32, boxes: Float32, cosine: float) -> np.ndarray:
    """Return which regions (p, d) add something, in their order; the whole image, 0, always does.

    From the largest box down, a region is left out where one that is kept is as near as `cosine`:
    so goes empty ground, and what shows no more than the region around it.
    """
    area = areas(boxes)
    area[0] = np.inf
    near = regions @ regions.T
    free = np.ones(len(regions), bool)
    keep = []
    for place in np.argsort(-area, kind="stable"):
        if free[place]:
            keep.append(place)
            free &= near[place] < cosine
    return np.sort(np.array(keep))
