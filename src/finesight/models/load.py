"""Loads models by name: bundles and the hub's ONNX models, PyTorch checkpoints, OpenCLIP's."""

import hashlib
from pathlib import Path

from finesight.encoders.dense import open_tower
from finesight.encoders.finder import Finder
from finesight.encoders.onnx import OnnxEncoder
from finesight.errors import DataError, InputError, need
from finesight.fusion import TRAINING_FREE, Fusion, NetworkFusion, TextHead
from finesight.matching import ItemHead, NetworkMatcher
from finesight.models.bundle import (
    DEFAULT_PROMPT,
    DEFAULT_REGIONS,
    EFFECTIVE_SCALE,
    Bundle,
    checkpoint_fingerprint,
)
from finesight.models.hub import DEFAULT, find_model, is_checkpoint
from finesight.models.model import DEFAULT_PROMPTS, EVERYDAY, UNMEASURED_SCALE, Model
from finesight.queries.everyday import background_texts

OPEN_CLIP = "open_clip:"
"""What stands before the name of a model of OpenCLIP."""


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
    directory, found = find_model(place, precision)
    if not (directory / "onnx").is_dir() and is_checkpoint(directory):
        return _in_pytorch(directory, found, precision)
    source = found if precision == "fp32" else f"{found}@{precision}"
    return open_bundle(Bundle.read(directory, precision), source, precision)


def open_bundle(bundle: Bundle, source: str, precision: str = "fp32") -> Model:
    """Return the model that a bundle is; its graphs are opened when they are first used.

    source: what finds it again. Raises DataError for a bundle that lacks what it names.
    """
    assert bundle.directory is not None, "a bundle is opened from its folder"
    encoder = OnnxEncoder(bundle.directory, precision, bundle.fit)
    place, pixels, fusion = bundle.place, encoder.preprocessing, bundle.in_use
    dense, finder, head, knows = bundle.dense, bundle.finder, fusion.text_head, bundle.knows
    return Model(
        source=source,
        name=bundle.name,
        encoder=encoder,
        prompt=bundle.prompt,
        regions=bundle.regions,
        fingerprint=bundle.fingerprint,
        fusion=_fusion(bundle),
        fusion_name=f"{fusion.name}-{bundle.version(fusion.file)}" if fusion.file else fusion.name,
        vectors=fusion.vectors,
        bundle=bundle,
        effective_scale=bundle.scores.get(EFFECTIVE_SCALE, UNMEASURED_SCALE),
        dense=open_tower(bundle.directory, pixels, dense, bundle.version(*dense.files))
        if dense
        else None,
        objects=Finder(bundle.directory, pixels, finder.cost, bundle.version(*finder.files))
        if finder
        else None,
        text_head=TextHead(place(head), bundle.version(head)) if head else None,
        matchers={
            name: NetworkMatcher(place(m.file), place(m.words), place(m.tokenizer), m.regions)
            for name, m in bundle.matchers.items()
        },
        item_head=ItemHead(place(bundle.items.file)) if bundle.items else None,
        prompts=tuple(bundle.prompts) or DEFAULT_PROMPTS,
        background=background_texts(knows["things"], knows["colors"]) if knows else EVERYDAY,
    )


def _fusion(bundle: Bundle) -> Fusion:
    entry = bundle.in_use
    if entry.file is not None:
        return NetworkFusion(bundle.place(entry.file))
    if entry.name not in TRAINING_FREE:
        raise DataError(
            f"{bundle.directory} names the fusion {entry.name!r}, which this finesight does not "
            "know: update finesight"
        )
    return TRAINING_FREE[entry.name]


def _in_pytorch(directory: Path, source: str, precision: str) -> Model:
    if precision not in ("fp32", "bf16"):
        raise InputError(
            f"{source} is a PyTorch checkpoint and runs in fp32 or bf16, not {precision}: make "
            f"a bundle with `finesight export {source} OUT --precision {precision}`"
        )
    _need_torch(f"{source} is a PyTorch checkpoint")
    from finesight.encoders.torch_hub import TransformersEncoder
    from finesight.encoders.torch_regions import TorchRegions

    name, half = Path(source).name, precision == "bf16"
    fingerprint = checkpoint_fingerprint(directory)
    if half:
        source, fingerprint = f"{source}@bf16", f"{fingerprint}-bf16"
    encoder = TransformersEncoder(directory, half)
    regions = TorchRegions(encoder)
    return Model(source, name, encoder, DEFAULT_PROMPT, DEFAULT_REGIONS, fingerprint, dense=regions)


def _open_clip(source: str) -> Model:
    _need_torch(f"{source} runs in PyTorch")
    from finesight.encoders.torch_open_clip import OpenClipEncoder

    name = source.removeprefix(OPEN_CLIP)
    # OpenCLIP's names stand for weights that do not change.
    fingerprint = hashlib.sha256(source.encode()).hexdigest()[:16]
    encoder = OpenClipEncoder(name)
    return Model(source, name, encoder, DEFAULT_PROMPT, DEFAULT_REGIONS, fingerprint)


def _need_torch(why: str) -> None:
    need("torch", why, "torch", f", or take a model in the ONNX layout, such as {DEFAULT}")
