"""Token merging and early exit in ViTs: how much faster, and how much of the embedding is kept.

python experiments/token_merging.py [--quick]

Speed: ViT-B/32 and ViT-B/16 with random weights, PyTorch on one thread, each tower in turn on the
same crops, as a multiple of the plain tower in the same run. Fidelity: the tiny ViT
(experiments/tiny_vit.py: 64 patches, 6 layers) on the windows of CC@5 of textured validation
scenes: the mean cosine to the plain tower's embeddings, and Recall@1 by its own windows.
"""

import argparse
import time

import numpy as np
import torch
import transformers
from protocol import TestSet, arguments, print_table, recall, scores
from tiny_vit import tiny_vit
from torch import nn

from finesight.encoders.torch_hub import TransformersEncoder
from finesight.images.open import read_image
from finesight.proposals.geometry import complete_cover
from finesight.research.networks.token_merging import MergingTower
from finesight.scoring.similarity import normalise
from finesight.types import Float32

BATCH, ROUNDS = 8, 5
# Of all patches, the share that is merged away by the last layer; layers left out at the end.
SHARES = (0.25, 0.5, 0.75)
SKIPPED = (1, 2)


def main() -> None:
    """Print both tables."""
    parser = arguments(__doc__)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = _speeds() | {}
    kept = _fidelity(options)
    print(f"speed: multiples of the plain tower, batches of {BATCH}, median of {ROUNDS}")
    heads = ["", "ViT-B/32", "ViT-B/16", "cosine, mean", "cosine, lowest %", "mix R@1", "S R@1"]
    print_table(heads, [[name, *rows[name], *kept[name]] for name in rows])


def _variants(layers: int, patches: int) -> dict[str, dict[str, object]]:
    """The towers that are compared, as arguments of MergingTower."""
    found: dict[str, dict[str, object]] = {"plain": {"merged": 0}}
    for share in SHARES:
        merged = max(1, round(share * patches / layers))
        found[f"ToMe, {100 * share:.0f} % of the patches merged"] = {"merged": merged}
        found[f"PiToMe-like, {100 * share:.0f} %"] = {"merged": merged, "protect": True}
    for skipped in SKIPPED:
        # Of 12 layers twice as many as of 6.
        found[f"exit {skipped} of 6 layers early"] = {
            "merged": 0, "layers": layers - skipped * layers // 6,
        }  # fmt: skip
    return found


def _speeds() -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    for patch in (32, 16):
        vision = transformers.CLIPVisionConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
            num_attention_heads=12, image_size=224, patch_size=patch,
        )  # fmt: skip
        config = transformers.CLIPConfig(vision_config=vision.to_dict(), projection_dim=512)
        model = transformers.CLIPModel(config).eval()
        variants = _variants(12, (224 // patch) ** 2)
        towers = {name: MergingTower(model, **how) for name, how in variants.items()}
        taken = _taken(towers, torch.randn(BATCH, 3, 224, 224))
        for name, seconds in taken.items():
            rows.setdefault(name, []).append(f"{taken['plain'] / seconds:.2f}")
    return rows


@torch.inference_mode()
def _taken(towers: dict[str, nn.Module], pixels: torch.Tensor) -> dict[str, float]:
    """Median seconds of every tower, all in turn so that noise falls on all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in towers}
    for _ in range(ROUNDS + 1):
        for name, tower in towers.items():
            started = time.perf_counter()
            tower(pixels)
            seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}


@torch.inference_mode()
def _fidelity(options: argparse.Namespace) -> dict[str, list[str]]:
    test = TestSet("val-textured", options)
    encoder = TransformersEncoder(tiny_vit(options))
    towers = {n: MergingTower(encoder.model, **how).eval() for n, how in _variants(6, 64).items()}
    seen: dict[str, list[Float32]] = {name: [] for name in towers}
    for labelled in test.scenes.images[: test.count]:
        image = read_image(labelled.path)
        boxes = complete_cover(*image.size, 5)
        pixels = torch.from_numpy(
            encoder.preprocessing.tensor(encoder.preprocessing.cut(image, boxes))
        )
        for name, tower in towers.items():
            seen[name].append(normalise(tower(pixels).numpy()))
    plain = np.concatenate(seen["plain"])
    rows = {}
    for name, vectors in seen.items():
        cosines = (np.concatenate(vectors) * plain).sum(axis=1)
        found = [recall(q, scores(q, vectors)) for q in (test.classes(), test.classes("<1%"))]
        low = np.percentile(cosines, 1)
        rows[name] = [f"{cosines.mean():.3f}", f"{low:.3f}", *(f"{each:.1f}" for each in found)]
    return rows


if __name__ == "__main__":
    main()
