"""`finesight demo`: the main job on rendered scenes, from indexing to a page of results."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finesight.cli.options import option
from finesight.cli.output import progress_bar, say

if TYPE_CHECKING:
    from finesight.research.datasets.clevr_ds import SceneSet

_HITS = 5
_SMALL = 0.01  # share of the image: the demo asks for things that are smaller


def demo(
    scenes: Annotated[Path, typer.Argument(help="A scene set, such as data/sample.")],
    out: Annotated[Path, option("Where collection and page are written.")] = Path("demo"),
    model: Annotated[str, option("A model, as for `index`.")] = "mini",
) -> None:
    """Index scenes, ask for small things, evaluate, and write one page with the results.

    Example: finesight demo data/sample
    """
    from finesight.collection import Collection
    from finesight.errors import InputError
    from finesight.models import load_model
    from finesight.research.datasets.clevr_ds import load
    from finesight.research.evaluation import class_prompts
    from finesight.research.evaluation.showcase import Answer, render_page

    dataset = load(scenes)
    loaded = load_model(model)
    try:
        collection = Collection.open(out / "collection", loaded)
    except InputError:  # made by an older finesight, whose model was another
        collection = Collection.open(out / "collection")
        collection.switch(loaded, without_missing=True)
    with progress_bar("indexing", "images") as advance:
        report = collection.add([scenes / "images"], loaded.regions, advance)
    say(f"{report.indexed} indexed, {report.unchanged} unchanged, {len(report.skipped)} skipped")

    answers = []
    for color, name in small_things(dataset, 4):
        query = f"a photo of a {color} {name}"
        right = frozenset(
            str(image.path.resolve())
            for image in dataset.images
            if any((o.color, o.class_name) == (color, name) for o in image.objects)
        )
        whole = collection.search(query, _HITS, "whole")
        hits = collection.search(query, _HITS)
        answers.append(Answer(query, whole, hits, right))
        typer.echo(f'"{query}": {len(right)} scenes hold one; right among the first {_HITS}:')
        typer.echo(f"  whole image {sum(str(h.path) in right for h in whole)}, ", nl=False)
        typer.echo(f"regions {sum(str(h.path) in right for h in hits)}; best: {hits[0].path.name}")

    with progress_bar("evaluating", "images", len(dataset.images)) as advance:
        rows = class_prompts.evaluate_class_prompts(dataset, collection.model, advance)
    table = class_prompts.format_class_prompts(rows)
    typer.echo("\n" + table)
    page = out / "index.html"
    page.write_text(
        render_page(answers, len(dataset.images), collection.model.name, table), encoding="utf-8"
    )
    say(f"\nopen {page} in a browser")


def small_things(dataset: "SceneSet", count: int) -> list[tuple[str, str]]:
    """Return the (colour, class) pairs of which most scenes hold a small one."""
    pairs = Counter(
        (thing.color, thing.class_name)
        for image in dataset.images
        for thing in image.objects
        if thing.share < _SMALL
    )
    chosen: dict[str, tuple[str, str]] = {}
    for (color, name), _ in sorted(pairs.items(), key=lambda item: (-item[1], item[0])):
        chosen.setdefault(name, (color, name))
    return list(chosen.values())[:count]
