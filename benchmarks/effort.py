"""Images a second by effort, beside Complete Cover everywhere: what looking closely costs.

python benchmarks/effort.py [IMAGES]

ViT-B/32 with random weights (time only) in int8, without and with a network that finds objects (not
trained either, so it takes all that it may), and `mini`; JPEG photos of 2000 x 1500 pixels, from
file to fused vectors. One run, rounds alternating: the best of each, and the median of the rounds'
ratios.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from encode import SIZE, _checkpoint, _ours, _photo, _rates, _ratio

from finesight.models import Model, load_model
from finesight.models.bundle import add_objectness
from finesight.proposals import EFFORTS, parse_proposer, resolve_effort
from finesight.research.networks.objectness import Objectness
from finesight.research.training.bundle_export import export_model
from finesight.research.training.finder.training import canvas_cost, export_objectness


def main() -> None:
    """Make model and photos, print rates and ratios for both models."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        _checkpoint(folder / "torch")
        export_model(load_model(str(folder / "torch")), folder / "vit", "int8")
        shutil.copytree(folder / "vit", folder / "finding")
        network = Objectness().eval()
        network.fold()
        export_objectness(network, folder / "finding")
        add_objectness(folder / "finding", canvas_cost(folder / "finding", 256), {})
        models: dict[str, tuple[Model, int]] = {
            "ViT-B/32, int8": (load_model(str(folder / "vit")), count),
            "ViT-B/32, int8, finding objects": (load_model(str(folder / "finding")), count),
            "mini": (load_model("mini"), 8 * count),
        }
        photos = [_photo(folder / f"{i}.jpg", i) for i in range(8 * count)]
        for name, (model, images) in models.items():
            print(f"{name}, {images} photos of {SIZE[0]} x {SIZE[1]} pixels")
            ways = {"cc10": "cc10"} | {e: resolve_effort(e, model.capabilities) for e in EFFORTS}
            found = _rates(
                {
                    label: lambda model=model, way=way, images=images: _ours(
                        model, photos[:images], way
                    )
                    for label, way in ways.items()
                },
                images,
                "images/s",
            )
            for effort in EFFORTS:
                forward_passes = parse_proposer(ways[effort], model.capabilities).forward_passes(
                    *SIZE
                )
                times = _ratio(found, effort, "cc10")
                print(
                    f"  {effort}: {ways[effort]}, {forward_passes:.1f} passes, times cc10: {times}"
                )


if __name__ == "__main__":
    main()
