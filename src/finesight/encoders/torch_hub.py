"""Encoders of CLIP-like models of Hugging Face transformers, which run in PyTorch.

For what ONNX Runtime does not serve: a GPU in bfloat16, new architectures, and export to bundles.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from finesight.encoders.base import as_map, warn_of_long_texts
from finesight.encoders.preprocessing import Preprocessing
from finesight.encoders.torch_checkpoints import load_part, processor_file
from finesight.encoders.torch_encoder import TorchEncoder
from finesight.errors import DataError
from finesight.types import Float32, UInt8

# Trained on texts padded to the full length, without a mask.
_PADDED = ("siglip", "siglip2")


class TransformersEncoder(TorchEncoder):
    """A checkpoint of transformers in a folder: any AutoModel with image and text features.

    half: whether to compute in bfloat16, as a GPU does anyway.
    Raises DataError where the folder is no such checkpoint, or its weights are pickled only.
    """

    def __init__(self, directory: Path, half: bool = False) -> None:
        super().__init__(Preprocessing.read(processor_file(directory)))
        self.directory = directory
        if half or self.device == "cuda":
            self.dtype = torch.bfloat16

    @cached_property
    def model(self) -> Any:
        """The model, ready to run."""
        model = load_part("AutoModel", self.directory, dtype=self.dtype)
        if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
            raise DataError(
                f"{self.directory} is a {type(model).__name__}: a model with an image and a text "
                "tower in one space is needed, such as CLIP or SigLIP"
            )
        return model.to(self.device)

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, which cuts and pads as the model was trained."""
        return load_part("AutoTokenizer", self.directory)

    @cached_property
    def longest_text(self) -> int:
        """The number of tokens, begin and end included, beyond which a text is cut.

        The text tower's positions decide, as in Long-CLIP, not a limit that a tokenizer kept.
        """
        config = getattr(self.model.config, "text_config", self.model.config)
        positions = int(config.max_position_embeddings)
        # RoBERTa's positions start behind its padding index.
        if getattr(config, "model_type", "") in ("xlm-roberta", "roberta", "altclip_text_model"):
            positions -= int(config.pad_token_id) + 1
        return positions

    def encode_spatial(self, crops: UInt8) -> Float32:
        """Return the last feature map (b, h, w, c) of crops (b, side, side, 3)."""
        features = lambda pixels: self.model.get_image_features(pixels).last_hidden_state  # noqa: E731
        return as_map(self._run(crops, features))

    def reads_whole(self, text: str) -> bool:
        """Whether a text is not cut."""
        return len(self.tokenizer([text], verbose=False)["input_ids"][0]) <= self.longest_text

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that the tokenizer has no token for."""
        unknown = self.tokenizer.unk_token_id
        if unknown is None:
            return []
        words = text.split()
        ids = self.tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"]
        return [word for word, found in zip(words, ids, strict=True) if unknown in found]

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return token ids (t, w) and, where the model uses one, their mask."""
        plain, longest = self.tokenizer(list(texts), verbose=False)["input_ids"], self.longest_text
        warn_of_long_texts(texts, [len(ids) > longest for ids in plain], longest)
        padded = self.model.config.model_type in _PADDED
        padding = "max_length" if padded else True
        fit = {"padding": padding, "truncation": True, "max_length": longest}
        tokens = self.tokenizer(list(texts), return_tensors="pt", **fit)
        names = ("input_ids",) if padded else ("input_ids", "attention_mask")
        return {name: tokens[name] for name in names}

    def _embed_pixels(self, pixels: Tensor) -> Any:
        return _embedding(self.model.get_image_features(pixels))

    def _embed_texts(self, texts: Sequence[str]) -> Any:
        given = {name: value.to(self.device) for name, value in self.tokens(texts).items()}
        return _embedding(self.model.get_text_features(**given))


def _embedding(output: Any) -> Any:
    """The projected embedding: transformers 5 puts it where the pooled output was."""
    return getattr(output, "pooler_output", output)
