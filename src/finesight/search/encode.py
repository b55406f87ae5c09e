"""Turns a request into vectors: texts and images are encoded, indexed images looked up."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from finesight.boxes import normalised
from finesight.encoders import Encoder
from finesight.encoders.crops import encode_boxes
from finesight.errors import InputError
from finesight.images.open import ImageError, read_image
from finesight.models import Model
from finesight.queries import SearchRequest, part_name
from finesight.queries.grammar import take_apart
from finesight.queries.prompts import encode_typed
from finesight.scoring.calibration import Curve, content_words
from finesight.scoring.conjunctive import Conjunction
from finesight.store.snapshot import Snapshot
from finesight.types import WHOLE, Box, Float32, ImageVectors, Part


@dataclass(frozen=True)
class QueryVectors:
    """A query that can be scored: one row of vectors (m, d) and one weight (m,) per part.

    pooled: what pooled vectors are compared with (m, d), which may have a space of their own;
    names, texts: of each part, texts None for images; of_global: which parts (m,) are compared
    with whole images alone; left_out: the row ids of the images that these are. unread: which
    parts (m,) are texts of which the model knows no word. conjunction: how the parts belong
    together, where all of them should be there at once; else their weighted mean counts.
    descriptions, pooled_descriptions: texts that say what the query means (t, d), and the same in
    the space of the pooled vectors.
    """

    vectors: Float32
    weights: Float32
    pooled: Float32
    names: tuple[str, ...]
    texts: tuple[str | None, ...]
    of_global: np.ndarray
    unread: np.ndarray
    left_out: np.ndarray
    descriptions: Float32
    pooled_descriptions: Float32
    conjunction: Conjunction | None = None

    @staticmethod
    def of_text(vector: Float32, pooled: Float32 | None = None) -> "QueryVectors":
        """Return the query of a text's vector (d,), and of that in the pooled vectors' space."""
        one, none = vector[None], np.zeros((0, len(vector)), np.float32)
        no = np.zeros(1, bool)
        among = one if pooled is None else pooled[None]
        return QueryVectors(
            one, np.ones(1, np.float32), among, ("",), ("",), no, no, no[:0], none, none
        )

    @property
    def shares(self) -> Float32:
        """The weights (m,) scaled so that a score is a weighted mean of cosines."""
        return self.weights / np.abs(self.weights).sum()

    @property
    def wanted(self) -> np.ndarray:
        """The places of the parts that are not to be absent."""
        return np.flatnonzero(self.weights > 0)

    def texts_meant(self) -> "list[QueryVectors]":
        """Return the query of each description."""
        pairs = zip(self.descriptions, self.pooled_descriptions, strict=True)
        return [QueryVectors.of_text(*pair) for pair in pairs]


@dataclass(frozen=True)
class PooledSpace:
    """The space of pooled vectors that are not of the encoder's own, such as region fusion's.

    of_texts: makes query vectors of text embeddings (t, d); of_image: fuses one image.
    """

    of_texts: Callable[[Float32], Float32]
    of_image: Callable[[ImageVectors, int], Float32]

    def queries(self, vectors: Float32, is_text: Sequence[bool]) -> Float32:
        """Return vectors (m, d) of the encoder's space in this one; an image is its only region."""
        whole = np.array([WHOLE], np.float32)
        found = [np.zeros_like(vectors[:0])]
        for vector, text in zip(vectors[:, None], is_text, strict=True):
            image = ImageVectors(whole, vector)
            found.append(self.of_texts(vector) if text else self.of_image(image, 1))
        return np.concatenate(found)


def split_text(
    parts: tuple[Part, ...], curve: Curve
) -> tuple[tuple[Part, ...], Conjunction | None]:
    """Return the parts of a query of one text that asks for several things, and how they belong
    together; any other query's as they are.
    """
    if len(parts) != 1 or parts[0].text is None:
        return parts, None
    asked = take_apart(parts[0].text)
    if len(asked.phrases) < 2:
        return parts, None
    return (
        tuple(Part(text=each.text, weight=1.0 if each.wanted else -1.0) for each in asked.phrases),
        Conjunction.by(curve, asked.relations),
    )


def encode_request(
    request: SearchRequest,
    snapshot: Snapshot,
    model: Callable[[], Model],
    space: PooledSpace | None = None,
) -> QueryVectors:
    """Return the vectors of a request's parts, in their order.

    model: gives the model when it is needed, which parts near indexed images do not; space: that
    of the pooled vectors, where it is not the encoder's.
    Raises InputError where an image cannot be read or is not in the collection.
    """
    parts, conjunction = request.parts, None
    calibrator = snapshot.calibrator
    if calibrator and request.split == "auto" and request.by_regions and request.detail == 1:
        parts, conjunction = split_text(parts, calibrator.curves.cosine)
    encoded: Iterator[Float32] = iter(())
    if texts := [part.text for part in parts if part.text is not None]:
        prompts = model().prompts if request.prompts else ()
        encoded = iter(encode_texts(texts, model().encoder, prompts))
    left_out = [snapshot.row_id(part.near) for part in parts if part.near is not None]
    near = iter(snapshot.whole(left_out))

    def vector(part: Part) -> Float32:
        if part.image is not None:
            return _encode_image(part, model().encoder)
        return next(near if part.near is not None else encoded)

    vectors = np.stack([vector(part) for part in parts])
    is_text = [part.text is not None for part in parts]
    meant = np.zeros((0, vectors.shape[1]), np.float32)
    if request.descriptions:
        meant = encode_texts(request.descriptions, model().encoder)
    return QueryVectors(
        vectors=vectors,
        weights=np.array([part.weight for part in parts], np.float32),
        pooled=vectors if space is None else space.queries(vectors, is_text),
        names=tuple(part_name(part) for part in parts),
        texts=tuple(part.text for part in parts),
        of_global=np.array([part.near is not None for part in parts]),
        unread=np.array([p.text is not None and _unread(p.text, model().encoder) for p in parts]),
        left_out=np.array(left_out, np.uint64),
        descriptions=meant,
        pooled_descriptions=meant if space is None else space.queries(meant, [True] * len(meant)),
        conjunction=conjunction,
    )


def encode_texts(texts: Sequence[str], encoder: Encoder, prompts: Sequence[str] = ()) -> Float32:
    """Return the vectors (t, d) of texts, however long they are."""
    return encode_typed(texts, encoder.encode_texts, encoder.reads_whole, prompts)


def _unread(text: str, encoder: Encoder) -> bool:
    """Whether a model knows no word of a text that says what is meant."""
    unknown = {word for each in encoder.unknown_words(text) for word in content_words(each)}
    return bool(unknown) and content_words(text) <= unknown


def _encode_image(part: Part, encoder: Encoder) -> Float32:
    image = part.image
    if isinstance(image, Path):
        if not image.is_file():
            raise InputError(
                f"there is no image {image}: check the path, or write text:{image} to ask for "
                "these words"
            )
        try:
            image = read_image(image)
        except ImageError as error:
            raise InputError(f"{image}: {error}") from error
    assert image is not None
    image = image.convert("RGB")
    box = WHOLE if part.box is None else _normalised(part.box, image.size, part_name(part))
    return encode_boxes(image, encoder, np.array([box], np.float32)).embeddings[0]


def _normalised(box: Box, size: tuple[int, int], name: str) -> Box:
    """Return a box in 0..1; one with an edge above 1 is in pixels."""
    width, height = size
    if max(box) <= 1:
        return box
    if box[2] > width or box[3] > height:
        raise InputError(
            f"{name}: the box reaches out of the image, which has {width} x {height} pixels: give "
            "one inside it"
        )
    return normalised(box, width, height)
