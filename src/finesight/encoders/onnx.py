"""Encoders that run in ONNX Runtime, from a folder in the layout of the hub's ONNX models."""

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from finesight.encoders.preprocessing import Preprocessing
from finesight.errors import DataError
from finesight.scoring import normalise
from finesight.types import Float32, UInt8

VISION = Path("onnx/vision_model.onnx")
TEXT = Path("onnx/text_model.onnx")

_BATCH = 256
_EMBEDDINGS = {"image": "image_embeds", "text": "text_embeds"}


class OnnxEncoder:
    """A CLIP-like model in a folder; each tower is loaded when it is first used.

    Raises DataError, with what to do, where a file is missing or damaged.
    """

    def __init__(self, directory: Path, threads: int | None = None) -> None:
        self.directory = directory
        self.preprocessing = Preprocessing.read(directory / "preprocessor_config.json")
        self._threads = threads or os.cpu_count() or 1

    @cached_property
    def width(self) -> int:
        """The embedding width d, from the configuration, else from a text encoded once."""
        width = self._config.get("projection_dim")
        return int(width) if width else self.encode_texts(["a"]).shape[1]

    def encode_images(self, crops: UInt8) -> Float32:
        """Return the L2-normalised embeddings (b, d) of crops (b, side, side, 3)."""
        session, inputs, output = self._vision
        parts = [
            session.run([output], {inputs[0]: self.preprocessing.tensor(crops[i : i + _BATCH])})[0]
            for i in range(0, len(crops), _BATCH)
        ]
        return normalise(np.concatenate(parts))

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return the L2-normalised embeddings (t, d) of texts, encoded as they are."""
        session, inputs, output = self._text
        tokens = self._tokenizer.encode_batch(list(texts))
        known = {
            "input_ids": np.array([t.ids for t in tokens], dtype=np.int64),
            "attention_mask": np.array([t.attention_mask for t in tokens], dtype=np.int64),
        }
        return normalise(session.run([output], {name: known[name] for name in inputs})[0])

    @cached_property
    def _config(self) -> dict[str, Any]:
        path = self.directory / "config.json"
        try:
            config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path} is missing or damaged ({error}): download the model again"
            ) from error
        return config

    @property
    def _is_siglip(self) -> bool:
        return str(self._config.get("model_type", "")).startswith("siglip")

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        path = self.directory / "tokenizer.json"
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust library raises plain Exception
            raise DataError(
                f"{path} is missing or damaged ({error}): download the model again"
            ) from error
        text = self._config.get("text_config", {})
        longest = text.get("max_position_embeddings", 77)
        if tokenizer.truncation is None or tokenizer.truncation["max_length"] > longest:
            tokenizer.enable_truncation(longest)
        if self._is_siglip:  # was trained on texts padded to the full length, without a mask
            tokenizer.enable_padding(length=longest, pad_id=text.get("pad_token_id", 1))
        elif tokenizer.padding is None:
            tokenizer.enable_padding(pad_id=text.get("pad_token_id") or 0)
        return tokenizer

    @cached_property
    def _vision(self) -> tuple[onnxruntime.InferenceSession, list[str], str]:
        return self._load(VISION, "image", {"pixel_values"})

    @cached_property
    def _text(self) -> tuple[onnxruntime.InferenceSession, list[str], str]:
        return self._load(TEXT, "text", {"input_ids", "attention_mask"})

    def _load(
        self, file: Path, kind: str, known: set[str]
    ) -> tuple[onnxruntime.InferenceSession, list[str], str]:
        """Open a graph; return it with its inputs' names and the name of its embedding."""
        path = self.directory / file
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # Spinning threads would take the cores from those that decode the next images.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has an exception class a status, without a base
            raise DataError(
                f"{path} is missing or damaged: download or export the model again "
                f"({str(error).splitlines()[0]})"
            ) from error
        inputs = [tensor.name for tensor in session.get_inputs()]
        outputs = [tensor.name for tensor in session.get_outputs()]
        # CLIP's pooler_output is not yet projected into the joint space; SigLIP's is the embedding.
        output = "pooler_output" if self._is_siglip else _EMBEDDINGS[kind]
        if output not in outputs or not set(inputs) <= known:
            raise DataError(
                f"{path} takes {inputs} and gives {outputs}: a {kind} model that takes "
                f"{sorted(known)} and gives {output} is needed"
            )
        return session, inputs, output
