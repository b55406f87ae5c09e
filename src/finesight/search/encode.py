"""Turns a query into vectors: texts and images are encoded, indexed images looked up."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lance
import numpy as np
from PIL import Image

from finesight.encoders import Encoder
from finesight.encoders.crops import encode_boxes
from finesight.errors import InputError
from finesight.images.open import ImageError, read_image
from finesight.queries import checked, part_name
from finesight.queries.grammar import take_apart
from finesight.queries.prompts import encode_typed
from finesight.scoring.calibration import Curve, content_words
from finesight.scoring.conjunctive import Together
from finesight.scoring.similarity import normalise
from finesight.store.conditions import quoted
from finesight.store.schema import unpack_whole
from finesight.types import WHOLE, Box, Float32, ImageVectors, Part, Query

Asked = str | Path | Image.Image | Query | Sequence[Part]
"""What can be searched for: a text as typed, an image file, pixels, or several parts."""


@dataclass(frozen=True)
class QueryVectors:
    """A query that can be scored: one row of vectors (m, d) and one weight (m,) a part.

    whole: which parts (m,) are compared with whole images alone, not with the best region;
    left_out: the paths of the images that these are. text: the wanted texts, for their words.
    detail: how much the best region counts, from 0 to 1; the rest counts the whole image.
    fused: what fused vectors are compared with (m, d), where these have a space of their own.
    texts: of each part, None for images. together: how the parts belong together, where all of
    them should be there at once; else their weighted mean counts. unread: of each part, whether
    it is a text of which the model knows no word.
    """

    vectors: Float32
    weights: Float32
    names: tuple[str, ...]
    whole: tuple[bool, ...]
    left_out: frozenset[str] = frozenset()
    text: str = ""
    detail: float = 1.0
    together: Together | None = None
    texts: tuple[str | None, ...] = ()
    unread: tuple[bool, ...] = ()
    fused: Float32 | None = None

    @property
    def for_fused(self) -> Float32:
        """What fused vectors are compared with (m, d)."""
        return self.vectors if self.fused is None else self.fused

    @property
    def shares(self) -> Float32:
        """The weights (m,) scaled so that a score is a weighted mean of cosines."""
        return self.weights / np.abs(self.weights).sum()


@dataclass(frozen=True)
class FusedSpace:
    """The space of fused vectors that are not of the encoder's own, such as region fusion's.

    of_texts: makes query vectors of text embeddings (t, d); of_image: fuses one image.
    """

    of_texts: Callable[[Float32], Float32]
    of_image: Callable[[ImageVectors, int], Float32]

    def queries(self, vectors: Float32, is_text: Sequence[bool]) -> Float32:
        """Return vectors (m, d) of the encoder's space in this one; an image is its only region."""
        whole = np.array([WHOLE], np.float32)
        found = [
            self.of_texts(vector[None])
            if text
            else self.of_image(ImageVectors(whole, vector[None]), 1)
            for vector, text in zip(vectors, is_text, strict=True)
        ]
        return np.concatenate(found)


def as_query(asked: Asked | None, near: Path | str | None = None) -> Query:
    """Return what was asked as a query, `near` as one more part; raises InputError for none."""
    if asked is None:
        parts: tuple[Part, ...] = ()
    elif isinstance(asked, Query):
        parts = asked.parts
    elif isinstance(asked, str):
        parts = (Part(text=asked),)
    elif isinstance(asked, Path | Image.Image):
        parts = (Part(image=asked),)
    else:
        parts = tuple(asked)
    if near is not None:
        parts = (*parts, Part(near=Path(near).expanduser()))
    return checked(Query(parts))


def take_query_apart(query: Query, curve: Curve) -> tuple[Query, Together | None]:
    """Return a query of one text that asks for several things as their parts, and how they belong
    together; any other query as it is.
    """
    if len(query.parts) != 1 or query.parts[0].text is None:
        return query, None
    asked = take_apart(query.parts[0].text)
    if len(asked.phrases) < 2:
        return query, None
    parts = tuple(
        Part(text=each.text, weight=1.0 if each.wanted else -1.0) for each in asked.phrases
    )
    return Query(parts), Together.by(curve, asked.relations)


def encode_query(
    query: Query,
    encoder: Callable[[], Encoder],
    dataset: lance.LanceDataset,
    prompts: Sequence[str] = (),
    space: FusedSpace | None = None,
) -> QueryVectors:
    """Return the vectors of a query's parts, in their order.

    encoder: gives the encoder when it is needed, which parts near indexed images do not. prompts:
    templates whose vectors are averaged, where texts are not to be encoded as typed. space: that
    of the fused vectors, where it is not the encoder's.
    Raises InputError where an image cannot be read or is not in the collection.
    """
    texts = [part.text for part in query.parts if part.text is not None]
    encoded: Iterator[Float32] = iter(encode_texts(texts, encoder(), prompts) if texts else [])
    vectors = []
    left_out = []
    for part in query.parts:
        if part.text is not None:
            vectors.append(next(encoded))
        elif part.near is not None:
            left_out.append(indexed_path(part.near, dataset))
            vectors.append(_stored(left_out[-1], dataset))
        else:
            vectors.append(_encode_image(part, encoder()))
    is_text = [part.text is not None for part in query.parts]
    return QueryVectors(
        np.stack(vectors),
        weights=np.array([part.weight for part in query.parts], np.float32),
        names=tuple(part_name(part) for part in query.parts),
        whole=tuple(part.near is not None for part in query.parts),
        left_out=frozenset(left_out),
        text=" ".join(part.text for part in query.parts if part.text and part.weight > 0),
        fused=None if space is None else space.queries(np.stack(vectors), is_text),
        texts=tuple(part.text for part in query.parts),
        unread=tuple(bool(part.text) and _unread(part.text, encoder()) for part in query.parts),
    )


def encode_texts(texts: Sequence[str], encoder: Encoder, prompts: Sequence[str] = ()) -> Float32:
    """Return the vectors (t, d) of texts, however long they are."""
    return encode_typed(texts, encoder.encode_texts, encoder.reads_whole, prompts)


def _unread(text: str | None, encoder: Encoder) -> bool:
    """Whether a model knows no word of a text that says what is meant."""
    if text is None:
        return False
    unknown = {word for each in encoder.unknown_words(text) for word in content_words(each)}
    return bool(unknown) and content_words(text) <= unknown


def indexed_path(path: Path, dataset: lance.LanceDataset) -> str:
    """Return the path by which an image is indexed: as given, or made absolute."""
    for each in dict.fromkeys((str(path), str(path.absolute()), str(path.resolve()))):
        if dataset.count_rows(filter=f"path = {quoted(each)}"):
            return each
    raise InputError(
        f"{path} is not in the collection: index it first, or give it as the query itself"
    )


def _stored(path: str, dataset: lance.LanceDataset) -> Float32:
    """Return the whole-image embedding (d,) of an indexed image."""
    row = dataset.to_table(columns=["whole"], filter=f"path = {quoted(path)}", limit=1)
    return normalise(unpack_whole(row["whole"].combine_chunks())[0])


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
    if max(box) <= 1:
        return box
    width, height = size
    x0, y0, x1, y1 = box
    if x1 > width or y1 > height:
        raise InputError(
            f"{name}: the box reaches out of the image, which has {width} x {height} pixels: give "
            "one inside it"
        )
    return x0 / width, y0 / height, x1 / width, y1 / height
