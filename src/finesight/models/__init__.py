"""Models: an encoder with its way of looking and prompting, found by name."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from finesight.encoders import Encoder
from finesight.encoders.dense import DenseTower, open_tower
from finesight.encoders.onnx import PRECISIONS, OnnxEncoder
from finesight.errors import DataError, InputError, need
from finesight.fusion import TRAINING_FREE, Fusion, NetworkFusion, TextHead, salient_clusters
from finesight.matching import NetworkMatcher
from finesight.matching.item_head import ItemHead
from finesight.models.bundle import (
    DEFAULT_PROMPT,
    DEFAULT_PROMPTS,
    DEFAULT_REGIONS,
    EFFECTIVE_SCALE,
    FusionEntry,
    MatcherEntry,
    checkpoint_fingerprint,
    read_manifest,
)
from finesight.proposals.capabilities import Capabilities
from finesight.proposals.finder import Finder
from finesight.queries.everyday import background_texts
from finesight.types import Float32, ImageVectors, ModelIdentity

__all__ = ["BUNDLED", "DEFAULT", "Model", "load_model"]

BUNDLED = {"mini": Path(__file__).parent / "mini"}
"""Models that come with finesight, by name."""

DEFAULT = "Xenova/clip-vit-base-patch32"
"""The model where none is named: OpenAI's CLIP ViT-B/32 in the hub's ONNX layout."""

UNMEASURED_SCALE = 0.25
"""The effective scale of models of which it was not measured: 56 of 224 pixels."""

EVERYDAY = background_texts()
"""The background of models that know what people talk about."""

OPEN_CLIP = "open_clip:"
"""What stands before the name of a model of OpenCLIP."""

# Small files that say what a repository is, and what its towers need beside their weights.
_ABOUT = ["*.json", "*.txt", "*.model"]
_ONNX = ["onnx/vision_model{0}.onnx*", "onnx/text_model{0}.onnx*"]
_CHECKPOINT = ["*.safetensors"]


@dataclass(frozen=True)
class Model:
    """A model ready to use.

    source: what was asked for, which finds it again; prompt: a template with one {};
    regions: the scheme it looks with unless told; fingerprint: identifies the embeddings;
    fusion: how what it sees becomes `vectors` vectors an image, by the name `fusion_name`,
    which tells two of different weights apart;
    directory: where its files are, if it has any of its own; dense: reads many windows out of one
    canvas, where it can; objects: says where something is, where it can; effective_scale: the
    smallest share of a crop's side at which it names a thing; text_head: makes query vectors from
    text embeddings, where the fused vectors have a space of their own; matchers: what `matcher`
    finds, by name; prompts: the templates of an ensemble; background: texts of what else an image
    might show, in words that it knows.
    """

    source: str
    name: str
    encoder: Encoder
    prompt: str
    regions: str
    fingerprint: str
    fusion: Fusion = salient_clusters
    fusion_name: str = "salient"
    vectors: int = 8
    directory: Path | None = None
    dense: DenseTower | None = None
    objects: Finder | None = None
    effective_scale: float = UNMEASURED_SCALE
    prompts: tuple[str, ...] = DEFAULT_PROMPTS
    background: tuple[str, ...] = EVERYDAY
    text_head: TextHead | None = None
    matchers: Mapping[str, MatcherEntry] = field(default_factory=dict)

    def matcher(self, name: str) -> NetworkMatcher:
        """Return a matcher of this model; raises InputError, with what there is, for no such."""
        if name not in self.matchers or self.directory is None:
            has = ", ".join(self.matchers) or "none"
            raise InputError(
                f"the model {self.source} has no matcher {name!r} (it has: {has}): train one with "
                f"`finesight train matcher --model {self.source}`, which writes a model that has it"
            )
        entry = self.matchers[name]
        files = (entry.file, entry.words, entry.tokenizer)
        return NetworkMatcher(*(self.directory / file for file in files))

    @cached_property
    def item_head(self) -> ItemHead | None:
        """What tells one thing from others of its kind, where the model has it."""
        return None if self.directory is None else ItemHead.open(self.directory)

    def need_item_head(self) -> ItemHead:
        """Return the item head; raises InputError, with the command that makes one, for none."""
        if self.item_head is None:
            raise InputError(
                f"the model {self.source} does not tell one thing from others of its kind: train "
                f"that with `finesight train items --model {self.source}`, which writes a model "
                "that does"
            )
        return self.item_head

    @property
    def identity(self) -> ModelIdentity:
        """What tells it from others, part by part: what a collection is compared with."""
        said = "\n".join((self.prompt, *self.background))
        return ModelIdentity(
            towers=self.fingerprint,
            fit=self.encoder.preprocessing.fit,
            dense=getattr(self.dense, "version", ""),
            finder=self.objects.version if self.objects else "",
            fusion=self.fusion_name,
            text_head=self.text_head.version if self.text_head else "",
            background=hashlib.sha256(said.encode()).hexdigest()[:8],
        )

    @property
    def capabilities(self) -> Capabilities:
        """What looking is given of it."""
        return Capabilities(self.encoder, self.dense, self.objects)

    def fuse(self, seen: ImageVectors, vectors: int | None = None) -> Float32:
        """Return the vectors (k, d) that are kept of one image; k is the model's own unless given.

        Fewer regions than k give fewer vectors.
        """
        return self.fusion(seen, vectors or self.vectors)


def load_model(source: str = DEFAULT) -> Model:
    """Load a bundled model ("mini"), a model folder, or a repository of the hub ("owner/name").

    "@fp16" or "@int8" behind it takes the files of that precision. Folders and repositories that
    hold a PyTorch checkpoint run in PyTorch (finesight[torch]), with "@bf16" in bfloat16, which
    recent CPUs compute twice as fast; so do OpenCLIP's models
    ("open_clip:ViT-B-32/laion2b_s34b_b79k", finesight[open-clip]).
    Raises InputError for a name that is none of these, DataError for a damaged model.
    """
    if source.startswith(OPEN_CLIP):
        return _open_clip(source)
    place, _, precision = source.rpartition("@") if "@" in source else (source, "", "fp32")
    directory, found = _find(place, precision)
    if not (directory / "onnx").is_dir() and is_checkpoint(directory):
        return _in_pytorch(directory, found, precision)
    source = found if precision == "fp32" else f"{found}@{precision}"
    manifest = read_manifest(directory, precision)
    encoder = OnnxEncoder(directory, precision, manifest.fit)
    dense, finds, knows = manifest.dense, manifest.objectness, manifest.knows
    return Model(
        source=source,
        name=manifest.name,
        encoder=encoder,
        prompt=manifest.prompt,
        regions=manifest.regions,
        fingerprint=manifest.fingerprint,
        fusion=load_fusion(directory, manifest.fusion),
        fusion_name="-".join(filter(None, (manifest.fusion.name, manifest.fusion.version))),
        vectors=manifest.fusion.vectors,
        directory=directory,
        effective_scale=manifest.scores.get(EFFECTIVE_SCALE, UNMEASURED_SCALE),
        dense=open_tower(directory, encoder.preprocessing, dense, manifest.version(dense.files))
        if dense
        else None,
        objects=(
            Finder(directory, encoder.preprocessing, finds.cost, finds.version) if finds else None
        ),
        text_head=(
            TextHead(directory / head, manifest.version([head]))
            if (head := manifest.fusion.text_head)
            else None
        ),
        matchers=manifest.matchers,
        prompts=manifest.prompts,
        background=EVERYDAY
        if knows is None
        else background_texts(knows["things"], knows["colors"]),
    )


def load_fusion(directory: Path, entry: FusionEntry) -> Fusion:
    """Return the fusion that a manifest names; raises DataError for one that is not there."""
    if entry.file is not None:
        return NetworkFusion(directory / entry.file)
    if entry.name not in TRAINING_FREE:
        raise DataError(
            f"{directory} names the fusion {entry.name!r}, which this finesight does not know: "
            "update finesight"
        )
    return TRAINING_FREE[entry.name]


def _find(source: str, precision: str) -> tuple[Path, str]:
    if source in BUNDLED:
        return BUNDLED[source], source
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder, str(folder.resolve())
    if source.count("/") == 1 and not source.startswith((".", "/", "~")):
        return _from_hub(source, precision), source
    raise InputError(
        f"unknown model {source!r}: name a bundled model ({', '.join(BUNDLED)}), a model folder, "
        f"or a repository of the Hugging Face hub in the ONNX layout, such as {DEFAULT}"
    )


def _from_hub(repository: str, precision: str) -> Path:
    """Return the folder of a hub repository: from the cache, else downloaded.

    Fetches the ONNX towers of one precision; where there are none, a PyTorch checkpoint's weights.
    """
    import huggingface_hub  # slow to import, and not needed by bundled models
    from huggingface_hub.errors import LocalEntryNotFoundError

    ends = PRECISIONS.get(precision, ("",))
    towers = [name.format(end) for end in ends for name in _ONNX]
    # A download that was interrupted leaves one tower without the other: then the network is asked.
    needed = ([[name.format(end) for end in ends] for name in _ONNX], [_CHECKPOINT])
    for wanted, parts in zip((towers, _CHECKPOINT), needed, strict=True):
        try:
            cached = Path(
                huggingface_hub.snapshot_download(
                    repository, allow_patterns=[*_ABOUT, *wanted], local_files_only=True
                )
            )
        except LocalEntryNotFoundError:
            break
        half = wanted is _CHECKPOINT and (cached / "onnx").is_dir()
        if not half and all(any(next(cached.glob(n), None) for n in names) for names in parts):
            return cached
    try:
        names = huggingface_hub.list_repo_files(repository)
        weights = towers if any(n.startswith("onnx/") for n in names) else _CHECKPOINT
        return Path(
            huggingface_hub.snapshot_download(repository, allow_patterns=[*_ABOUT, *weights])
        )
    # The hub's client raises its own, httpx's and the operating system's errors.
    except Exception as error:
        raise DataError(_why_not_fetched(repository, error)) from error


def _why_not_fetched(repository: str, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return (
            f"the model {repository} is gated: accept its terms on its page of the hub and log in "
            "with `hf auth login`, then try again"
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"the hub has no model {repository}, or it is private: check the name, or log in with "
            "`hf auth login`"
        )
    reason = str(error).strip().splitlines()
    return (
        f"the model {repository} could not be fetched from the hub "
        f"({reason[0] if reason else type(error).__name__}). Check the name and the network, "
        "give a model folder with --model DIR, or try --model mini, which is bundled and "
        "knows rendered objects only"
    )


def is_checkpoint(directory: Path) -> bool:
    """Whether a folder looks like a checkpoint of PyTorch: a configuration, and weights or not."""
    weights = [
        p for kind in ("safetensors", "bin", "pt", "pth") for p in directory.glob(f"*.{kind}")
    ]
    return (directory / "config.json").is_file() and bool(weights)


def _in_pytorch(directory: Path, source: str, precision: str) -> Model:
    if precision not in ("fp32", "bf16"):
        raise InputError(
            f"{source} is a PyTorch checkpoint and runs in fp32 or bf16, not {precision}: make "
            f"a bundle with `finesight export {source} OUT --precision {precision}`"
        )
    _need_torch(f"{source} is a PyTorch checkpoint")
    from finesight.encoders.torch_hub import TransformersEncoder
    from finesight.encoders.torch_regions import TorchRegions

    encoder = TransformersEncoder(directory, half=precision == "bf16")
    half = precision == "bf16"
    return Model(
        source=f"{source}@bf16" if half else source,
        name=Path(source).name,
        encoder=encoder,
        prompt=DEFAULT_PROMPT,
        regions=DEFAULT_REGIONS,
        fingerprint=checkpoint_fingerprint(directory) + ("-bf16" if half else ""),
        dense=TorchRegions(encoder),
    )


def _open_clip(source: str) -> Model:
    _need_torch(f"{source} runs in PyTorch")
    from finesight.encoders.torch_hub import OpenClipEncoder

    name = source.removeprefix(OPEN_CLIP)
    encoder = OpenClipEncoder(name)
    return Model(
        source=source,
        name=name,
        encoder=encoder,
        prompt=DEFAULT_PROMPT,
        regions=DEFAULT_REGIONS,
        # OpenCLIP's names stand for weights that do not change.
        fingerprint=hashlib.sha256(source.encode()).hexdigest()[:16],
    )


def _need_torch(why: str) -> None:
    need("torch", why, "torch", f", or take a model in the ONNX layout, such as {DEFAULT}")
