"""Detectors that run in PyTorch: transformers' OWLv2 and Grounding DINO.

OWLv2 (Minderer et al. 2023) finds things of any kind by its objectness, or of the kinds that words
name; Grounding DINO (Liu et al. 2023) always reads words.
"""

import json
from pathlib import Path
from typing import Any

import torch

from finesight.boxes import OVERLAP, ScoredBoxes
from finesight.encoders.preprocessing import Preprocessing
from finesight.encoders.torch_checkpoints import load_part, processor_file
from finesight.errors import DataError, InputError, first_line
from finesight.images.open import Picture
from finesight.proposals.onnx_detector import padded_square, unpadded

OBJECT = ("object",)
"""What Grounding DINO looks for unless told: anything."""

_FILES = ["*.json", "*.txt", "*.safetensors"]


class Owlv2Detector:
    """A checkpoint of OWLv2 in a folder. words: what to look for; without them, anything."""

    overlap = OVERLAP
    reads_pixels = True

    def __init__(self, directory: Path, words: tuple[str, ...] = ()) -> None:
        self.least = 0.1 if words else 0.0  # 0.1 is what its authors take for words
        self.preprocessing = Preprocessing.read(processor_file(directory))
        self.model = load_part("Owlv2ForObjectDetection", directory).to(_device())
        self._asked: dict[str, Any] = {}
        if words:
            length = self.model.config.text_config.max_position_embeddings
            fit = {"padding": "max_length", "truncation": True, "max_length": length}
            tokens = load_part("AutoTokenizer", directory)(list(words), return_tensors="pt", **fit)
            asked = tokens.to(self.model.device)
            self._asked = {name: asked[name] for name in ("input_ids", "attention_mask")}

    @torch.inference_mode()
    def detect(self, picture: Picture) -> ScoredBoxes:
        """Return where something may be in a picture, whatever file it is of."""
        square = padded_square(picture.image, self.preprocessing)
        pixels = torch.from_numpy(square).to(self.model.device)
        if self._asked:
            found = self.model(pixel_values=pixels, **self._asked)
            boxes, logits = found.pred_boxes, found.logits.amax(dim=-1)
        else:
            boxes, logits = objectness(self.model, pixels)
        scores = logits[0].float().sigmoid().cpu().numpy()
        return unpadded(boxes[0].float().cpu().numpy(), scores, picture.image.size)


def objectness(model: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return OWLv2's boxes (b, n, 4) and the logits (b, n) of each being an object.

    Its detection by words computes the same boxes, and needs words for its classes.
    """
    features = model.image_embedder(pixel_values=pixels)[0]
    patches = features.flatten(1, 2)
    return model.box_predictor(patches, features), model.objectness_predictor(patches)


class GroundingDinoDetector:
    """A checkpoint of Grounding DINO in a folder. words: what to look for, else any object."""

    least = 0.25  # what its authors take
    overlap = OVERLAP
    reads_pixels = True

    def __init__(self, directory: Path, words: tuple[str, ...] = ()) -> None:
        self.words = words or OBJECT
        self.processor = load_part("AutoProcessor", directory)
        self.model = load_part("GroundingDinoForObjectDetection", directory).to(_device())

    @torch.inference_mode()
    def detect(self, picture: Picture) -> ScoredBoxes:
        """Return where something may be in a picture, whatever file it is of."""
        given = self.processor(images=picture.image, text=[list(self.words)], return_tensors="pt")
        found = self.model(**given.to(self.model.device))
        scores = found.logits[0].float().sigmoid().amax(dim=-1).cpu().numpy()
        boxes = found.pred_boxes[0].float().cpu().numpy()
        # Its boxes are shares of the image itself: one that is padded to a square is square.
        return unpadded(boxes, scores, (1, 1))


def load_torch_detector(
    source: str, words: tuple[str, ...] = ()
) -> Owlv2Detector | GroundingDinoDetector:
    """Load a checkpoint from a folder or a repository of the hub.

    Raises InputError for a model that is no known detector, DataError for one that is damaged or
    cannot be fetched.
    """
    directory = Path(source).expanduser()
    if not directory.is_dir():
        directory = _fetch(source)
    try:
        kind = json.loads((directory / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{source} has no config.json that says what it is ({error})") from error
    if kind == "owlv2":
        return Owlv2Detector(directory, words)
    if kind == "grounding-dino":
        return GroundingDinoDetector(directory, words)
    raise InputError(
        f"{source} is a model of the kind {kind!r}: detectors are OWLv2 and Grounding DINO"
    )


def _fetch(repository: str) -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=_FILES))
    # The hub's client raises its own, httpx's and the operating system's errors.
    except Exception as error:
        raise DataError(
            f"the detector {repository} could not be fetched from the hub ({first_line(error)}): "
            "check the name and the network, or name a folder, or a COCO file of boxes"
        ) from error


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
