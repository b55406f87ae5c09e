"""`finesight render`: draw scenes with Blender."""

from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.output import progress_bar, say

app = typer.Typer(
    help="Draw annotated scenes with Blender, to train and to measure on.", no_args_is_help=True
)

Out = Annotated[Path, typer.Option(help="The folder to write to; a stopped run goes on there.")]
Images = Annotated[int, typer.Option(min=1, help="How many images.")]
Seed = Annotated[int, typer.Option(min=0, help="Image i of a seed is always the same.")]
Split = Annotated[str, typer.Option(help="Whose object instances: train, val or test.")]
Size = Annotated[int, typer.Option(min=64, help="The images' side in pixels.")]


@app.command("clevr-ds")
def clevr_ds(
    out: Out, images: Images = 100, seed: Seed = 0, split: Split = "train", size: Size = 640
) -> None:
    """Draw scenes of 1 to 5 objects that cover 0.05 % to 40 % of the image.

    Example: finesight render clevr-ds --out scenes/test --images 200 --split test --seed 3
    """
    _render("scenes", out, images, seed, split, size)


@app.command("objects")
def objects(
    out: Out, images: Images = 60, seed: Seed = 0, split: Split = "train", size: Size = 640
) -> None:
    """Draw sheets of 36 single objects, the quick way to many crops for training an encoder.

    Example: finesight render objects --out scenes/objects --images 60
    """
    _render("objects", out, images, seed, split, size)


def _render(kind: str, out: Path, images: int, seed: int, split: str, size: int) -> None:
    from finesight.scenes.render import render_set

    with progress_bar("rendering", "images", images) as advance:
        new = render_set(
            out, images=images, seed=seed, split=split, size=size, kind=kind, progress=advance
        )
    say(f"{new} images rendered, {images - new} were there: {out}")
