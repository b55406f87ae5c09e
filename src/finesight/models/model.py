"""A model ready to use: an encoder, and whatever else it brings along."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from finesight.encoders import Encoder
from finesight.encoders.capabilities import Capabilities
from finesight.encoders.dense import DenseTower
from finesight.encoders.finder import Finder
from finesight.errors import InputError
from finesight.fusion import Fusion, TextHead, salient_clusters
from finesight.matching import ItemHead, NetworkMatcher
from finesight.models.bundle import Bundle
from finesight.queries.everyday import background_texts
from finesight.types import Float32, ImageVectors, ModelIdentity

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

UNMEASURED_SCALE = 0.25
"""The effective scale of models of which it was not measured: 56 of 224 pixels."""

EVERYDAY = background_texts()
"""The background of models that know what people talk about."""


@dataclass(frozen=True)
class Model:
    """A model ready to use.

    source: what was asked for, which finds it again; prompt: a template with one {}; regions: the
    proposer it uses unless told otherwise; fingerprint: identifies the embeddings; fusion: how the
    regions of an image become `vectors` vectors, by the name `fusion_name`, which tells two of
    different weights apart; bundle: what it was read from, of an ONNX model; dense: reads many
    windows out of one canvas; objects: the finder; effective_scale: the smallest share of a crop's
    side at which it names a thing; prompts: the templates of an ensemble; background: texts of
    what else an image might show, in words that it knows; text_head: makes query vectors from text
    embeddings, where the fused vectors have a space of their own; matchers: what re-ranks, by name;
    item_head: tells one thing from others of its kind. None for what it lacks.
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
    bundle: Bundle | None = None
    dense: DenseTower | None = None
    objects: Finder | None = None
    effective_scale: float = UNMEASURED_SCALE
    prompts: tuple[str, ...] = DEFAULT_PROMPTS
    background: tuple[str, ...] = EVERYDAY
    text_head: TextHead | None = None
    matchers: Mapping[str, NetworkMatcher] = field(default_factory=dict)
    item_head: ItemHead | None = None

    @property
    def directory(self) -> Path | None:
        """The folder of an ONNX model."""
        return None if self.bundle is None else self.bundle.directory

    def matcher(self, name: str) -> NetworkMatcher:
        """Return a matcher of this model; raises InputError, with what there is, for no such."""
        if name not in self.matchers:
            has = ", ".join(self.matchers) or "none"
            raise InputError(
                f"the model {self.source} has no matcher {name!r} (it has: {has}): train one with "
                f"`finesight train matcher --model {self.source}`, which writes a model that has it"
            )
        return self.matchers[name]

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
        """What proposers are given of it."""
        return Capabilities(self.encoder, self.dense, self.objects)

    def fuse(self, seen: ImageVectors, vectors: int | None = None) -> Float32:
        """Return the vectors (k, d) that are kept of one image; k is the model's own unless given.

        Fewer regions than k give fewer vectors.
        """
        return self.fusion(seen, vectors or self.vectors)
