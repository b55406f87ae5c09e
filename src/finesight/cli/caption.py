"""`finesight caption`: captions of images, from annotations or by a dialogue of two models."""

import os
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.output import progress_bar, say, say_some

Limit = Annotated[int | None, typer.Option(help="Of this run, at most.")]


def caption(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="DeepFashion2, what `finesight render` wrote, a JSON file of COCO, or a folder of "
            "images."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file to write: a JSON line per image.")],
    template: Annotated[
        bool,
        typer.Option("--template", help="From annotated viewpoint, occlusion, scale and zoom-in."),
    ] = False,
    asker: Annotated[
        str | None,
        typer.Option(
            envvar="FINESIGHT_LLM",
            help="The address of a language model that asks and sums up; it is sent no image.",
        ),
    ] = None,
    asker_model: Annotated[
        str, typer.Option(envvar="FINESIGHT_LLM_MODEL", help="Its name there.")
    ] = "llama3.2",
    answerer: Annotated[
        str | None,
        typer.Option(
            envvar="FINESIGHT_VQA",
            help="The address of a model that sees the images and answers; the asker's if none.",
        ),
    ] = None,
    answerer_model: Annotated[
        str, typer.Option(envvar="FINESIGHT_VQA_MODEL", help="Its name there.")
    ] = "llama3.2-vision",
    items: Annotated[
        bool,
        typer.Option("--items", help="Describe each annotated item, not the photo as a whole."),
    ] = False,
    images: Annotated[
        Path | None, typer.Option(help="The folder of the images that a JSON file names.")
    ] = None,
    questions: Annotated[int, typer.Option(help="Asked about an image, at most.")] = 6,
    max_requests: Limit = None,
    max_tokens: Limit = None,
    max_seconds: Annotated[float | None, typer.Option(help="Of this run, at most.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one answer.")] = 60.0,
    retries: Annotated[int, typer.Option(min=0, help="Of a request that failed.")] = 3,
    at_once: Annotated[int, typer.Option(min=1, help="Images described at a time.")] = 1,
    side: Annotated[
        int, typer.Option(min=32, help="Pixels of an image's longer side as it is sent.")
    ] = 768,
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
    from finesight.research.captioning.budget import Budget, Spending
    from finesight.research.captioning.dialogue import PROMPT_VERSION, Dialogue
    from finesight.research.captioning.jobs import find_jobs
    from finesight.research.captioning.journal import Journal
    from finesight.research.captioning.running import describe_all
    from finesight.research.captioning.speaker import Speaker

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
