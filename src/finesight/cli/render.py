"""`finesight render`: draw scenes with Blender."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.output import progress_bar, say

if TYPE_CHECKING:
    from finesight.research.scenes.sampling import Recipe

app = typer.Typer(
    help="Draw annotated scenes with Blender, to train and to measure on.", no_args_is_help=True
)

Out = Annotated[Path, typer.Option(help="The folder to write to; a stopped run goes on there.")]
Images = Annotated[int, typer.Option(min=1, help="How many images.")]
Seed = Annotated[int, typer.Option(min=0, help="Image i of a seed is always the same.")]
Split = Annotated[str, typer.Option(help="Whose object instances: train, val or test.")]
Size = Annotated[int, typer.Option(min=64, help="The images' side in pixels.")]
LookName = Annotated[
    str, typer.Option("--look", help="plain (clean ground) or textured (ground, clutter, shadows).")
]
Mode = Annotated[
    str, typer.Option(help="mix; or small or large: only such objects to ask for, and distractors.")
]
Areas = Annotated[
    tuple[float, float],
    typer.Option(help="Smallest and largest share of the image that an object covers."),
]
ShapeNet = Annotated[
    Path | None,
    typer.Option("--shapenet", help="A copy of ShapeNetCore: its models instead of ours."),
]


@app.command("clevr-ds")
def clevr_ds(
    out: Out,
    images: Images = 100,
    size: Size = 640,
    seed: Seed = 0,
    mode: Mode = "mix",
    look: LookName = "plain",
    split: Split = "train",
    areas: Areas = (0.0005, 0.6),
    shapenet: ShapeNet = None,
) -> None:
    """Draw scenes of 1 to 5 objects of distinct classes, log-uniform in size, fully annotated.

    Examples:

      finesight render clevr-ds --out scenes/test --images 200 --split test --look textured

      finesight render clevr-ds --out scenes/paper --areas 0.0001 0.97
    """
    settings = {"seed": seed, "split": split, "size": size, "mode": mode, "look": look}
    _render(out, images, shapenet, kind="scenes", areas=areas, **settings)


def _add_kind(kind: str, usual_images: int, usual_look: str, text: str) -> None:
    """Add the command of a kind of sets that has no modes and no areas."""

    def command(
        out: Out,
        images: Images = usual_images,
        size: Size = 640,
        seed: Seed = 0,
        look: LookName = usual_look,
        split: Split = "train",
        shapenet: ShapeNet = None,
    ) -> None:
        _render(out, images, shapenet, kind=kind, seed=seed, split=split, size=size, look=look)

    app.command(kind, help=text)(command)


_add_kind(
    "objects",
    60,
    "plain",
    """Draw sheets of 36 single objects, the quick way to many crops for training an encoder.

    Example: finesight render objects --out scenes/objects --images 60
    """,
)
_add_kind(
    "identities",
    400,
    "textured",
    """Draw shop and user images of the same items, annotated as DeepFashion2 is.

    Eight images per pair: two styles, each with a shop image and three user images.

    Example: finesight render identities --out scenes/items --images 400
    """,
)


@app.command("standard-sets")
def standard_sets(
    out: Out,
    only: Annotated[
        list[str] | None, typer.Option(help="A set's name; may be repeated. All sets if not given.")
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="At most so many images of each; the rest later.")
    ] = None,
) -> None:
    """Draw the sets on which this project trains and measures, each into a folder of its name.

    Example: finesight render standard-sets --out ~/.cache/finesight/scenes
    """
    from finesight.research.scenes.standard_sets import STANDARD_SETS

    unknown = sorted(set(only or ()) - set(STANDARD_SETS))
    if unknown:
        raise typer.BadParameter(f"no set {unknown[0]!r}: use {', '.join(STANDARD_SETS)}")
    for name in only or STANDARD_SETS:
        chosen = STANDARD_SETS[name]
        _draw(chosen.recipe, out / name, min(images or chosen.images, chosen.images))


def _render(out: Path, images: int, shapenet: Path | None, **settings: Any) -> None:
    """Draw a set of a recipe with these settings, of our shapes or of ShapeNet's."""
    from finesight.research.scenes.objects import PROCEDURAL
    from finesight.research.scenes.sampling import Recipe
    from finesight.research.scenes.shapenet import ShapeNet

    shapes = ShapeNet(shapenet) if shapenet else PROCEDURAL
    _draw(Recipe(**settings, shapes=shapes), out, images)


def _draw(recipe: Recipe, out: Path, images: int) -> None:
    from finesight.research.scenes.render import render_set

    with progress_bar("rendering", "images", images) as advance:
        new = render_set(out, recipe, images, advance)
    say(f"{new} images rendered, {images - new} were there: {out}")
