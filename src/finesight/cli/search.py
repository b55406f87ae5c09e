"""`finesight search`: find images by what is in them."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.options import (
    CollectionOption,
    JsonOption,
    ModelOption,
    cache_folder,
    collection_folder,
)
from finesight.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from finesight.types import Hit, Query


def search(
    query: Annotated[
        list[str] | None,
        typer.Argument(
            help='Texts and images with + and - between them: "red mug" + photo.jpg - table. '
            "FILE@x0,y0,x1,y1 is a box of an image, 2:TEXT counts twice."
        ),
    ] = None,
    collection: CollectionOption = None,
    model: ModelOption = None,
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 10,
    rank_by: Annotated[
        str,
        typer.Option(
            help="regions (the best one of the likeliest images), exact (of all images), fused "
            "(the kept vectors alone), whole (the whole image alone), or mean."
        ),
    ] = "regions",
    near: Annotated[
        Path | None, typer.Option(help="An indexed image: more like it, itself left out.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(help='Only images that meet a condition: "width > 1000 AND height > 500".'),
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Only images whose path matches a glob: 'holiday/**/*.jpg'.")
    ] = None,
    offset: Annotated[int, typer.Option(help="Pass over so many of the best, for paging.")] = 0,
    group: Annotated[
        bool, typer.Option("--group", help="Show one of near-duplicates, with how many it hides.")
    ] = False,
    words: Annotated[
        bool, typer.Option("--words", help="Captions and file names count as well.")
    ] = False,
    rerank: Annotated[
        str | None,
        typer.Option(help="A matcher of the model that ranks the best anew, such as adapt."),
    ] = None,
    rerank_top: Annotated[int, typer.Option(help="How many of the best it ranks.")] = 100,
    item: Annotated[
        bool,
        typer.Option(
            "--item", help="Find the very thing that a photo or a box of it shows, not its kind."
        ),
    ] = False,
    parts: Annotated[
        str,
        typer.Option(
            help="auto takes a text apart that asks for several things, and finds images with all "
            "of them; off leaves it whole."
        ),
    ] = "auto",
    prompts: Annotated[
        bool,
        typer.Option("--prompts", help="Encode short texts in the model's prompts, not as typed."),
    ] = False,
    min_relevance: Annotated[
        float, typer.Option(help="Only hits that are as likely as this (0 to 1) to be right.")
    ] = 0.0,
    enhance: Annotated[
        bool,
        typer.Option(
            "--enhance", help="Have a language model say what is meant; only the text is sent."
        ),
    ] = False,
    llm: Annotated[
        str,
        typer.Option(
            envvar="FINESIGHT_LLM", help="Its address, which speaks OpenAI's chat completions."
        ),
    ] = "http://localhost:11434/v1",
    llm_model: Annotated[
        str, typer.Option(envvar="FINESIGHT_LLM_MODEL", help="Its name there.")
    ] = "llama3.2",
    llm_timeout: Annotated[
        float, typer.Option(help="Seconds, after which the query is searched as typed.")
    ] = 2.0,
    llm_check: Annotated[
        bool, typer.Option("--llm-check", help="Have it sort out what misses the query's meaning.")
    ] = False,
    rank_fusion: Annotated[
        str, typer.Option(help="How descriptions are merged: trusted, mean, votes or two-stage.")
    ] = "trusted",
    as_json: JsonOption = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print paths alone, for pipes.")] = False,
    save: Annotated[
        Path | None, typer.Option(help="Save the hits with their boxes drawn, and a sheet of them.")
    ] = None,
) -> None:
    """Search a collection; prints rank, score, path, box, what was found by, and relevance.

    Examples:

      finesight search red mug --collection ~/pictures.finesight -k 5

      finesight search "red mug" + photo.jpg - table --where "width > 1000"

      finesight search photo.jpg@0.2,0.1,0.5,0.6

      finesight search photo.jpg@0.2,0.1,0.5,0.6 --item

      finesight search --near ~/Pictures/beach.jpg --path "2024/**" --group

      finesight search "a red mug to the left of a blue car" --rerank adapt

      finesight search "woman in a white hat beside a black dog" --min-relevance 0.5

      finesight search dog no leash sunset --enhance --llm-model qwen3
    """
    from finesight.collection import Collection
    from finesight.queries import parse_query

    asked = parse_query(query or []) if query or near is None else None
    descriptions: list[str] = []
    if enhance:
        descriptions = _described(asked, llm, llm_model, llm_timeout, llm_check)
    hits = Collection.open(collection_folder(collection), model).search(
        asked,
        k,
        rank_by,
        near=near,
        where=where,
        path=path,
        offset=offset,
        group=group,
        words=words,
        rerank=rerank,
        rerank_top=rerank_top,
        item=item,
        parts=parts,
        prompts=prompts,
        min_relevance=min_relevance,
        descriptions=descriptions,
        rank_fusion=rank_fusion,
    )
    if offset == 0 and (doubt := _doubt(hits, min_relevance)):
        say(doubt)
    if save is not None:
        from finesight.images.drawing import save_hits

        say(f"saved {save_hits(hits, save)} images and sheet.jpg to {save}")
    if as_json:
        typer.echo(json.dumps([_plain(hit) for hit in hits]))
        return
    for hit in hits:
        if paths:
            typer.echo(str(hit.path))
        else:
            box = ",".join(str(edge) for edge in _pixels(hit))
            line = f"{hit.rank}\t{hit.score:.4f}\t{hit.path}\t{box}\t{_why(hit)}"
            known = "" if hit.relevance is None else f"\t{hit.relevance:.2f}"
            typer.echo(line + known)


def _described(
    asked: "Query | None", url: str, model: str, timeout: float, check: bool
) -> list[str]:
    """Return what a language model says that a query of one text means."""
    from finesight.errors import InputError
    from finesight.queries.enhancement import LanguageModel

    text = asked.parts[0].text if asked is not None and len(asked.parts) == 1 else None
    if text is None:
        raise InputError("--enhance goes with a query of one text")
    key = os.environ.get("FINESIGHT_LLM_KEY")
    cache = cache_folder() / "descriptions"
    return LanguageModel(url, model, key, check=check, timeout=timeout, cache=cache).describe(text)


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


def _why(hit: "Hit") -> str:
    """Return what a hit was found by: region, or of several parts: region of red mug."""
    part = f" of {hit.part}" if len(hit.matches) > 1 else ""
    return hit.why + part + (f" (+{len(hit.similar)} alike)" if hit.similar else "")


def _pixels(hit: "Hit") -> tuple[int, ...]:
    scale = (hit.width, hit.height) * 2
    return tuple(round(edge * side) for edge, side in zip(hit.box, scale, strict=True))


def _rounded(relevance: float | None) -> float | None:
    return None if relevance is None else round(relevance, 4)


def _plain(hit: "Hit") -> dict[str, object]:
    return {
        "rank": hit.rank,
        "score": round(hit.score, 6),
        "path": str(hit.path),
        "box": [round(edge, 6) for edge in hit.box],
        "box_px": _pixels(hit),
        "id": hit.id,
        "why": hit.why,
        "part": hit.part,
        "relevance": _rounded(hit.relevance),
        "matches": [
            {
                "part": match.part,
                "weight": match.weight,
                "score": round(match.score, 6),
                "relevance": _rounded(match.relevance),
                "box": [round(edge, 6) for edge in match.box],
            }
            for match in hit.matches
        ],
        "similar": [str(path) for path in hit.similar],
    }
