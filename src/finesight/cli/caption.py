"""`finesight caption`: captions of images, from annotations or by a dialogue of two models."""

import os
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import ImagesOption, option
from finesight.cli.output import progress_bar, say, say_some

Limit = Annotated[int | None, option("Of this run, at most.")]


def caption(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="DeepFashion2, what `finesight render` wrote, a JSON file of COCO, or a folder of "
            "images."
        ),
    ],
    out: Annotated[Path, option("The file to write: a JSON line per image.")],
    template: Annotated[
        bool, option("From annotated viewpoint, occlusion, scale and zoom-in.", "--template")
    ] = False,
    asker: Annotated[
        str | None,
        option(
            "The address of a language model that asks and sums up; it is sent no image.",
            envvar="FINESIGHT_LLM",
        ),
    ] = None,
    asker_model: Annotated[
        str, option("Its name there.", envvar="FINESIGHT_LLM_MODEL")
    ] = "llama3.2",
    answerer: Annotated[
        str | None,
        option(
            "The address of a model that sees the images and answers; the asker's if none.",
            envvar="FINESIGHT_VQA",
        ),
    ] = None,
    answerer_model: Annotated[
        str, option("Its name there.", envvar="FINESIGHT_VQA_MODEL")
    ] = "llama3.2-vision",
    items: Annotated[
        bool, option("Describe each annotated item, not the photo as a whole.", "--items")
    ] = False,
    images: ImagesOption = None,
    questions: Annotated[int, option("Asked about an image, at most.")] = 6,
    max_requests: Limit = None,
    max_tokens: Limit = None,
    max_seconds: Annotated[float | None, option("Of this run, at most.")] = None,
    timeout: Annotated[float, option("Seconds for one answer.")] = 60.0,
    retries: Annotated[int, option("Of a request that failed.", min=0)] = 3,
    at_once: Annotated[int, option("Images described at a time.", min=1)] = 1,
    side: Annotated[int, option("Pixels of an image's longer side as it is sent.", min=32)] = 768,
) -> None:
    """Write captions that training and `finesight index` read.

    With --template from annotations; else a language model asks questions, a model that sees
    answers, and the first sums up. Both speak OpenAI's chat completions; keys are taken from
    $FINESIGHT_LLM_KEY and $FINESIGHT_VQA_KEY. A run that was interrupted or whose budget was spent
    goes on when the same command is given again.

    Examples:

      finesight caption deepfashion2/train --template --out captions.jsonl

      finesight caption photos --out captions.jsonl --asker http://localhost:11434/v1 --questions 4
    """
    from finesight.errors import InputError

    if template:
        if items or asker_given(asker, answerer):
            raise InputError("--template asks no model: leave --items, --asker and --answerer out")
        _write_template(dataset, out)
        return
    if asker is None:
        raise InputError(
            "say how to caption: --template, from annotations, or --asker URL (and --answerer URL) "
            "for a dialogue of models, such as http://localhost:11434/v1 (Ollama's)"
        )
    from finesight.queries.chat import ChatEndpoint, need_httpx
    from finesight.research.captioning.dialogue import PROMPT_VERSION, Dialogue
    from finesight.research.captioning.journal import Journal
    from finesight.research.captioning.running import describe_all, find_jobs
    from finesight.research.captioning.speaker import Budget, Speaker, Spending

    need_httpx()
    spending = Spending(Budget(max_requests, max_tokens, max_seconds))
    asks, sees = (
        Speaker(role, ChatEndpoint(url, model, key), spending, timeout, retries)
        for role, url, model, key in (
            ("asker", asker, asker_model, os.environ.get("FINESIGHT_LLM_KEY")),
            ("answerer", answerer or asker, answerer_model, _answerers_key(asker, answerer)),
        )
    )
    dialogue = Dialogue(asks, sees, questions, side)
    jobs, problems = find_jobs(dataset, images, items)
    say_some("left out", problems, "photos or items")
    made_by = {
        "asker": asker_model,
        "answerer": answerer_model,
        "questions": questions,
        "side": side,
        "prompts": PROMPT_VERSION,
    }
    bar = progress_bar("describing", "images", len(jobs))
    with Journal.open(out, made_by) as journal, bar as advance:
        report = describe_all(jobs, dialogue, journal, at_once, advance)
    say_some("no caption", report.failed, "images")
    say(
        f"{report.described + report.known} of {len(jobs)} captions in {out} ({report.described} "
        f"new; {spending.requests:,} requests, about {spending.tokens:,} tokens)"
    )
    if report.stopped:
        say(f"stopped: {report.stopped}; the same command goes on")
    elif report.failed:
        say("the same command tries what has no caption again")


def asker_given(*urls: str | None) -> bool:
    """Whether an address was given on the command line, and not by the environment alone."""
    known = {os.environ.get("FINESIGHT_LLM"), os.environ.get("FINESIGHT_VQA")}
    return any(url is not None and url not in known for url in urls)


def _answerers_key(asker: str, answerer: str | None) -> str | None:
    """Return the answerer's key: a key is never sent to another address than its own."""
    same = answerer in (None, asker)
    own = os.environ.get("FINESIGHT_VQA_KEY")
    return own or (os.environ.get("FINESIGHT_LLM_KEY") if same else None)


def _write_template(dataset: Path, out: Path) -> None:
    from finesight.research.captioning.journal import Journal
    from finesight.research.datasets import read_items
    from finesight.research.datasets.item_captions import TEMPLATE, template_captions

    items = read_items(dataset)
    say_some("left out", items.problems, "photos or items")
    found = template_captions(items)
    captions: dict[str, list[str]] = {name: [] for name in found.images}
    for text, owner in zip(found.captions, found.owner, strict=True):
        captions[found.images[owner]].append(text)
    with Journal.open(out, {"template": TEMPLATE}) as journal:
        for name, texts in captions.items():
            if (name, None) not in journal.done:
                journal.finished((name, None), texts)
    say(f"{len(captions)} images with {len(found.captions)} captions in {out}")
