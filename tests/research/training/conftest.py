"""A toy world for the training tests: flat coloured shapes in the format that `render` writes."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

CLASSES = ("square", "disc", "bar")
COLORS = {"red": (200, 30, 30), "green": (30, 170, 40), "blue": (40, 60, 210)}
SIDE = 160


def draw_toy_scenes(directory, images, seed):
    """Write scenes of one or two shapes on grey ground to a folder and return the folder."""
    rng = np.random.default_rng(seed)
    (directory / "images").mkdir(parents=True)
    lines = []
    for number in range(images):
        image = Image.new("RGB", (SIDE, SIDE), (120, 115, 110))
        objects = [_draw(ImageDraw.Draw(image), kind, rng) for kind in rng.permutation(CLASSES)[:2]]
        file = f"images/{number:06d}.png"
        image.save(directory / file)
        about = {"file": file, "index": number, "seed": seed, "split": "train"}
        lines.append(about | {"width": SIDE, "height": SIDE, "objects": objects})
    (directory / "scenes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    head = {"format": "finesight-scenes", "version": 2, "kind": "scenes", "seed": seed}
    head |= {"split": "train", "size": SIDE, "mode": "mix", "look": "plain", "shapes": "toy"}
    head |= {"areas": [0, 1], "never_named": []}
    head |= {"classes": list(CLASSES), "colors": list(COLORS)}
    (directory / "dataset.json").write_text(json.dumps(head))
    return directory


def _draw(canvas, kind, rng):
    width = height = rng.uniform(0.1, 0.45) * SIDE
    if kind == "bar":
        height /= 3
    left, top = rng.uniform(0, SIDE - width), rng.uniform(0, SIDE - height)
    box = [round(float(edge)) for edge in (left, top, left + width, top + height)]
    color = str(rng.choice(list(COLORS)))
    shape = canvas.ellipse if kind == "disc" else canvas.rectangle
    shape(box, fill=COLORS[color])
    about = {"class": str(kind), "instance": 0, "color": color, "material": "matte"}
    return (
        about
        | {"box_px": box, "visible_px": round(width * height), "hidden": 0}
        | {
            "size": "large",
            "role": "query",
        }
    )


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """On a busy machine PyTorch's threads wait for each other: seven times slower than one."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def toy_scenes(tmp_path_factory):
    """Folders of toy scenes: training and validation."""
    root = tmp_path_factory.mktemp("scenes")
    return draw_toy_scenes(root / "train", 24, 1), draw_toy_scenes(root / "val", 6, 2)
