"""The model bundle on disk: a folder in the hub's ONNX layout, described by `finesight.json`."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from finesight.encoders.dense import DenseEntry
from finesight.encoders.onnx import tower_files
from finesight.errors import DataError
from finesight.matching.item_head import ITEM_HEAD
from finesight.proposals.finder import OBJECTNESS

MANIFEST = "finesight.json"
FORMAT_VERSION = 1

# Beside the towers, what an embedding depends on.
_OTHER_FILES = ("tokenizer.json", "preprocessor_config.json")
DEFAULT_PROMPT = "a photo of a {}"
DEFAULT_PROMPTS = (
    "a photo of a {}",
    "a photo of the {}",
    "a close-up photo of a {}",
    "a picture of a {}",
    "a photo of one {}",
    "there is a {} in the photo",
    "{}",
)
"""Of models whose bundle names none: what an ensemble averages over."""

DEFAULT_REGIONS = "normal"
EFFECTIVE_SCALE = "effective_scale"
"""Among a bundle's scores: the smallest share of its input's side at which it names a thing."""


@dataclass(frozen=True)
class FusionEntry:
    """The fusion that a bundle uses unless told otherwise.

    name: of a training-free fusion, or of a network in `file`; vectors: k; version: tells two
    networks of one name apart; text_head: the file of its linear layer over text embeddings, where
    the fused vectors have a space of their own.
    """

    name: str
    vectors: int
    file: str | None = None
    version: str = ""
    text_head: str | None = None


@dataclass(frozen=True)
class MatcherEntry:
    """A matcher of a bundle: its graph, its word tower and tokenizer, as files of the bundle.

    kind: such as "adapt"; regions: the way of looking that it was trained with.
    """

    kind: str
    file: str
    words: str
    tokenizer: str
    regions: str


DEFAULT_FUSION = FusionEntry("salient", 8)
"""Of models without a trained fusion: it needs neither training nor words."""


@dataclass(frozen=True)
class ObjectnessEntry:
    """The graph with which a bundle finds objects.

    cost: of a pixel of its canvas, in encodings of one crop; version: tells two of them apart.
    """

    cost: float
    version: str


@dataclass(frozen=True)
class Manifest:
    """What `finesight.json` says: how to look and to prompt, and each file's sha256.

    fit: how regions that are not square become so (Preprocessing); fusion: its fusion; dense: how
    windows are read out of one feature map, where the bundle can; objectness: how it finds
    objects, where it can; prompts: the templates of its ensemble; knows: the things and colours
    that it knows, where these are few.
    """

    name: str
    prompt: str
    regions: str
    fit: str
    fingerprint: str
    fusion: "FusionEntry"
    provenance: Mapping[str, Any]
    scores: Mapping[str, Any]
    dense: DenseEntry | None = None
    objectness: ObjectnessEntry | None = None
    prompts: tuple[str, ...] = DEFAULT_PROMPTS
    knows: Mapping[str, Sequence[str]] | None = None
    matchers: Mapping[str, MatcherEntry] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)

    def version(self, files: Sequence[str]) -> str:
        """Return what tells the contents of some of the bundle's files from others."""
        return _fingerprint({file: self.sha256[file] for file in files})[:8]


def write_manifest(
    directory: Path,
    *,
    name: str,
    width: int,
    proposer: Mapping[str, Any],
    prompt: str,
    provenance: Mapping[str, Any],
    scores: Mapping[str, Any],
    fit: str = "squash",
    dense: DenseEntry | None = None,
    prompts: Sequence[str] = (),
    knows: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Write `finesight.json` for the files of a bundle, which must all be there.

    width: d; proposer: {"kind": "crops", "regions": "cc10"}; prompt: a template with one {};
    provenance and scores: how it was trained and what was measured; fit: see Preprocessing;
    dense: how windows are read out of the map of onnx/dense_model.onnx, if there is one; prompts:
    templates of an ensemble; knows: {"things": [...], "colors": [...]} of a model of few words.
    """
    files = sorted(
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and path.name != MANIFEST and path.suffix in (".json", ".onnx")
    )
    content = {
        "format_version": FORMAT_VERSION,
        "name": name,
        "width": width,
        "looking": dict(proposer),
        "fit": fit,
        "prompt": prompt,
        **({"prompts": list(prompts)} if prompts else {}),
        **({"knows": {name: list(words) for name, words in knows.items()}} if knows else {}),
        **({"dense": asdict(dense)} if dense else {}),
        "sha256": {file: sha256(directory / file) for file in files},
        "provenance": dict(provenance),
        "scores": dict(scores),
    }
    _write(directory, content)


def add_fusion(
    directory: Path,
    name: str,
    file: str,
    vectors: int,
    provenance: Mapping[str, Any],
    text_head: str | None = None,
) -> None:
    """Name a network in `file` among the bundle's fusions, as the one that it uses.

    text_head: see FusionEntry. The embeddings and so the fingerprint stay what they are.
    """
    content = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    entry: dict[str, Any] = {"vectors": vectors, "file": file}
    content["sha256"][file] = sha256(directory / file)
    if text_head is not None:
        entry["text_head"] = text_head
        content["sha256"][text_head] = sha256(directory / text_head)
    content["fusions"] = {**content.get("fusions", {}), name: entry}
    content["fusion"] = name
    content["provenance"] = {**content["provenance"], "fusion": dict(provenance)}
    _write(directory, content)


def add_matcher(
    directory: Path, name: str, entry: MatcherEntry, provenance: Mapping[str, Any]
) -> None:
    """Name a matcher, whose files stand in the bundle's folder, among the bundle's matchers."""
    content = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    content["matchers"] = {**content.get("matchers", {}), name: asdict(entry)}
    for file in (entry.file, entry.words, entry.tokenizer):
        content["sha256"][file] = sha256(directory / file)
    content["provenance"] = {**content["provenance"], f"matcher {name}": dict(provenance)}
    _write(directory, content)


def add_objectness(directory: Path, cost: float, provenance: Mapping[str, Any]) -> None:
    """Enter a graph that finds objects, which stands in the bundle's folder.

    cost: of a pixel of its canvas, in encodings of one crop.
    """
    content = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    content["objectness"] = {"cost": cost}
    content["sha256"][OBJECTNESS] = sha256(directory / OBJECTNESS)
    content["provenance"] = {**content["provenance"], "objectness": dict(provenance)}
    _write(directory, content)


def add_items(directory: Path, width: int, provenance: Mapping[str, Any]) -> None:
    """Enter an item head, which stands in the bundle's folder; width: of an item embedding."""
    content = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    content["items"] = {"file": ITEM_HEAD, "width": width}
    content["sha256"][ITEM_HEAD] = sha256(directory / ITEM_HEAD)
    content["provenance"] = {**content["provenance"], "items": dict(provenance)}
    _write(directory, content)


def keep_scale(directory: Path, effective: float) -> bool:
    """Write a measured effective scale into a bundle; return whether there is one to hold it."""
    if not (directory / MANIFEST).is_file() or not os.access(directory, os.W_OK):
        return False
    content = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    content["scores"] = {**content["scores"], EFFECTIVE_SCALE: effective}
    _write(directory, content)
    return True


def _chosen_fusion(content: Mapping[str, Any]) -> FusionEntry:
    if "fusion" not in content:
        return DEFAULT_FUSION
    name = content["fusion"]
    entry = content["fusions"][name]
    version = content["sha256"][entry["file"]][:8]
    return FusionEntry(name, entry["vectors"], entry["file"], version, entry.get("text_head"))


def _objectness(content: Mapping[str, Any]) -> ObjectnessEntry | None:
    if "objectness" not in content:
        return None
    return ObjectnessEntry(content["objectness"]["cost"], content["sha256"][OBJECTNESS][:8])


def _write(directory: Path, content: Mapping[str, Any]) -> None:
    temporary = directory / f"{MANIFEST}.new"
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    temporary.replace(directory / MANIFEST)


def read_manifest(directory: Path, precision: str = "fp32") -> Manifest:
    """Read and check a bundle; a folder of the hub's layout without a manifest gets defaults.

    precision: which of the folder's files are to be used.

    Every file is compared with its sha256, so that a damaged or altered bundle is refused here
    and not found out by wrong results. Raises DataError.
    """
    files = (*tower_files(directory, precision), *_OTHER_FILES)
    missing = [file for file in files if not (directory / file).is_file()]
    if missing:
        raise DataError(
            f"{directory} is not a complete model: {', '.join(missing)} is missing. "
            "A model folder has the layout of the hub's ONNX models; download or export it again"
        )
    path = directory / MANIFEST
    if not path.exists():
        # Large models keep their weights beside the graph, in vision_model.onnx_data.
        parts = [path for file in files for path in sorted(directory.glob(f"{file}*"))]
        hashes = {path.relative_to(directory).as_posix(): _content_id(path) for path in parts}
        fingerprint = _fingerprint(hashes)
        name = directory.name
        return Manifest(
            name, DEFAULT_PROMPT, DEFAULT_REGIONS, "squash", fingerprint, DEFAULT_FUSION, {}, {}
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format_version"]
        if version > FORMAT_VERSION:
            raise DataError(
                f"{path} has format version {version}; this finesight reads up to "
                f"{FORMAT_VERSION}: update finesight"
            )
        recorded = content["sha256"]
        for file, expected in recorded.items():
            if not (directory / file).is_file() or sha256(directory / file) != expected:
                raise DataError(
                    f"{directory / file} is damaged or was altered (its sha256 is not the one in "
                    f"{MANIFEST}): download, export or install the model again"
                )
        return Manifest(
            content["name"],
            content["prompt"],
            content["looking"]["regions"],
            content.get("fit", "squash"),
            _fingerprint({file: recorded[file] for file in files}),
            _chosen_fusion(content),
            content["provenance"],
            content["scores"],
            DenseEntry(**content["dense"]) if "dense" in content else None,
            _objectness(content),
            tuple(content.get("prompts", DEFAULT_PROMPTS)),
            content.get("knows"),
            {name: MatcherEntry(**entry) for name, entry in content.get("matchers", {}).items()},
            recorded,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged ({error!r}): download, export or install the model again"
        ) from error


def checkpoint_fingerprint(directory: Path) -> str:
    """Return what identifies the embeddings of a PyTorch checkpoint: its files' contents."""
    files = sorted(p for kind in ("json", "safetensors") for p in directory.glob(f"*.{kind}"))
    return _fingerprint({path.name: _content_id(path) for path in files})


def sha256(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content_id(path: Path) -> str:
    """Return the sha256; the hub's cache names large files by it, which spares reading them."""
    target = path.resolve().name
    is_digest = len(target) == 64 and set(target) <= set("0123456789abcdef")
    return target if is_digest else sha256(path)


def _fingerprint(hashes: Mapping[str, str]) -> str:
    lines = "\n".join(f"{file} {digest}" for file, digest in hashes.items())
    return hashlib.sha256(lines.encode()).hexdigest()[:16]
