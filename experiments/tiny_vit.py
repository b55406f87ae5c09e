"""A ViT small enough to be trained here, to compare what can only be measured with trained weights.

Its image tower is CLIP's in miniature and learns to give the embeddings of `mini` for crops of the
training scenes, so that mini's texts name what it sees. Trained once, kept as a checkpoint of
transformers, which the product reads as any other.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from protocol import CACHE
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from finesight import load_model
from finesight.images.open import read_image
from finesight.models import Model
from finesight.research.datasets.clevr_ds import load

SETS = ("train-textured", "train-plain")
CROPS = 40  # of each image
EPOCHS = 4
SPARSE_EPOCHS = 3  # the first ones see half of the patches, at half the cost, after FLIP
BATCH = 128
RATE = 1.5e-3
SIDE, PATCH, WIDTH, LAYERS, HEADS = 64, 8, 160, 6, 4


def tiny_vit(options: argparse.Namespace) -> Path:
    """Return the folder of the trained checkpoint; trains it on first use."""
    out = CACHE / "tiny-vit"
    if not (out / "model.safetensors").is_file():
        teacher = load_model("mini")
        crops = _crops(options, teacher)
        wanted = np.concatenate([teacher.encoder.encode_images(part) for part in _parts(crops)])
        model = _train(crops, torch.from_numpy(wanted), teacher)
        _save(model, teacher, out)
    return out


def _crops(options: argparse.Namespace, teacher: Model) -> np.ndarray:
    """Half of them around objects with more or less room, half anywhere, in all sizes."""
    rng = np.random.default_rng(0)
    crops = []
    for name in SETS:
        for labelled in load(options.scenes / name).images:
            image = read_image(labelled.path)
            boxes = []
            for number in range(CROPS):
                side = np.exp(rng.uniform(np.log(0.06), 0.0))
                low = rng.uniform(0, 1 - side, 2)
                if number % 2 and labelled.objects:
                    box = np.array(labelled.objects[rng.integers(len(labelled.objects))].box)
                    longest = (box[2:] - box[:2]).max()
                    side = min(longest / rng.uniform(0.25, 1.1), 1.0)
                    middle = (box[:2] + box[2:]) / 2 + rng.uniform(-0.15, 0.15, 2) * side
                    low = np.clip(middle - side / 2, 0, 1 - side)
                boxes.append([*low, *(low + side)])
            crops.append(teacher.encoder.preprocessing.cut(image, np.array(boxes, np.float32)))
        print(name, file=sys.stderr)
    return np.concatenate(crops)


def _train(crops: np.ndarray, wanted: Tensor, teacher: Model) -> CLIPModel:
    torch.manual_seed(0)
    body = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS}
    body["num_attention_heads"] = HEADS
    vision = CLIPVisionConfig(**body, image_size=SIDE, patch_size=PATCH)
    text = CLIPTextConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        vocab_size=8, max_position_embeddings=8,
    )  # fmt: skip
    width = wanted.shape[1]
    model = CLIPModel(
        CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=width)
    )
    vision_parts = [*model.vision_model.parameters(), *model.visual_projection.parameters()]
    optimizer = torch.optim.AdamW(vision_parts, lr=RATE, weight_decay=0.05)
    steps = len(crops) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * steps)
    rng, started = np.random.default_rng(1), time.monotonic()
    for epoch in range(EPOCHS):
        total = 0.0
        for rows in np.array_split(rng.permutation(len(crops))[: steps * BATCH], steps):
            pixels = torch.from_numpy(teacher.encoder.preprocessing.tensor(crops[rows]))
            shown = pixels.flip(-1) if rng.random() < 0.5 else pixels
            with torch.autocast("cpu", torch.bfloat16):
                found = _embedded(model, shown, sparsely=epoch < SPARSE_EPOCHS)
            loss = _apart(F.normalize(found.float(), dim=1), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(vision_parts, 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.monotonic() - started
        print(f"epoch {epoch + 1}: {total / steps:.4f}, {seconds:.0f} s", file=sys.stderr)
    return model.eval()


def _embedded(model: CLIPModel, pixels: Tensor, sparsely: bool) -> Tensor:
    """Embeddings (b, d) of pixels, where asked for of a random half of each one's patches."""
    tower = model.vision_model
    states = tower.embeddings(pixels)
    if sparsely:
        places = torch.rand(len(states), states.shape[1] - 1).argsort(dim=1)
        places = places[:, : places.shape[1] // 2, None].expand(-1, -1, states.shape[2]) + 1
        states = torch.cat([states[:, :1], states.gather(1, places)], dim=1)
    seen = tower.encoder(inputs_embeds=tower.pre_layrnorm(states)).last_hidden_state
    embedded: Tensor = model.visual_projection(tower.post_layernorm(seen[:, 0]))
    return embedded


def _apart(found: Tensor, wanted: Tensor) -> Tensor:
    """How far embeddings are from the wanted ones, and from having their likenesses."""
    own = 1 - (found * wanted).sum(dim=1).mean()
    return own + (found @ wanted.T - wanted @ wanted.T).square().mean() * 4


def _save(model: CLIPModel, teacher: Model, out: Path) -> None:
    assert teacher.directory is not None
    model.save_pretrained(out)
    for name in ("preprocessor_config.json", "tokenizer.json"):
        shutil.copy(teacher.directory / name, out / name)
    about = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (out / "tokenizer_config.json").write_text(json.dumps(about))


def _parts(crops: np.ndarray) -> list[np.ndarray]:
    return np.array_split(crops, -(-len(crops) // 512))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=Path, default=CACHE / "scenes")
    print(tiny_vit(parser.parse_args()))
