"""Teaches a network where something is, from boxes of any dataset and without their names."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from finesight.encoders import Preprocessing
from finesight.encoders.onnx import OnnxEncoder, tower_files
from finesight.errors import FinesightError, InputError
from finesight.graphs import Graph
from finesight.images.open import decode_image
from finesight.proposals.finder import OBJECTNESS
from finesight.research.datasets import LabelledImage
from finesight.research.networks.objectness import STRIDE, Objectness, finder_loss, targets
from finesight.research.training.export import ANY, export_graph
from finesight.research.training.flops import multiplications

LARGEST_DIFFERENCE = 1e-3  # between what PyTorch and ONNX Runtime compute, in logits and cells
_LIGHT = (0.8, 1.2)  # factors on an image's contrast


@dataclass(frozen=True)
class Boxed:
    """An image file and the boxes (n, 4) of the things in it, normalised xyxy."""

    path: Path
    boxes: np.ndarray


@dataclass(frozen=True)
class ObjectnessTraining:
    """What decides a run besides its data.

    canvases: sides in pixels at which the images are looked at; every batch takes one of them.
    closest: every batch shows a part of its images, of as large a share of their sides at least;
    half: compute in bfloat16 where that is exact enough, twice as fast on recent CPUs.
    """

    canvases: tuple[int, ...] = (192, 256)
    closest: float = 0.6
    epochs: int = 24
    batch: int = 16
    rate: float = 4e-3
    weight_decay: float = 0.02
    half: bool = True
    seed: int = 0


def annotated(images: Sequence[LabelledImage]) -> list[Boxed]:
    """Return the images with the boxes of what may be asked for."""
    boxes = [[thing.box for thing in image.objects if thing.role == "query"] for image in images]
    return [
        Boxed(image.path, np.array(each, np.float32).reshape(-1, 4))
        for image, each in zip(images, boxes, strict=True)
    ]


def train_objectness(
    images: Sequence[Boxed],
    preprocessing: Preprocessing,
    settings: ObjectnessTraining,
    report: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Objectness:
    """Train on all images, normalised as `preprocessing` does; report(epoch, mean loss).

    Raises InputError where no image has an object.
    """
    if not any(len(image.boxes) for image in images):
        raise InputError("no image has an annotated object: objectness is learned from their boxes")
    torch.manual_seed(settings.seed)
    network = Objectness().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
    )
    steps = -(-len(images) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, total_steps=steps * settings.epochs
    )
    for epoch in range(settings.epochs):
        total = 0.0
        for pixels, heat, said, near in _batches(images, preprocessing, settings, epoch):
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.half):
                found = network(pixels)
            loss = finder_loss(found.float(), heat, said, near)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        report(epoch + 1, total / steps)
    network = network.eval()
    network.fold()
    return network


def export_objectness(network: Objectness, directory: Path) -> None:
    """Write a trained network into a bundle; raises FinesightError where the runtimes disagree."""
    path = directory / OBJECTNESS
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    axes = {0: ANY, 2: ANY, 3: ANY}
    export_graph(network, {"pixel_values": pixels}, axes, ["objectness"], path)
    other = pixels[:1, :, :64, :32].contiguous()
    theirs = Graph(path).run({"pixel_values": other.numpy()})[0]
    with torch.inference_mode():
        apart = float(np.abs(network(other).numpy() - theirs).max())
    if apart > LARGEST_DIFFERENCE:
        raise FinesightError(
            f"the exported graph {path} disagrees with PyTorch (by {apart:.5f}): do not use it, "
            "and report this with the versions of torch and onnxruntime"
        )


def canvas_cost(directory: Path, canvas: int) -> float:
    """Return what a pixel of a canvas costs in a bundle, in encodings of one crop: Manifest's.

    canvas: a side in pixels at which it is counted.
    """
    side = OnnxEncoder(directory).preprocessing.side
    crop = multiplications(directory / tower_files(directory)[0], (1, 3, side, side))
    return multiplications(directory / OBJECTNESS, (1, 3, canvas, canvas)) / crop / canvas**2


def _batches(
    images: Sequence[Boxed], preprocessing: Preprocessing, settings: ObjectnessTraining, epoch: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield pixels (b, 3, side, side) and what `targets` makes of their boxes, once an image.

    The next batch is read from the disk while one is learned from.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    order = rng.permutation(len(images))
    parts = np.array_split(order, -(-len(images) // settings.batch))

    def batch(number: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        draw = np.random.default_rng([settings.seed, epoch, number])
        side = int(draw.choice(settings.canvases))
        share = float(draw.uniform(settings.closest, 1.0))
        shown = [_part(images[i], share, side, draw) for i in parts[number]]
        light = draw.uniform(*_LIGHT, (len(shown), 1, 1, 1)).astype(np.float32)
        pixels = preprocessing.tensor(np.stack([pixels for pixels, _ in shown])) * light
        wanted = [targets(boxes, side // STRIDE) for _, boxes in shown]
        heat, said, near = (torch.stack(each) for each in zip(*wanted, strict=True))
        given = torch.from_numpy(pixels).contiguous(memory_format=torch.channels_last)
        return given, heat, said, near

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(batch, 0)
        for number in range(len(parts)):
            ready = following.result()
            if number + 1 < len(parts):
                following = pool.submit(batch, number + 1)
            yield ready


def _part(
    image: Boxed, share: float, side: int, draw: np.random.Generator
) -> tuple[np.ndarray, Tensor]:
    """A random part of an image at side × side, mirrored or not, and the boxes centred in it."""
    whole = decode_image(image.path.read_bytes())
    low = draw.uniform(0, 1 - share, 2)
    window = np.array([*low, *(low + share)]) * np.array([whole.width, whole.height] * 2)
    x0, y0, x1, y1 = window.tolist()
    part = whole.resize((side, side), Image.Resampling.BILINEAR, box=(x0, y0, x1, y1))
    pixels = np.asarray(part)
    boxes = torch.from_numpy((image.boxes - np.tile(low, 2)) / share).float()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    boxes = boxes[((centres > 0) & (centres < 1)).all(dim=1)].clamp(0, 1)
    if draw.random() < 0.5:
        pixels = pixels[:, ::-1]
        boxes = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], dim=1)
    return pixels, boxes
