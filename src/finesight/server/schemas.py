"""What travels over HTTP: requests and answers, each field with its bounds.

`SearchRequest` says what the fields of a search mean, their defaults, and which go together.
"""

import datetime
from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from finesight.indexing.progress import Progress
from finesight.queries import Filters, SearchRequest
from finesight.server.collections import Folder, ImageRow
from finesight.types import Box, Match

MAX_HITS = 200
"""Hits in one answer, at most."""

MAX_OFFSET = 5_000
"""Hits passed over by paging, at most: nobody reads further, and every page is a new ranking."""

MAX_PARTS = 8
"""Texts and images in one query, at most."""

MAX_RERANKED = 1_000
"""Hits that a matcher reranks, at most."""

Share = Annotated[float, Field(ge=0, le=1)]
Id = Annotated[str, Field(pattern="^[0-9a-f]{16}$", description="An image of the collection.")]
# Unicode's noncharacters and controls say nothing to a model; \\x00 ends strings in the store.
_NAMED = r"^[^\x00]*[^\x00\s][^\x00]*$"
Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=_NAMED)]


def _is_a_day(text: str) -> str:
    datetime.date.fromisoformat(text)
    return text


Day = Annotated[
    str,
    Field(pattern=r"^[12][0-9]{3}-[01][0-9]-[0-3][0-9]$", description="A day, such as 2024-06-01."),
    AfterValidator(_is_a_day),
]


def _has_an_area(box: Box) -> Box:
    if not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError("a box is x0, y0, x1, y1 with x0 < x1 and y0 < y1")
    return box


Region = Annotated[
    tuple[Share, Share, Share, Share],
    AfterValidator(_has_an_area),
    Field(description="x0, y0, x1, y1 in shares of width and height, from the upper left."),
]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Key = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00=]+$")]
Value = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]+$")]
Ranking = Literal["regions", "exact", "pooled", "global", "mean", "fused", "whole"]
Glob = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\x00]*[^\x00/ ][^\x00]*$")]
Camera = Annotated[str, Field(min_length=1, max_length=100, pattern=_NAMED)]
Pair = Annotated[str, Field(max_length=1100, pattern=r"^[^\x00=]+=[^\x00]+$")]
Pixels = Annotated[int, Field(ge=1, le=1_000_000)]


class _Described(BaseModel):
    """A record whose fields are described by the strings below them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class _Strict(_Described):
    """A request in which an unknown field is an error, probably a typo."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


def _options_of(record: type, *apart: str) -> Any:
    """Return a request with the plain fields of a record, which below get bounds and words.

    A field that is new in the record so travels over HTTP at once. apart: those that do not.
    """
    plain = {
        each.name: (each.type, each.default)
        for each in fields(record)
        if each.default is not MISSING and each.name not in apart
    }
    return create_model(record.__name__, __base__=_Strict, **plain)  # type: ignore[call-overload]


_Filters: Any = _options_of(Filters)
_Search: Any = _options_of(SearchRequest, "filters", "where")  # no stranger's SQL is run


class QueryPart(_Strict):
    """One thing to look for: a text, an image of the collection, or an uploaded image.

    A weight below 0 lets images that show it sink.
    """

    text: Text | None = None
    image: Id | None = None
    upload: int | None = Field(None, ge=0, lt=MAX_PARTS)
    """Which file of a multipart request, from 0."""
    box: Region | None = None
    """The part of the image that is meant."""
    weight: float = Field(1.0, ge=-10, le=10)

    @model_validator(mode="after")
    def _is_one_thing(self) -> "QueryPart":
        given = [each for each in (self.text, self.image, self.upload) if each is not None]
        if len(given) != 1:
            raise ValueError("give one of text, image and upload")
        if self.box is not None and self.text is not None:
            raise ValueError("a text has no box")
        if self.weight == 0:
            raise ValueError("a part of weight 0 asks for nothing: leave it out")
        return self


class _PlainFilters(_Filters):
    """What images must be to be found at all, but for their metadata."""

    path: Glob | None = None
    """A glob below the collection's root: holiday/** or *.png."""
    folder: Text | None = None
    """A folder below the collection's root, as /status lists them."""
    min_width: Pixels | None = None
    min_height: Pixels | None = None
    max_width: Pixels | None = None
    max_height: Pixels | None = None
    shape: Literal["landscape", "portrait", "square"] | None = None
    taken_from: Day | None = None
    """The first day on which it may be taken."""
    taken_to: Day | None = None
    """The last one."""
    camera: Camera | None = None
    """A part of the camera's name, in any case."""


class FilterBody(_PlainFilters):
    """What images must be to be found at all."""

    metadata: dict[Key, Value] = Field({}, max_length=MAX_PARTS)
    """What metadata files say of them, such as author."""


class Listing(_PlainFilters):
    """Which images to list, of which collection."""

    model_config = ConfigDict(strict=False)  # numbers come as text in an address

    metadata: list[Pair] = Field([], max_length=MAX_PARTS)
    """As KEY=VALUE, several times."""
    collection: Name | None = None
    """One of /collections; else the first."""
    k: int = Field(60, ge=1, le=MAX_HITS)
    """Images in the answer."""
    offset: int = Field(0, ge=0, le=1_000_000)
    """Images to pass over."""


class SearchBody(_Search):
    """What to look for, how to rank, and which of the answers to give.

    `text` is short for one part with that text, `near` for one with that image.
    """

    collection: Name | None = None
    """One of /collections; else the first."""
    text: Text | None = None
    near: Id | None = None
    """An image of the collection: more like it."""
    parts: list[QueryPart] = Field([], max_length=MAX_PARTS)
    k: int = Field(SearchRequest.k, ge=1, le=MAX_HITS)
    """Hits in the answer."""
    offset: int = Field(SearchRequest.offset, ge=0, le=MAX_OFFSET)
    """Hits to pass over."""
    rank_by: Ranking = "regions"
    """By the best region of the likeliest images (regions) or of all (exact), by the kept vectors
    (pooled), the whole image (global), or all regions (mean); fused and whole are earlier names of
    pooled and global."""
    detail: Share = SearchRequest.detail
    """From the whole image (0) to its best region (1), where rank_by is regions or exact."""
    split: Literal["auto", "off"] = "auto"
    """auto takes a text that asks for several things apart and finds images with all of them, where
    rank_by is regions or exact and detail is 1."""
    prompts: bool = SearchRequest.prompts
    """Encode short texts in the model's prompts."""
    words: bool = SearchRequest.words
    """Captions and file names count as well."""
    descriptions: list[Text] = Field([], max_length=MAX_PARTS)
    """More texts that say what the text means."""
    rank_fusion: Literal["trusted", "mean", "votes", "two-stage"] = "trusted"
    """How what descriptions find is merged."""
    rerank: Name | None = SearchRequest.rerank
    """The model's matcher that reranks the best."""
    rerank_top: int = Field(SearchRequest.rerank_top, ge=1, le=MAX_RERANKED)
    """How many it reranks."""
    item: bool = SearchRequest.item
    """Find the very thing that one image, or a box of it, shows, not its kind; where /status says
    that the model can."""
    min_relevance: Share = SearchRequest.min_relevance
    """Hits less likely to be right are left out."""
    group: bool = SearchRequest.group
    """Let near-duplicates stand behind the best of them."""
    filters: FilterBody = Field(default_factory=lambda: FilterBody.model_validate({}))
    compare: bool = False
    """Also say which rank the whole image would have."""


_BODY = {"$ref": "#/components/schemas/SearchBody"}
SEARCH_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": _BODY},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "additionalProperties": False,
                "properties": {
                    "image": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": MAX_PARTS,
                        "items": {"type": "string", "format": "binary"},
                    },
                    "query": {**_BODY, "description": "As in application/json."},
                },
            },
            "encoding": {"query": {"contentType": "application/json"}},
        },
    },
}
"""The two bodies that POST /search takes."""


class HitAnswer(_Described):
    """An image that was found, and its best region."""

    rank: int
    id: str
    path: str
    """Below the folder that all images share."""
    score: float
    box: Region
    width: int
    height: int
    why: str
    """What it was found by: whole, region, pooled or words."""
    part: str
    """The part of the query that the box belongs to."""
    matches: list[Match]
    relevance: Share | None = None
    """How likely it shows what was asked for; null if not known."""
    similar: list[str]
    """Paths of near-duplicates that stand behind it."""
    whole_rank: int | None = None
    """Its rank by the whole image alone; null if beyond the first 200."""


class SearchAnswer(_Described):
    """The hits, best first."""

    collection: str
    images: int
    """Images in the collection."""
    hits: list[HitAnswer]
    offset: int
    more: bool
    """Whether there are further hits."""
    nothing: bool = False
    """Whether nothing in this collection matches, or seems to."""
    milliseconds: float


class ImagesAnswer(_Described):
    """Some images of a collection, in its order."""

    images: list[ImageRow]
    offset: int
    more: bool


class CollectionAnswer(_Described):
    """A collection that is served."""

    name: str
    images: int
    model: str | None
    """Its model; null while nothing was indexed."""


class StatusAnswer(_Described):
    """What a collection holds, and whether more is coming."""

    name: str
    images: int
    version: int
    """Grows with every change of the images."""
    model: str | None
    regions: str | None
    items: bool
    """Whether a search for the very thing (`item`) is possible."""
    folders: tuple[Folder, ...]
    indexing: Progress | None
    """Null where nobody is indexing."""


class SessionRequest(_Strict):
    """The token, to be exchanged for a cookie."""

    token: str = Field(min_length=1, max_length=500)
