"""What fusing the 166 regions of an image costs, beside encoding them.

python benchmarks/fusing.py

`mini`, and a ViT-B/32 with random weights (time only), in float32. Networks have random weights and
run in ONNX Runtime, as in a bundle; a fusion has one thread, an encoder all of them. One run, the
best of several rounds.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from made_up import bundle, in_rounds

from finesight.fusion import NetworkFusion, farthest_points, salient_clusters
from finesight.models import Model, load_model
from finesight.proposals.geometry import complete_cover
from finesight.research.networks.fusion import FusionSettings, build_fusion
from finesight.research.training.fusion.export import export_fusion
from finesight.types import ImageVectors

ROUNDS = 5
NETWORKS = {
    "clusters, k=8": FusionSettings("clusters", 0, 8, geometry=True),
    "encoder-decoder, tiny, k=1": FusionSettings("transformer", 0, 1, "tiny"),
    "encoder-decoder, base, k=1": FusionSettings("transformer", 0, 1, "base"),
}


def main() -> None:
    """Print milliseconds per image, and shares of encoding."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, model in (("mini", load_model("mini")), ("ViT-B/32", bundle(folder, "fp32"))):
            report(name, model, folder)


def report(name: str, model: Model, folder: Path) -> None:
    """Print what encoding and every fusion cost with one model."""
    side = model.encoder.preprocessing.side
    rng = np.random.default_rng(0)
    boxes = complete_cover(2000, 1500, 10)
    crops = rng.integers(0, 256, (len(boxes), side, side, 3), dtype=np.uint8)
    seen = ImageVectors(boxes, model.encoder.encode_images(crops))
    works: dict[str, Callable[[], object]] = {
        "encoding": lambda: model.encoder.encode_images(crops),
        "salient, k=8": lambda: salient_clusters(seen, 8),
        "farthest points, k=8": lambda: farthest_points(seen, 8),
    }
    if model.fusion_name != "salient":
        works["its own, k=8"] = lambda: model.fuse(seen, 8)
    for label, settings in NETWORKS.items():
        path = folder / f"{name.replace('/', '-')}-{label}.onnx"
        width = model.encoder.width
        network = build_fusion(FusionSettings(**{**vars(settings), "width": width}))
        export_fusion(network, path)
        fusion = NetworkFusion(path)
        works[label] = lambda fusion=fusion: fusion(seen, 8)  # type: ignore[misc]
    best = {label: min(seconds) for label, seconds in in_rounds(works, ROUNDS).items()}
    print(f"{name}, {len(boxes)} regions of {side} pixels, width {model.encoder.width}")
    for label, seconds in best.items():
        share = 100 * seconds / best["encoding"]
        print(f"  {label:<28}{1000 * seconds:9.1f} ms {share:7.2f} %", flush=True)


if __name__ == "__main__":
    main()
