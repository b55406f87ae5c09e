"""The model bundle: a folder in the layout of the hub's ONNX models, with `finesight.json`."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from finesight.encoders.dense import DenseEntry
from finesight.encoders.onnx import TOWERS, tower_files
from finesight.errors import DataError, InputError
from finesight.files import atomic, new_folder, read_json, write_json
from finesight.models.parts import FinderEntry, FusionEntry, ItemsEntry, MatcherEntry, Part

MANIFEST = "finesight.json"
FORMAT_VERSION = 1

DEFAULT_PROMPT = "a photo of a {}"
DEFAULT_REGIONS = "normal"
EFFECTIVE_SCALE = "effective_scale"
"""Among a bundle's scores: the smallest share of its input's side at which it names a thing."""

_PARTS: dict[str, type[Any]] = {
    "dense": DenseEntry,
    "objectness": FinderEntry,
    "fusions": FusionEntry,
    "matchers": MatcherEntry,
    "items": ItemsEntry,
}
_NAMED = ("fusions", "matchers")  # of which there may be several, each with a name
_PLAIN = ("tokenizer.json", "preprocessor_config.json")  # what an embedding depends on, with towers
_TEXTS = (".md",)  # files that may be edited: they have no sha256


@dataclass(frozen=True)
class Bundle:
    """Everything that a model folder holds and says; nothing of it is loaded.

    files: where each file is now, by its name in the bundle; sha256: of those that are known.
    towers: names of the image and the text tower's graphs, of one precision; width: d, 0 where it
    is not said; prompt: a template with one {}; prompts: of an ensemble, none for the usual ones;
    regions: how images are looked at unless told otherwise; fit: how regions become square (see
    Preprocessing); knows: {"things": [...], "colors": [...]} of a model of few words; dense,
    finder, fusions, matchers, items: its parts (see models/parts.py), of which `fusion` names the
    fusion in use; scores: what was measured, the effective scale among them; provenance: how it and
    its parts were made; directory: where it was read.
    """

    name: str
    files: Mapping[str, Path]
    sha256: Mapping[str, str] = field(default_factory=dict)
    towers: tuple[str, str] = (f"onnx/{TOWERS[0]}.onnx", f"onnx/{TOWERS[1]}.onnx")
    width: int = 0
    prompt: str = DEFAULT_PROMPT
    prompts: Sequence[str] = ()
    regions: str = DEFAULT_REGIONS
    fit: str = "squash"
    knows: Mapping[str, Sequence[str]] | None = None
    dense: DenseEntry | None = None
    finder: FinderEntry | None = None
    fusions: Mapping[str, FusionEntry] = field(default_factory=dict)
    fusion: str | None = None
    matchers: Mapping[str, MatcherEntry] = field(default_factory=dict)
    items: ItemsEntry | None = None
    scores: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    directory: Path | None = None

    @staticmethod
    def read(folder: Path, precision: str = "fp32") -> "Bundle":
        """Read and check a bundle; a folder of the hub's layout without a manifest gets defaults.

        precision: which of the folder's towers are meant. Every file is compared with its sha256,
        so that a damaged or altered bundle is refused here and not found out by wrong results.
        Raises DataError.
        """
        towers = tower_files(folder, precision)
        missing = [file for file in _PLAIN if not (folder / file).is_file()]
        if missing:
            raise DataError(
                f"{folder} is not a complete model: {', '.join(missing)} is missing. "
                "A model folder has the layout of the hub's ONNX models; download or export it "
                "again"
            )
        path = folder / MANIFEST
        if not path.exists():
            # Large models keep their weights beside the graph, in vision_model.onnx_data.
            found = [p for file in (*towers, *_PLAIN) for p in sorted(folder.glob(f"{file}*"))]
            found += [p for p in [folder / "config.json"] if p.is_file()]
            return Bundle(folder.name, _named(folder, found), towers=towers, directory=folder)
        try:
            return _read(folder, json.loads(path.read_text(encoding="utf-8")), towers)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is damaged ({error!r}): download, export or install the model again"
            ) from error

    @staticmethod
    def of_files(folder: Path, **said: Any) -> "Bundle":
        """Return the bundle that all files of a folder make; said: its other fields."""
        return Bundle(files=_files(folder), directory=folder, **said)

    @cached_property
    def fingerprint(self) -> str:
        """What names its embeddings: towers with their weights, tokenizer and preprocessing."""
        known = {*self.sha256, *self.towers, *_PLAIN} if self.sha256 else self.files
        parts = [n for file in (*self.towers, *_PLAIN) for n in sorted(known) if n.startswith(file)]
        return fingerprint({name: self._digest(name) for name in parts})

    @property
    def parts(self) -> list[Part]:
        """All that it has beside its towers."""
        single = [part for part in (self.dense, self.finder, self.items) if part is not None]
        return [*single, *self.fusions.values(), *self.matchers.values()]

    @property
    def in_use(self) -> FusionEntry:
        """The fusion in use: one of its own, else one without training."""
        name = self.fusion or "salient"
        return self.fusions.get(name) or FusionEntry(name, 8)

    def place(self, file: str) -> Path:
        """Return where a file of it is; raises DataError for one that is not there."""
        if file not in self.files:
            raise DataError(
                f"{(self.directory or Path(self.name)) / file} is missing: download, export or "
                "install the model again"
            )
        return self.files[file]

    def version(self, *files: str) -> str:
        """Return what tells the contents of some of its files from others."""
        digests = {file: self._digest(file) for file in files}
        return (digests[files[0]] if len(files) == 1 else fingerprint(digests))[:8]

    def with_part(
        self, part: Part, folder: Path, provenance: Mapping[str, Any] | None = None
    ) -> "Bundle":
        """Return it with a part added or replaced, and all other parts as they are.

        folder: holds the part's files, by their names in a bundle, until it is written. A fusion
        becomes the one in use. The embeddings and so the fingerprint stay what they are.
        """
        held, name = getattr(self, part.field), getattr(part, "name", None)
        old: Part | None = held if name is None else held.get(name)
        fields: dict[str, Any] = {part.field: part if name is None else {**held, name: part}}
        if isinstance(part, FusionEntry):
            fields["fusion"] = part.name
        gone = {*(old.files if old else ()), *part.files}
        files = {name: path for name, path in self.files.items() if name not in gone}
        digests = {name: digest for name, digest in self.sha256.items() if name not in gone}
        if provenance is not None:
            fields["provenance"] = {**self.provenance, part.origin: dict(provenance)}
        files |= {name: folder / name for name in part.files}
        return replace(self, files=files, sha256=digests, **fields)

    def with_scores(self, **scores: float) -> "Bundle":
        """Return it with measured scores, such as its effective scale, beside those it has."""
        return replace(self, scores={**self.scores, **scores})

    def keep_scores(self, **scores: float) -> bool:
        """Write measured scores into its folder; return whether a manifest can hold them there."""
        folder = self.directory
        if folder is None or not (folder / MANIFEST).is_file() or not os.access(folder, os.W_OK):
            return False
        Bundle.read(folder).with_scores(**scores).write(folder)
        return True

    def write(self, folder: Path) -> "Bundle":
        """Write it with all its files to a new folder, or where it was read; return what is there.

        A new folder appears at the end, whole. Raises InputError for another folder that is there.
        """
        if self.directory is not None and folder.resolve() == self.directory.resolve():
            return self._write(folder)
        with new_folder(folder) as place:
            written = self._write(place)
        return replace(written, files=_files(folder), directory=folder)

    def _write(self, folder: Path) -> "Bundle":
        """Bring a folder to what this is: its files, the manifest, and away with replaced files."""
        before = {*_files(folder)} & {*read_json(folder / MANIFEST).get("sha256", {})}
        for name, path in self.files.items():
            if path != folder / name:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with atomic(folder / name) as unfinished:
                    shutil.copyfile(path, unfinished)
        hashed = sorted(name for name in self.files if not name.endswith(_TEXTS))
        digests = {name: self._digest(name) for name in hashed}
        write_json(folder / MANIFEST, self._content(digests))
        for name in before - {*self.files}:
            (folder / name).unlink()
        return replace(self, files=_files(folder), sha256=digests, directory=folder)

    def _content(self, sha256: Mapping[str, str]) -> dict[str, Any]:
        """Return what `finesight.json` says, in which absent parts are left out."""
        said: dict[str, Any] = {
            "prompts": list(self.prompts),
            "knows": {n: list(words) for n, words in self.knows.items()} if self.knows else None,
            "fusion": self.fusion,
            **{key: _entry(getattr(self, kind.field)) for key, kind in _PARTS.items()},
        }
        return {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "width": self.width,
            "looking": {"kind": "effort", "regions": self.regions},
            "fit": self.fit,
            "prompt": self.prompt,
            **{name: value for name, value in said.items() if value},
            "sha256": dict(sha256),
            "provenance": dict(self.provenance),
            "scores": dict(self.scores),
        }

    def _digest(self, name: str) -> str:
        return self.sha256.get(name) or _content_id(self.place(name))


def need_manifest(folder: Path | None, called: object) -> Path:
    """Return the folder of a bundle that parts can be added to, as it has a manifest.

    called: what the user named. Raises InputError for another folder, or none.
    """
    if folder is None or not (folder / MANIFEST).is_file():
        raise InputError(
            f"{called} is not a bundle of finesight, which could hold what is learned: make one of "
            f"it with `finesight export {called} OUT`"
        )
    return folder


def _read(folder: Path, content: Mapping[str, Any], towers: tuple[str, str]) -> Bundle:
    if content["format_version"] > FORMAT_VERSION:
        raise DataError(
            f"{folder / MANIFEST} has format version {content['format_version']}; this finesight "
            f"reads up to {FORMAT_VERSION}: update finesight"
        )
    recorded = content["sha256"]
    for file in {**recorded, **dict.fromkeys((*towers, *_PLAIN))}:
        if not (folder / file).is_file() or sha256(folder / file) != recorded.get(file):
            raise DataError(
                f"{folder / file} is damaged or was altered (its sha256 is not the one in "
                f"{MANIFEST}): download, export or install the model again"
            )
    parts: dict[str, Any] = {}
    for key, kind in _PARTS.items():
        said = content.get(key, {})
        if key in _NAMED:
            parts[kind.field] = {name: kind(name, **entry) for name, entry in said.items()}
        elif key in content:
            parts[kind.field] = kind(**said)
    return Bundle.of_files(
        folder,
        sha256=recorded,
        towers=towers,
        regions=content["looking"]["regions"],
        prompts=tuple(content.get("prompts", ())),
        **{name: content[name] for name in ("name", "prompt", "scores", "provenance")},
        **{name: content[name] for name in ("width", "fit", "knows", "fusion") if name in content},
        **parts,
    )


def sha256(path: Path) -> str:
    """Return the hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(digests: Mapping[str, str]) -> str:
    """Return what stands for files of these names and digests, in this order."""
    lines = "\n".join(f"{file} {digest}" for file, digest in digests.items())
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def checkpoint_fingerprint(directory: Path) -> str:
    """Return what identifies the embeddings of a PyTorch checkpoint: its files' contents."""
    files = sorted(p for kind in ("json", "safetensors") for p in directory.glob(f"*.{kind}"))
    return fingerprint({path.name: _content_id(path) for path in files})


def _content_id(path: Path) -> str:
    """Return the sha256; the hub's cache names large files by it, which spares reading them."""
    target = path.resolve().name
    is_digest = len(target) == 64 and set(target) <= set("0123456789abcdef")
    return target if is_digest else sha256(path)


def _files(folder: Path) -> dict[str, Path]:
    """Return all files of a folder but its manifest, by name; unfinished and hidden ones apart."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = _named(folder, [p for p in found if p.suffix != ".new"])
    return {n: p for n, p in named.items() if n != MANIFEST and not f"/{n}".count("/.")}


def _named(folder: Path, paths: Sequence[Path]) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _entry(held: Part | Mapping[str, Part] | None) -> dict[str, Any]:
    """Return what the manifest says of a part, whose name stands before it, or of parts by name."""
    if isinstance(held, Mapping):
        return {name: _entry(part) for name, part in held.items()}
    said = {} if held is None else asdict(held)
    return {name: value for name, value in said.items() if name != "name" and value is not None}
