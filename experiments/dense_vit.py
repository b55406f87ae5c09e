"""Dense read-outs of a vision transformer: which keeps the alignment with text, and at what cost.

python experiments/dense_vit.py [--quick]

The tiny ViT (experiments/tiny_vit.py, 64 pixels, 64 patches, 6 layers) on 200 textured validation
scenes; class-prompt Recall@1 in percent, for all objects, small ones (below 1 % of the image) and
large ones (above 5 %). Passes are multiples of encoding one crop, by patches. Windows of a canvas
are as large as a crop of the model's input would be; "tiles" reads windows of half the side
besides, out of every crop of a cover that is encoded anyway.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image
from protocol import SIZES, TestSet, arguments, print_table, recall, scores
from tiny_vit import LAYERS, tiny_vit

from finesight.encoders.torch_hub import TransformersEncoder
from finesight.encoders.torch_regions import TorchRegions
from finesight.images.open import Picture, read_image
from finesight.proposals.dense import DenseProposer
from finesight.proposals.geometry import complete_cover
from finesight.types import Float32

CANVASES = (128, 192)
COVERS = (1, 2, 3, 4, 5, 10)

Look = Callable[[Image.Image], Float32]


def main() -> None:
    """Print the table."""
    options = arguments(__doc__).parse_args()
    test = TestSet("val-textured", options)
    encoder = TransformersEncoder(tiny_vit(options))
    ways = _ways(encoder)
    images = [read_image(each.path) for each in test.scenes.images[: test.count]]
    seen = {name: [look(image) for image in images] for name, (look, _) in ways.items()}
    rows = []
    for name, (_, forward_passes) in ways.items():
        found = [recall(q, scores(q, seen[name])) for q in map(test.classes, SIZES.values())]
        rows.append([name, forward_passes, *found])
    print(f"val-textured, {test.count} images, tiny ViT; whole image beside every canvas")
    print_table(["", "passes", *SIZES], rows)


def _ways(encoder: TransformersEncoder) -> dict[str, tuple[Look, float]]:
    readouts = {
        "mean of the last values": TorchRegions(encoder, values=True),
        "own token, last layer": TorchRegions(encoder, layers=1),
        f"own token, last {LAYERS // 2} layers": TorchRegions(encoder, layers=LAYERS // 2),
        "own token, all layers": TorchRegions(encoder),
    }
    ways: dict[str, tuple[Look, float]] = {}
    for cells in COVERS:
        count = len(complete_cover(640, 640, cells))
        ways[f"CC@{cells}"] = (_crops(encoder, cells), float(count))
    for canvas in CANVASES:
        for name, tower in readouts.items():
            ways[f"canvas {canvas}, {name}"] = (
                _canvas(encoder, tower, canvas),
                1 + tower.forward_passes(canvas),
            )
    for cells in (1, 2, 3):
        count = len(complete_cover(640, 640, cells))
        for name, tower in readouts.items():
            ways[f"tiles of CC@{cells}, {name}"] = (_tiles(encoder, tower, cells), float(count))
    return ways


def _crops(encoder: TransformersEncoder, cells: int) -> Look:
    def look(image: Image.Image) -> Float32:
        boxes = complete_cover(*image.size, cells)
        return encoder.encode_images(encoder.preprocessing.cut(image, boxes))

    return look


def _canvas(encoder: TransformersEncoder, tower: TorchRegions, canvas: int) -> Look:
    proposer = DenseProposer(tower, canvas)

    def look(image: Image.Image) -> Float32:
        proposals, whole = proposer.propose(Picture(image), encoder.preprocessing)
        return proposals.complete(encoder.encode_images(whole)).embeddings

    return look


def _tiles(encoder: TransformersEncoder, tower: TorchRegions, cells: int) -> Look:
    half = encoder.preprocessing.side // tower.stride // 2

    def look(image: Image.Image) -> Float32:
        crops = encoder.preprocessing.cut(image, complete_cover(*image.size, cells))
        inside = [tower.read(crop, [half])[1] for crop in crops]
        return np.concatenate([encoder.encode_images(crops), *inside])

    return look


if __name__ == "__main__":
    main()
