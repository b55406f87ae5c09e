"""Encoders that run in PyTorch: CLIP-like models of Hugging Face transformers, and OpenCLIP's.

For what ONNX Runtime does not serve: a GPU in bfloat16, new architectures, and export to bundles.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finesight.encoders.base import grid_of, warn_of_long_texts
from finesight.encoders.preprocessing import Preprocessing
from finesight.errors import DataError, need
from finesight.scoring.similarity import normalise
from finesight.types import Float32, UInt8

_BATCH = 64
_MORE = "more"  # a word behind a text, which a text that fills the context has no room for
# Trained on texts padded to the full length, without a mask.
_PADDED = ("siglip", "siglip2")


class TransformersEncoder:
    """A checkpoint of transformers in a folder: any AutoModel with image and text features.

    device: "cuda" where there is one, else "cpu", unless given; half: whether to compute in
    bfloat16, as a GPU does anyway; compiled: whether to compile the towers, which pays on a GPU and
    for many images. fit: see Preprocessing.
    Raises DataError where the folder is no such checkpoint, or its weights are pickled only.
    """

    def __init__(
        self,
        directory: Path,
        fit: str = "squash",
        device: str | None = None,
        half: bool = False,
        compiled: bool = False,
    ) -> None:
        self.directory = directory
        self.preprocessing = Preprocessing.read(processor_file(directory), fit)
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = torch.bfloat16 if half or self._device == "cuda" else torch.float32
        self._compiled = compiled

    @cached_property
    def model(self) -> Any:
        """The model, ready to run."""
        transformers = _transformers()
        with _quiet(transformers):
            try:
                model = transformers.AutoModel.from_pretrained(
                    self.directory, local_files_only=True, use_safetensors=True, dtype=self._dtype
                )
            # transformers raises its own, safetensors' and PyTorch's errors.
            except Exception as error:
                raise DataError(_why_not(self.directory, error)) from error
        if not (hasattr(model, "get_image_features") and hasattr(model, "get_text_features")):
            raise DataError(
                f"{self.directory} is a {type(model).__name__}: a model with an image and a text "
                "tower in one space is needed, such as CLIP or SigLIP"
            )
        model = model.eval().to(self._device)
        if self._compiled:
            model.get_image_features = torch.compile(model.get_image_features)
        return model

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, which cuts and pads as the model was trained."""
        transformers = _transformers()
        with _quiet(transformers):
            try:
                return transformers.AutoTokenizer.from_pretrained(
                    self.directory, local_files_only=True
                )
            except Exception as error:
                raise DataError(
                    f"{self.directory} has no tokenizer that can be read "
                    f"({str(error).splitlines()[0]}): download the model again"
                ) from error

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

    @cached_property
    def width(self) -> int:
        """The embedding width d."""
        return int(self.encode_texts(["a"]).shape[1])

    @property
    def replicas(self) -> tuple["TransformersEncoder"]:
        """This one alone: a batch takes the whole device."""
        return (self,)

    def encode_images(self, crops: UInt8) -> Float32:
        """Return the L2-normalised embeddings (b, d) of crops (b, side, side, 3)."""
        return normalise(np.concatenate([self._run(part, _embedding) for part in _parts(crops)]))

    def encode_spatial(self, crops: UInt8) -> Float32:
        """Return the last feature map (b, h, w, c) of crops (b, side, side, 3)."""
        found = np.concatenate([self._run(part, _last_features) for part in _parts(crops)])
        return found.transpose(0, 2, 3, 1) if found.ndim == 4 else grid_of(found)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return the L2-normalised embeddings (t, d) of texts, encoded as they are."""
        tokens = self.tokens(texts)
        given = {name: value.to(self._device) for name, value in tokens.items()}
        found = _embedding(self.model.get_text_features(**given))
        return normalise(found.float().cpu().numpy())

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
        plain = self.tokenizer(list(texts), verbose=False)["input_ids"]
        warn_of_long_texts(
            texts, [len(ids) > self.longest_text for ids in plain], self.longest_text
        )
        padded = self.model.config.model_type in _PADDED
        tokens = self.tokenizer(
            list(texts),
            padding="max_length" if padded else True,
            truncation=True,
            max_length=self.longest_text,
            return_tensors="pt",
        )
        names = ("input_ids",) if padded else ("input_ids", "attention_mask")
        return {name: tokens[name] for name in names}

    @torch.inference_mode()
    def _run(self, crops: UInt8, part: Callable[[Any], Tensor]) -> Float32:
        pixels = torch.from_numpy(self.preprocessing.tensor(crops))
        given = pixels.to(self._device, self._dtype)
        found: Float32 = part(self.model.get_image_features(given)).float().cpu().numpy()
        return found


class OpenClipEncoder:
    """A model of OpenCLIP by architecture and weights: "ViT-B-32/laion2b_s34b_b79k".

    Raises MissingDependencyError without OpenCLIP, DataError for a name that it does not know.
    """

    def __init__(self, name: str, fit: str = "squash", device: str | None = None) -> None:
        fits = ", with a torchvision that fits your torch"
        open_clip = need("open_clip", "OpenCLIP cannot be imported", "open-clip", fits)
        architecture, _, weights = name.partition("/")
        try:
            model, _, _ = open_clip.create_model_and_transforms(architecture, weights)
            self._tokenizer = open_clip.get_tokenizer(architecture)
        except Exception as error:  # OpenCLIP raises RuntimeError, the hub's and other errors
            raise DataError(
                f"OpenCLIP has no model {name!r} or could not fetch it "
                f"({str(error).splitlines()[0]}): see open_clip.list_pretrained()"
            ) from error
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model = model.eval().to(self._device)
        side = model.visual.image_size
        self.preprocessing = Preprocessing(
            int(side[0] if isinstance(side, tuple) else side),
            tuple(model.visual.image_mean),
            tuple(model.visual.image_std),
            fit=fit,
        )

    @property
    def longest_text(self) -> int:
        """The number of tokens, begin and end included, beyond which a text is cut."""
        return int(self._tokenizer.context_length)

    @cached_property
    def width(self) -> int:
        """The embedding width d."""
        return int(self.encode_texts(["a"]).shape[1])

    @property
    def replicas(self) -> tuple["OpenClipEncoder"]:
        """This one alone: a batch takes the whole device."""
        return (self,)

    def reads_whole(self, text: str) -> bool:
        """Whether a text is not cut; one that fills the context may have been."""
        return not bool(self._tokenizer([f"{text} {_MORE}"]).eq(self._tokenizer([text])).all())

    def unknown_words(self, text: str) -> list[str]:
        """OpenCLIP's tokenizers have a token for everything: none."""
        return []

    @torch.inference_mode()
    def encode_images(self, crops: UInt8) -> Float32:
        """Return the L2-normalised embeddings (b, d) of crops (b, side, side, 3)."""
        found = [
            self._model.encode_image(
                torch.from_numpy(self.preprocessing.tensor(part)).to(self._device)
            )
            for part in _parts(crops)
        ]
        return normalise(torch.cat(found).float().cpu().numpy())

    def encode_spatial(self, crops: UInt8) -> Float32:
        """OpenCLIP's towers share no way to their feature map: always raises DataError."""
        raise DataError("OpenCLIP's models give no feature map here: use one of transformers")

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return the L2-normalised embeddings (t, d) of texts, cut where they are too long."""
        tokens = self._tokenizer(list(texts)).to(self._device)
        return normalise(self._model.encode_text(tokens).float().cpu().numpy())


def load_part(kind: str, directory: Path) -> Any:
    """Load a part of a checkpoint by its class in transformers ("AutoTokenizer"), models in eval.

    Raises DataError where it is not there or damaged.
    """
    transformers = _transformers()
    weights = {} if "Auto" in kind else {"use_safetensors": True}
    with _quiet(transformers):
        try:
            part = getattr(transformers, kind).from_pretrained(
                directory, local_files_only=True, **weights
            )
        # transformers raises its own, safetensors' and PyTorch's errors.
        except Exception as error:
            raise DataError(_why_not(directory, error)) from error
    return part.eval() if weights else part


def processor_file(directory: Path) -> Path:
    """Return the file of a checkpoint that says how it wants its pixels."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (directory / name).is_file():
            return directory / name
    return directory / "preprocessor_config.json"


def _parts(crops: UInt8) -> Iterator[UInt8]:
    return (crops[i : i + _BATCH] for i in range(0, len(crops), _BATCH))


def _embedding(output: Any) -> Tensor:
    """The projected embedding: transformers 5 puts it where the pooled output was."""
    found: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return found


def _last_features(output: Any) -> Tensor:
    found: Tensor = output.last_hidden_state
    return found


def _transformers() -> Any:
    return need("transformers", "PyTorch checkpoints need transformers", "torch")


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Hide the notes and bars that transformers writes while it loads; errors still raise."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _why_not(directory: Path, error: Exception) -> str:
    pickled = sorted(p.name for p in directory.glob("*.bin")) or sorted(
        p.name for p in directory.glob("*.pt*")
    )
    if pickled and not list(directory.glob("*.safetensors")):
        return (
            f"{directory} has its weights as a pickle only ({pickled[0]}), which could run any "
            "program when it is read: take a revision with model.safetensors, or convert it "
            "where you trust its source (transformers' save_pretrained writes safetensors)"
        )
    try:
        kind = json.loads((directory / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        kind = "unknown"
    reason = str(error).strip().splitlines()
    return (
        f"{directory} (a model of type {kind}) cannot be loaded "
        f"({reason[0] if reason else type(error).__name__}): download it again, or update "
        "transformers"
    )
