"""`finesight render`, `stats` and `features`: scenes drawn, counted, and any dataset encoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from finesight.cli.options import ImagesOption, JsonOption, ModelOption, open_model, option
from finesight.cli.output import progress_bar, say, show
from finesight.errors import InputError

if TYPE_CHECKING:
    from finesight.research.scenes.sampling import Recipe

render = typer.Typer(
    help="Draw annotated scenes with Blender, to train and to measure on.", no_args_is_help=True
)

Out = Annotated[Path, option("The folder to write to; a stopped run goes on there.")]
Images = Annotated[int, option("How many images.", min=1)]
Seed = Annotated[int, option("Image i of a seed is always the same.", min=0)]
Split = Annotated[str, option("Whose object instances: train, val or test.")]
Size = Annotated[int, option("The images' side in pixels.", min=64)]
LookName = Annotated[
    str, option("plain (clean ground) or textured (ground, clutter, shadows).", "--look")
]
Mode = Annotated[
    str, option("mix; or small or large: only such objects to ask for, and distractors.")
]
Areas = Annotated[
    tuple[float, float], option("Smallest and largest share of the image that an object covers.")
]
ShapeNet = Annotated[
    Path | None, option("A copy of ShapeNetCore: its models instead of ours.", "--shapenet")
]


@render.command("clevr-ds")
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

    render.command(kind, help=text)(command)


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


@render.command("standard-sets")
def standard_sets(
    out: Out,
    only: Annotated[
        list[str] | None, option("A set's name; may be repeated. All sets if not given.")
    ] = None,
    images: Annotated[
        int | None, option("At most so many images of each; the rest later.", min=1)
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
        recipe, count = STANDARD_SETS[name]
        _draw(recipe, out / name, min(images or count, count))


def _render(out: Path, images: int, shapenet: Path | None, **settings: Any) -> None:
    """Draw a set of a recipe with these settings, of our shapes or of ShapeNet's."""
    from finesight.research.scenes.objects import PROCEDURAL
    from finesight.research.scenes.sampling import Recipe
    from finesight.research.scenes.shapenet import read_shapenet

    shapes = read_shapenet(shapenet) if shapenet else PROCEDURAL
    _draw(Recipe(**settings, shapes=shapes), out, images)


def _draw(recipe: Recipe, out: Path, images: int) -> None:
    from finesight.research.scenes.render import render_set

    with progress_bar("rendering", "images", images) as advance:
        new = render_set(out, recipe, images, advance)
    say(f"{new} images rendered, {images - new} were there: {out}")


def stats(
    sets: Annotated[list[Path], typer.Argument(help="Folders that `finesight render` wrote.")],
    plot: Annotated[Path | None, option("Also draw the figure: a .png, .svg or .pdf file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print how many objects of which classes and sizes scene sets hold, beside the paper's.

    Example: finesight stats scenes/train scenes/test --plot sets.svg
    """
    from finesight.research.datasets.clevr_ds import load
    from finesight.research.scenes import statistics
    from finesight.research.table import without_nan

    if plot is not None and plot.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"{plot}: the figure is a .png, .svg or .pdf file")
    loaded = [load(folder) for folder in sets]
    named = [(folder.resolve().name, [each]) for folder, each in zip(sets, loaded, strict=True)]
    if len(sets) > 1:
        named.append(("all", loaded))
    found = [statistics.count(name, scenes) for name, scenes in named]
    plain = without_nan([each.plain() for each in found])
    show(plain, [statistics.format_statistics(found)], as_json)
    if plot is not None:
        statistics.plot(found[: len(sets)], plot)
        say(f"figure in {plot}")


def features(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="Scenes that `finesight render` wrote, a JSON file of COCO or LVIS, a folder of "
            "Unity Perception, or a folder of images."
        ),
    ],
    out: Annotated[Path, option("The folder to write the features to.")],
    model: ModelOption = None,
    regions: Annotated[
        str,
        option(
            "Which regions: full, cc10, cc10-paper, grid10, annotated for the whole image "
            "and the annotated boxes, or detect:SOURCE for a detector's (docs/captions.md)."
        ),
    ] = "cc10",
    region_model: Annotated[
        str | None, option("Another model that encodes the regions, in its own space and width.")
    ] = None,
    images: ImagesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the embeddings and boxes of the regions of every image, and the images' names.

    A run that was interrupted goes on when the same command is given again.

    Examples:

      finesight features scenes/train --model mini --out features/train

      finesight features instances_val2017.json --images val2017 --out features/coco-val

      finesight features photos --regions detect:owlv2-onnx,area=0.001 --out features/photos
    """
    from finesight.research.training.extraction import list_images, write_features

    listed = list_images(dataset, images, regions)
    loaded = open_model(model)
    other = None if region_model is None else open_model(region_model)
    with progress_bar("encoding", "images", len(listed)) as advance:
        cache = write_features(listed, loaded, regions, out, advance, other)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    result = {"features": str(out), "images": len(cache), "bytes": size, "regions": regions}
    show(result, [f"{out}: {len(cache)} images, {size / 1e6:.1f} MB"], as_json)
