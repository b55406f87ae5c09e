"""Images a second by effort, beside Complete Cover everywhere: what looking closely costs.

python benchmarks/effort.py [IMAGES]

ViT-B/32 with random weights (time only) in int8, without and with a finder (not trained either, so
it proposes all that it may), and `mini`; JPEG photos of 2000 x 1500 pixels, from file to fused
vectors. One run, rounds alternating: the best of each, and the median of the rounds' ratios.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from encode import encode, measure
from made_up import PHOTO, bundle, photo, ratio

from finesight.models import Model, load_model
from finesight.proposals import EFFORTS, parse_proposer, resolve_effort
from finesight.research.networks.finder import FinderNetwork
from finesight.research.training.export import put_part
from finesight.research.training.finder.export import finder_part


def main() -> None:
    """Make model and photos, print rates and ratios for both models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=int, nargs="?", default=6)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        without = bundle(folder, "int8")
        network = FinderNetwork().eval()
        network.fold()
        part = partial(finder_part, network, folder / "int8", 256)
        put_part(folder / "int8", folder / "finding", {}, part)
        models: dict[str, tuple[Model, int]] = {
            "ViT-B/32, int8": (without, count),
            "ViT-B/32, int8, with a finder": (load_model(str(folder / "finding")), count),
            "mini": (load_model("mini"), 8 * count),
        }
        photos = [photo(folder / f"{i}.jpg", i) for i in range(8 * count)]
        for name, (model, images) in models.items():
            print(f"{name}, {images} photos of {PHOTO[0]} x {PHOTO[1]} pixels")
            report(model, photos[:images])


def report(model: Model, photos: list[Path]) -> None:
    """Print the rates of one model, and how much faster each effort is than CC@10."""
    names = {"cc10": "cc10"} | {e: resolve_effort(e, model.capabilities) for e in EFFORTS}
    works = {
        label: lambda regions=regions: encode(model, photos, regions)
        for label, regions in names.items()
    }
    found = measure(works, len(photos), "images/s")
    for effort in EFFORTS:
        proposer = parse_proposer(names[effort], model.capabilities)
        cost = proposer.forward_passes(*PHOTO)
        times = ratio(found, effort, "cc10")
        print(f"  {effort}: {names[effort]}, {cost:.1f} forward passes, times cc10: {times}")


if __name__ == "__main__":
    main()
