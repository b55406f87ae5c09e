"""One search, with everything that it may be told: what every way to search fills."""

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from PIL import Image

from finesight.errors import InputError
from finesight.queries.filters import NO_FILTERS, Filters
from finesight.queries.parsing import checked
from finesight.scoring.rank_fusion import RANK_FUSIONS
from finesight.types import Part, Query

QueryInput = str | Path | Image.Image | Query | Sequence[Part]
"""What can be searched for: a text as typed, an image file, pixels, or several parts."""

RANKINGS = ("regions", "exact", "pooled", "global", "mean")
"""Ways to rank: by the best region (MaxSim), of the images whose pooled vectors come nearest or of
all images; by the pooled vectors alone; by the whole image alone; by the mean over all regions."""

RANKING_ALIASES = {"fused": "pooled", "whole": "global"}
"""Earlier names of rankings, which go on working."""


@dataclass(frozen=True)
class SearchRequest:
    """A search: what is asked for, how to rank, and which of the answers to give.

    parts: the query's; an image scores by the weighted mean of its parts' cosines.
    k: how many hits; offset: how many of the best to pass over, for paging.
    rank_by: one of RANKINGS. detail: where regions rank, how much the best one counts, from 0 (the
    whole image alone) to 1.
    split: "auto" takes a text apart that asks for several things ("red mug beside a plate") and
    ranks first what shows all of them, each in a region of its own, and no unwanted ones ("dog no
    leash"); "off" leaves it whole. prompts: short texts are averaged over the model's prompts, not
    encoded as typed.
    words: captions and file names count as well; the two rankings are merged, and the score is the
    sum of reciprocal ranks. descriptions: more texts that say what is meant, such as a language
    model's (`finesight.queries.enhancement`); rank_fusion: how what they find is merged with what
    the query finds, one of RANK_FUSIONS.
    rerank: the model's matcher of this name reranks the best `rerank_top` for a query of one text;
    the score is then the matcher's. item: find the very thing that a photo or a box of it shows,
    not its kind, with the model's item head.
    min_relevance: hits that are less likely to be right are left out, which may leave none.
    group: near-duplicates stand behind the best of them, as its `similar`.
    filters, where: what images must be; where is a condition in SQL on the table's columns, for
    Python and the command line alone.

    Raises InputError, with what to do, for whatever no collection can answer.
    """

    parts: tuple[Part, ...]
    k: int = 10
    offset: int = 0
    rank_by: str = "regions"
    detail: float = 1.0
    split: str = "auto"
    prompts: bool = False
    words: bool = False
    descriptions: tuple[str, ...] = ()
    rank_fusion: str = "trusted"
    rerank: str | None = None
    rerank_top: int = 100
    item: bool = False
    min_relevance: float = 0.0
    group: bool = False
    filters: Filters = NO_FILTERS
    where: str | None = None

    def __post_init__(self) -> None:
        _set(self, "parts", tuple(self.parts))
        _set(self, "descriptions", tuple(self.descriptions))
        _set(self, "rank_by", RANKING_ALIASES.get(self.rank_by, self.rank_by))
        checked(Query(self.parts))
        if self.item:
            _check_item(self)
        if self.rerank is not None:
            _check_rerank(self)
        if self.k < 1:
            raise InputError(f"ask for at least one hit, got k={self.k}")
        if self.offset < 0:
            raise InputError(f"the offset is how many hits to pass over, got {self.offset}")
        if not 0 <= self.detail <= 1:
            raise InputError(f"detail is between 0 (the whole image) and 1, got {self.detail}")
        if not 0 <= self.min_relevance <= 1:
            raise InputError(f"the relevance is between 0 and 1, got {self.min_relevance}")
        if self.min_relevance > 0 and not any(part.text for part in self.parts):
            raise InputError("relevance is known of texts alone, and the query has none")
        if self.rank_by not in RANKINGS:
            raise InputError(f"rank by one of {', '.join(RANKINGS)}, got {self.rank_by!r}")
        if self.rank_fusion not in RANK_FUSIONS:
            known = ", ".join(RANK_FUSIONS)
            raise InputError(f"merge rankings by one of {known}, got {self.rank_fusion!r}")
        if self.split not in ("auto", "off"):
            raise InputError(f"split is auto or off, got {self.split!r}")
        if self.descriptions and (self.words or self.text is None):
            raise InputError("descriptions go with a query of one text, and without --words")
        if self.words and not any(part.text and part.weight > 0 for part in self.parts):
            raise InputError("there are no words in the query to look for in captions and names")

    @property
    def text(self) -> str | None:
        """The text of a query that is one text, else None."""
        return self.parts[0].text if len(self.parts) == 1 else None

    @property
    def by_regions(self) -> bool:
        """Whether the best region of an image makes its score."""
        return self.rank_by in ("regions", "exact")

    @staticmethod
    def of(query: "QueryInput | SearchRequest | None" = None, **options: Any) -> "SearchRequest":
        """Return the request of a query and options by their names; filters go by theirs, too.

        near: the path of an indexed image, as one more part; parts="off" and parts="auto": the
        earlier name of split. Raises InputError for an unknown option.
        """
        if isinstance(query, SearchRequest):
            if options:
                raise InputError("a SearchRequest holds its options already: give none beside it")
            return query
        if isinstance(options.get("parts"), str):
            options["split"] = options.pop("parts")
            warnings.warn("the option parts is called split now", FutureWarning, stacklevel=3)
        near = options.pop("near", None)
        parts = _parts_of(query)
        if near is not None:
            parts = (*parts, Part(near=Path(near).expanduser()))
        filters = {name: options.pop(name) for name in _FILTERS.intersection(options)}
        for name in options.keys() - _OPTIONS:
            names = sorted(_OPTIONS | _FILTERS | {"near"})
            close = difflib.get_close_matches(name, names, 1)
            hint = f": did you mean {close[0]}?" if close else f": it has {', '.join(names)}"
            raise InputError(f"a search has no option {name!r}{hint}")
        if filters:
            if "filters" in options:
                raise InputError("give filters either by their names or as Filters, not both")
            options["filters"] = Filters(**filters)
        return SearchRequest(parts, **options)


_OPTIONS = {each.name for each in fields(SearchRequest)} - {"parts"}
_FILTERS = {each.name for each in fields(Filters)}


def _set(request: SearchRequest, name: str, value: Any) -> None:
    object.__setattr__(request, name, value)


def _parts_of(query: QueryInput | None) -> tuple[Part, ...]:
    if query is None:
        return ()
    if isinstance(query, Query):
        return query.parts
    if isinstance(query, str):
        return (Part(text=query),)
    if isinstance(query, Path | Image.Image):
        return (Part(image=query),)
    return tuple(query)


def _check_item(request: SearchRequest) -> None:
    """Raise InputError for a search for one thing that does not show it, or ranks otherwise."""
    part = request.parts[0]
    if len(request.parts) != 1 or part.text is not None or part.weight < 0:
        raise InputError(
            "to find the very same thing, give one photo of it: photo.jpg, or a box of it such as "
            "photo.jpg@0.2,0.1,0.5,0.6; texts and further parts search without --item"
        )
    if not request.by_regions:
        raise InputError(
            "the very same thing is found by regions (or exact, of all images), not by "
            f"{request.rank_by!r}"
        )
    others = {"--words": request.words, "--rerank": request.rerank is not None}
    others |= {"--enhance": bool(request.descriptions), "a detail below 1": request.detail < 1}
    for name, given in others.items():
        if given:
            raise InputError(f"{name} is for texts, and this looks for one thing: leave it out")


def _check_rerank(request: SearchRequest) -> None:
    if request.rerank_top < 1:
        raise InputError(f"re-rank at least one image, got {request.rerank_top}")
    if request.text is None:
        raise InputError(
            "a matcher re-ranks for one text: write the query as one sentence, without images, "
            "+ and -, or search without --rerank"
        )
