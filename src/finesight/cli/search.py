"""`finesight search`: find images by what is in them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.options import (
    CollectionOption,
    JsonOption,
    ModelOption,
    cache_folder,
    open_collection,
    option,
)
from finesight.cli.output import say, show
from finesight.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from finesight.queries import SearchRequest
    from finesight.types import Hit


def search(  # its parameters are its options: those of a SearchRequest by the request's names
    context: typer.Context,
    query: Annotated[
        list[str] | None,
        typer.Argument(
            help='Texts and images with + and - between them: "red mug" + photo.jpg - table. '
            "FILE@x0,y0,x1,y1 is a box of an image, 2:TEXT counts twice."
        ),
    ] = None,
    collection: CollectionOption = None,
    model: ModelOption = None,
    k: Annotated[int, option("How many hits.", "-k")] = 10,
    offset: Annotated[int, option("Pass over so many of the best, for paging.")] = 0,
    rank_by: Annotated[
        str,
        option(
            "regions (the best one of the likeliest images), exact (of all images), pooled "
            "(the kept vectors alone), global (the whole image alone), or mean (of all regions)."
        ),
    ] = "regions",
    detail: Annotated[
        float, option("From the whole image (0) to its best region (1), where regions rank.")
    ] = 1.0,
    near: Annotated[Path | None, option("An indexed image: more like it, itself left out.")] = None,
    split: Annotated[
        str,
        option(
            "auto takes a text apart that asks for several things, and finds images with all "
            "of them; off leaves it whole."
        ),
    ] = "auto",
    parts: Annotated[str | None, typer.Option(hidden=True)] = None,
    prompts: Annotated[
        bool, option("Encode short texts in the model's prompts, not as typed.", "--prompts")
    ] = False,
    words: Annotated[bool, option("Captions and file names count as well.", "--words")] = False,
    rerank: Annotated[
        str | None, option("A matcher of the model that reranks the best: adapt.")
    ] = None,
    rerank_top: Annotated[int, option("How many of the best it reranks.")] = 100,
    item: Annotated[
        bool,
        option("Find the very thing that a photo or a box of it shows, not its kind.", "--item"),
    ] = False,
    min_relevance: Annotated[
        float, option("Only hits that are as likely as this (0 to 1) to be right.")
    ] = 0.0,
    group: Annotated[
        bool, option("Show one of near-duplicates, with how many it hides.", "--group")
    ] = False,
    path: Annotated[
        str | None, option("Only images whose path below the root matches: 'holiday/**/*.jpg'.")
    ] = None,
    folder: Annotated[
        str | None, option("Only those in a folder below the root: 2024/june.")
    ] = None,
    min_width: Annotated[int | None, option("Only those as wide, in pixels.")] = None,
    max_width: Annotated[int | None, option("Only those no wider.")] = None,
    min_height: Annotated[int | None, option("Only those as high, in pixels.")] = None,
    max_height: Annotated[int | None, option("Only those no higher.")] = None,
    shape: Annotated[str | None, option("landscape, portrait or square.")] = None,
    taken_from: Annotated[
        str | None, option("Only those taken on this day or later: 2024-06-01.")
    ] = None,
    taken_to: Annotated[str | None, option("Only those up to the end of it.")] = None,
    camera: Annotated[str | None, option("A part of the camera's name.")] = None,
    meta: Annotated[
        list[str] | None,
        option("What metadata files say of them: author=Ann; several times for all."),
    ] = None,
    where: Annotated[
        str | None, option('Only images that meet a condition: "width > 1000 AND height > 500".')
    ] = None,
    enhance: Annotated[
        bool, option("Have a language model say what is meant; only the text is sent.", "--enhance")
    ] = False,
    description: Annotated[
        list[str] | None, option("One more text that says what is meant, as --enhance finds them.")
    ] = None,
    rank_fusion: Annotated[
        str, option("How descriptions are merged: trusted, mean, votes or two-stage.")
    ] = "trusted",
    llm: Annotated[
        str, option("Its address, which speaks OpenAI's chat completions.", envvar="FINESIGHT_LLM")
    ] = "http://localhost:11434/v1",
    llm_model: Annotated[str, option("Its name there.", envvar="FINESIGHT_LLM_MODEL")] = "llama3.2",
    llm_timeout: Annotated[
        float, option("Seconds, after which the query is searched as typed.")
    ] = 2.0,
    llm_check: Annotated[
        bool, option("Have it sort out what misses the query's meaning.", "--llm-check")
    ] = False,
    as_json: JsonOption = False,
    paths: Annotated[bool, option("Print paths alone, for pipes.", "--paths")] = False,
    save: Annotated[
        Path | None, option("Save the hits with their boxes drawn, and a sheet of them.")
    ] = None,
) -> None:
    """Search a collection; prints rank, score, path, box, what was found by, and relevance.

    Examples:

      finesight search red mug --collection ~/pictures.finesight -k 5

      finesight search "red mug" + photo.jpg - table --min-width 1000

      finesight search photo.jpg@0.2,0.1,0.5,0.6

      finesight search photo.jpg@0.2,0.1,0.5,0.6 --item

      finesight search --near ~/Pictures/beach.jpg --path "2024/**" --group

      finesight search "a red mug to the left of a blue car" --rerank adapt

      finesight search "woman in a white hat beside a black dog" --min-relevance 0.5

      finesight search dog no leash sunset --enhance --llm-model qwen3
    """
    request = _request(context.params)
    hits = open_collection(collection, model).search(request)
    if offset == 0 and (doubt := _doubt(hits, min_relevance)):
        say(doubt)
    if save is not None:
        from finesight.images.drawing import save_hits

        say(f"saved {save_hits(hits, save)} images and sheet.jpg to {save}")
    lines = (str(hit.path) if paths else _line(hit) for hit in hits)
    show([hit.as_dict() for hit in hits], lines, as_json)


def _request(given: dict[str, Any]) -> "SearchRequest":
    """Return the request of the options, by their names."""
    from dataclasses import fields

    from finesight.queries import Filters, SearchRequest, parse_query
    from finesight.queries.filters import parse_metadata
    from finesight.queries.request import RANKING_ALIASES

    query, near = given["query"], given["near"]
    asked = parse_query(query or []) if query or near is None else None
    names = {each.name for each in (*fields(SearchRequest), *fields(Filters))}
    options = {name: given[name] for name in names - {"parts"} if name in given}
    if given["parts"] is not None:
        say("--parts is called --split now")
        options["split"] = given["parts"]
    if now := RANKING_ALIASES.get(given["rank_by"]):
        say(f"--rank-by {given['rank_by']} is called {now} now")
    descriptions = list(given["description"] or ())
    if given["enhance"]:
        text = asked.parts[0].text if asked is not None and len(asked.parts) == 1 else None
        descriptions += _described(text, given)
    metadata = parse_metadata(given["meta"] or ())
    return SearchRequest.of(
        asked, near=near, descriptions=descriptions, metadata=metadata, **options
    )


def _described(text: str | None, given: dict[str, Any]) -> list[str]:
    """Return what a language model says that a query of one text means."""
    from finesight.queries.enhancement import LanguageModel

    if text is None:
        raise InputError("--enhance goes with a query of one text")
    model = LanguageModel(
        given["llm"],
        given["llm_model"],
        os.environ.get("FINESIGHT_LLM_KEY"),
        check=given["llm_check"],
        timeout=given["llm_timeout"],
        cache=cache_folder() / "descriptions",
    )
    return model.describe(text)


def _doubt(hits: "Sequence[Hit]", least: float) -> str | None:
    """Return the sentence that nothing matches, or seems to; None where something does."""
    from finesight.scoring.calibration import seems_nothing

    if not seems_nothing(hits, least):
        return None
    if not hits:
        return "nothing in this collection matches"
    best = max(hit.relevance for hit in hits if hit.relevance is not None)
    return (
        "nothing in this collection seems to match: the most relevant hit has a relevance of "
        f"{best:.2f}"
    )


def _line(hit: "Hit") -> str:
    """Return a hit in one line; found by region, or of several parts: by region of red mug."""
    why = hit.why + (f" of {hit.part}" if len(hit.matches) > 1 else "")
    alike = f" (+{len(hit.similar)} alike)" if hit.similar else ""
    box = ",".join(map(str, hit.box_px))
    known = "" if hit.relevance is None else f"\t{hit.relevance:.2f}"
    return f"{hit.rank}\t{hit.score:.4f}\t{hit.path}\t{box}\t{why}{alike}{known}"
