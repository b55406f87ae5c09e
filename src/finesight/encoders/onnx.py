"""Encoders that run in ONNX Runtime, from a folder in the layout of the hub's ONNX models."""

import copy
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from finesight.encoders.base import as_map, open_tokenizer, warn_of_long_texts
from finesight.encoders.preprocessing import Preprocessing
from finesight.errors import DataError
from finesight.graphs import Graph, has_gpu
from finesight.scoring.similarity import normalise
from finesight.types import Float32, UInt8

TOWERS = ("vision_model", "text_model")
PRECISIONS = {"fp32": ("",), "fp16": ("_fp16",), "int8": ("_int8", "_quantized")}
"""Precisions, and how the hub's repositories end the names of their files."""

_PIXELS = 2**20  # of the crops that are encoded at once: they should stay in the caches
_EMBEDDINGS = {"image": "image_embeds", "text": "text_embeds"}


def tower_files(directory: Path, precision: str = "fp32") -> tuple[str, str]:
    """Return the names of the image and text tower's files in a model folder.

    Raises DataError where there is none of that precision, naming what there is.
    """
    if precision not in PRECISIONS:
        raise DataError(f"unknown precision {precision!r}: use one of {', '.join(PRECISIONS)}")
    pairs = [[f"onnx/{tower}{end}.onnx" for tower in TOWERS] for end in PRECISIONS[precision]]
    for vision, text in pairs:
        if (directory / vision).is_file() and (directory / text).is_file():
            return vision, text
    found = sorted(path.name for path in (directory / "onnx").glob("*.onnx"))
    if any((directory / "onnx" / f"model{end}.onnx").is_file() for end in PRECISIONS[precision]):
        raise DataError(
            f"{directory} has only a combined graph (onnx/model.onnx), which would encode a text "
            "with each image: make a bundle of the original PyTorch model with `finesight export "
            "MODEL OUT`, or take a repository with onnx/vision_model.onnx"
        )
    vision, text = pairs[0]
    raise DataError(
        f"{directory} is not a complete {precision} model: {vision} or {text} is missing "
        f"(in onnx/: {', '.join(found) or 'nothing'}). A model folder has the layout of the hub's "
        "ONNX models; download or export it again"
    )


class OnnxEncoder:
    """A CLIP-like model in a folder; each tower is loaded when it is first used.

    precision: which of the folder's files; fit: see Preprocessing. Runs on CUDA where
    onnxruntime-gpu is installed, else on all cores of the CPU.
    Raises DataError, with what to do, where a file is missing or damaged.
    """

    def __init__(self, directory: Path, precision: str = "fp32", fit: str = "squash") -> None:
        self.directory = directory
        self.preprocessing = Preprocessing.read(directory / "preprocessor_config.json", fit)
        self._files = dict(zip(("image", "text"), tower_files(directory, precision), strict=True))
        self._threads = os.cpu_count() or 1

    @cached_property
    def width(self) -> int:
        """The embedding width d, from the configuration, else from a text encoded once."""
        width = self._config.get("projection_dim")
        return int(width) if width else self.encode_texts(["a"]).shape[1]

    @cached_property
    def longest_text(self) -> int:
        """The number of tokens, begin and end included, beyond which a text is cut."""
        return int((self._tokenizer.truncation or {})["max_length"])

    @cached_property
    def replicas(self) -> "list[OnnxEncoder]":
        """One encoder of one thread for each core; on CUDA, this one alone."""
        if self._threads == 1 or has_gpu():
            return [self]
        alone = copy.copy(self)
        alone.__dict__.pop("_vision", None)  # which has the threads of all cores
        alone._threads = 1
        return [alone] * self._threads

    def encode_images(self, crops: UInt8) -> Float32:
        """Return the L2-normalised embeddings (b, d) of crops (b, side, side, 3)."""
        return normalise(self._run_vision(crops, self._output("image")))

    def encode_spatial(self, crops: UInt8) -> Float32:
        """Return the last feature map (b, h, w, c) of crops (b, side, side, 3)."""
        if "last_hidden_state" not in self._vision.outputs:
            raise DataError(
                f"{self._vision.path} gives {', '.join(self._vision.outputs)} and no "
                "last_hidden_state: it has no feature map; export the model again"
            )
        return as_map(self._run_vision(crops, "last_hidden_state"))

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """Return the L2-normalised embeddings (t, d) of texts, encoded as they are."""
        tokens = self._tokenizer.encode_batch(list(texts))
        warn_of_long_texts(texts, [bool(t.overflowing) for t in tokens], self.longest_text)
        given = {
            "input_ids": np.array([t.ids for t in tokens], dtype=np.int64),
            "attention_mask": np.array([t.attention_mask for t in tokens], dtype=np.int64),
        }
        return normalise(self._text.one(given, self._output("text")))

    def reads_whole(self, text: str) -> bool:
        """Whether a text is not cut."""
        return not self._tokenizer.encode(text).overflowing

    def unknown_words(self, text: str) -> list[str]:
        """Return the words of a text that the tokenizer has no token for."""
        name = getattr(self._tokenizer.model, "unk_token", None)
        if name is None:
            return []
        tokens = self._tokenizer.encode(text, add_special_tokens=False)
        unknown = self._tokenizer.token_to_id(name)
        found = zip(tokens.ids, tokens.offsets, strict=True)
        return [text[start:end] for id_, (start, end) in found if id_ == unknown]

    def _run_vision(self, crops: UInt8, output: str) -> Float32:
        """Return an output of the image tower for crops (b, side, side, 3), batch by batch."""
        batch = max(1, _PIXELS // self.preprocessing.side**2)
        parts = [crops[start : start + batch] for start in range(0, max(len(crops), 1), batch)]
        pixels, found = self._tensor(parts[0]), []
        # The next batch is scaled while this one is encoded: no core waits for it.
        with ThreadPoolExecutor(1) as pool:
            for following in parts[1:]:
                ahead = pool.submit(self._tensor, following)
                found.append(self._vision.one({"pixel_values": pixels}, output))
                pixels = ahead.result()
        return np.concatenate([*found, self._vision.one({"pixel_values": pixels}, output)])

    def _tensor(self, crops: UInt8) -> np.ndarray:
        pixels: np.ndarray = self.preprocessing.tensor(crops)
        half = self._vision.inputs["pixel_values"].type == "tensor(float16)"
        return pixels.astype(np.float16) if half else pixels

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
        tokenizer = open_tokenizer(self.directory / "tokenizer.json")
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
    def _vision(self) -> Graph:
        return self._open("image", {"pixel_values"})

    @cached_property
    def _text(self) -> Graph:
        return self._open("text", {"input_ids", "attention_mask"})

    def _output(self, kind: str) -> str:
        # CLIP's pooler_output is not yet projected into the joint space; SigLIP's is the embedding.
        return "pooler_output" if self._is_siglip else _EMBEDDINGS[kind]

    def _open(self, kind: str, known: set[str]) -> Graph:
        """Open a graph, and check that it takes and gives what a tower does."""
        graph = Graph(self.directory / self._files[kind], self._threads, gpu=True)
        if self._output(kind) not in graph.outputs or not {*graph.inputs} <= known:
            raise DataError(
                f"{graph.path} takes {sorted(graph.inputs)} and gives {graph.outputs}: a {kind} "
                f"model that takes {sorted(known)} and gives {self._output(kind)} is needed"
            )
        return graph
