"""The models that finesight knows of: bundled, in the hub's cache, and recommended."""

from dataclasses import dataclass
from pathlib import Path

from finesight.encoders.preprocessing import Preprocessing
from finesight.errors import DataError
from finesight.files import read_json
from finesight.models.hub import BUNDLED

_SPEEDS = ((64, "instant"), (180, "fast"), (400, "medium"))  # largest image tower in MB, fp32


@dataclass(frozen=True)
class Listed:
    """One model: where it is known from, its size in MB (None: not here), languages, input side.

    speed: "instant", "fast", "medium" or "slow", by the size of the image tower in float32.
    """

    source: str
    status: str
    megabytes: float | None
    languages: str
    side: int | None
    speed: str


RECOMMENDED = (
    Listed("Xenova/clip-vit-base-patch32", "recommended", 606, "English", 224, "medium"),
    Listed("Xenova/clip-vit-base-patch16", "recommended", 599, "English", 224, "medium"),
    Listed("Xenova/clip-vit-large-patch14", "recommended", 1710, "English", 224, "slow"),
    Listed("Xenova/siglip-base-patch16-224", "recommended", 813, "English", 224, "medium"),
    Listed("google/siglip2-base-patch16-224", "recommended", 1500, "109 languages", 224, "medium"),
    Listed(
        "facebook/metaclip-2-worldwide-huge-quickgelu", "recommended", None, "300+", 224, "slow"
    ),
)
"""Published models, with the rough size of their weights; the first one is the default."""


def list_models() -> list[Listed]:
    """Return bundled models, those in the hub's cache, then recommended ones that are not."""
    found = [_look(name, "bundled", folder) for name, folder in BUNDLED.items()] + _cached()
    here = {model.source for model in found}
    return [*found, *(model for model in RECOMMENDED if model.source not in here)]


def _cached() -> list[Listed]:
    import huggingface_hub
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = huggingface_hub.scan_cache_dir().repos
    except CacheNotFound:
        return []
    return [
        _look(each.repo_id, "cached", usable[0])
        for each in sorted(repositories, key=lambda each: each.repo_id)
        if each.repo_type == "model"
        and (usable := [r.snapshot_path for r in each.revisions if _image_tower(r.snapshot_path)])
    ]


def _image_tower(folder: Path) -> Path | None:
    """The file with the image tower: of an ONNX folder, or a checkpoint with two towers."""
    tower = folder / "onnx" / "vision_model.onnx"
    if tower.is_file():
        return tower
    config = read_json(folder / "config.json")
    weights = sorted(folder.glob("*.safetensors"))
    return weights[0] if weights and "vision_config" in config and "text_config" in config else None


def _look(source: str, status: str, folder: Path) -> Listed:
    tower = _image_tower(folder)
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6
    image = 0.0 if tower is None else tower.stat().st_size / 1e6
    try:
        side: int | None = Preprocessing.read(folder / "preprocessor_config.json").side
    except DataError:
        side = None
    known = {model.source: model.languages for model in RECOMMENDED}
    known |= {"mini": "English, 51 nouns", "photo": "English, 11,860 nouns"}
    speed = next((name for limit, name in _SPEEDS if image <= limit), "slow")
    return Listed(source, status, size, known.get(source, "?"), side, speed)
