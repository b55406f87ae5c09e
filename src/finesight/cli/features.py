"""`finesight features`: write a dataset's embeddings once, for training and experiments."""

import json
from pathlib import Path
from typing import Annotated

import typer

from finesight.cli.options import JsonOption, ModelOption
from finesight.cli.output import progress_bar


def features(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="Scenes that `finesight render` wrote, a JSON file of COCO or LVIS, a folder of "
            "Unity Perception, or a folder of images."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder to write the features to.")],
    model: ModelOption = None,
    regions: Annotated[
        str,
        typer.Option(
            help="Which regions: full, cc10, cc10-paper, grid10, annotated for the whole image "
            "and the annotated boxes, or detect:SOURCE for a detector's (docs/captions.md)."
        ),
    ] = "cc10",
    region_model: Annotated[
        str | None,
        typer.Option(help="Another model that encodes the regions, in its own space and width."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="The folder of the images that a JSON file names.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the embeddings and boxes of the regions of every image, and the images' names.

    A run that was interrupted goes on when the same command is given again.

    Examples:

      finesight features scenes/train --model mini --out features/train

      finesight features instances_val2017.json --images val2017 --out features/coco-val

      finesight features photos --regions detect:owlv2-onnx,area=0.001 --out features/photos
    """
    from finesight.models import DEFAULT, load_model
    from finesight.research.training.extraction import list_images, write_features

    listed = list_images(dataset, images, regions)
    loaded = load_model(model or DEFAULT)
    other = None if region_model is None else load_model(region_model)
    with progress_bar("encoding", "images", len(listed)) as advance:
        cache = write_features(listed, loaded, regions, out, advance, other)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    if as_json:
        result = {"features": str(out), "images": len(cache), "bytes": size, "regions": regions}
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"{out}: {len(cache)} images, {size / 1e6:.1f} MB")
