"""Teaches a bundle where something is, from boxes of any dataset and without their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from finesight.datasets import LabelledImage
from finesight.encoders.dense import OBJECTNESS, DenseTower
from finesight.errors import FinesightError, InputError
from finesight.images import decode_image
from finesight.networks.objectness import Objectness, objectness_loss, targets
from finesight.training.export import export_graph

_CANVASES_AT_ONCE = 16
LARGEST_DIFFERENCE = 1e-3  # between what PyTorch and ONNX Runtime compute, in logits and cells


@dataclass(frozen=True)
class ObjectnessTraining:
    """What decides a run besides its data.

    canvases: sides in pixels at which the images are looked at; every batch takes one of them, so
    that one head serves them all.
    """

    canvases: tuple[int, ...] = (96, 128, 160, 256)
    epochs: int = 12
    batch: int = 16
    rate: float = 3e-3
    weight_decay: float = 0.01
    seed: int = 0


def train_objectness(
    images: Sequence[LabelledImage],
    tower: DenseTower,
    settings: ObjectnessTraining,
    report: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Objectness:
    """Train on frozen feature maps of all images; report(epoch, mean loss) after every epoch.

    Raises InputError where no image has an object.
    """
    boxes = [_boxes(image) for image in images]
    if not any(len(each) for each in boxes):
        raise InputError("no image has an annotated object: objectness is learned from their boxes")
    torch.manual_seed(settings.seed)
    maps = {side: _maps(images, tower, side) for side in settings.canvases}
    wanted = {
        side: [targets(each, maps[side].shape[-1]) for each in boxes] for side in settings.canvases
    }
    some = maps[settings.canvases[0]][:: max(1, len(images) // 256)]
    network = Objectness(some.shape[1])
    network.standardise(torch.from_numpy(some.astype(np.float32)))
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
    )
    steps = -(-len(images) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, total_steps=steps * settings.epochs
    )
    for epoch in range(settings.epochs):
        rng = np.random.default_rng([settings.seed, epoch])
        total = 0.0
        for part in np.array_split(rng.permutation(len(images)), steps):
            side = int(rng.choice(settings.canvases))
            features = torch.from_numpy(maps[side][part].astype(np.float32))
            heat, said, near = (
                torch.stack(each) for each in zip(*(wanted[side][i] for i in part), strict=True)
            )
            if rng.random() < 0.5:
                features, heat, said, near = _mirrored(features, heat, said, near)
            loss = objectness_loss(network(features), heat, said, near)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        report(epoch + 1, total / steps)
    return network.eval()


def export_objectness(network: Objectness, directory: Path) -> None:
    """Write the head into a bundle; raises FinesightError where the two runtimes disagree."""
    import onnxruntime

    path = directory / OBJECTNESS
    channels = next(network.parameters()).shape[1]
    features = torch.rand(2, channels, 12, 10, generator=torch.Generator().manual_seed(0))
    axes = {0: "b", 2: "h", 3: "w"}
    export_graph(network, {"features": features}, axes, ["objectness"], path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    other = features[:1, :, :7, :9].contiguous()
    theirs = session.run(None, {"features": other.numpy()})[0]
    with torch.inference_mode():
        apart = float(np.abs(network(other).numpy() - theirs).max())
    if apart > LARGEST_DIFFERENCE:
        raise FinesightError(
            f"the exported head {path} disagrees with PyTorch (by {apart:.5f}): do not use it, and "
            "report this with the versions of torch and onnxruntime"
        )


def _boxes(image: LabelledImage) -> Tensor:
    found = [thing.box for thing in image.objects if thing.role == "query"]
    return torch.tensor(found, dtype=torch.float32).reshape(-1, 4)


def _maps(images: Sequence[LabelledImage], tower: DenseTower, side: int) -> np.ndarray:
    """Feature maps (n, c, h, w) in float16 of all images squashed to side × side pixels."""
    parts = []
    for start in range(0, len(images), _CANVASES_AT_ONCE):
        some = images[start : start + _CANVASES_AT_ONCE]
        canvases = [
            np.asarray(
                decode_image(image.path.read_bytes()).resize(
                    (side, side), tower.preprocessing.resample
                )
            )
            for image in some
        ]
        parts.append(tower.maps(np.stack(canvases)).astype(np.float16))
    return np.concatenate(parts)


def _mirrored(features: Tensor, heat: Tensor, said: Tensor, near: Tensor) -> tuple[Tensor, ...]:
    """Left and right exchanged: the map is nearly what the tower makes of a mirrored image."""
    said = said.flip(-1).clone()
    said[:, 0] *= -1
    return features.flip(-1), heat.flip(-1), said, near.flip(-1)
