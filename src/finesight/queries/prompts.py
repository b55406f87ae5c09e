"""Turns texts into vectors: several prompts averaged, long texts in pieces, spelling as typed."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from finesight.queries.lexicon import DETERMINERS
from finesight.scoring.similarity import normalise
from finesight.types import Float32

SHORT = 5
"""Words up to which a text is a thing that fits into a prompt; more are a sentence."""

_ENDS = (
    r"(?<=[.!?;:])\s+",
    r"(?<=,)\s+",
    r"\s+(?=and |with |while |next |beside |behind )",
    r"\s+",
)

Encode = Callable[[Sequence[str]], Float32]
Fits = Callable[[str], bool]


def encode_typed(
    texts: Sequence[str], encode: Encode, fits: Fits, prompts: Sequence[str] = ()
) -> Float32:
    """Return one vector (t, d) of length 1 a text.

    prompts: templates with one {}, whose vectors are averaged, for texts of a few words; without
    any, texts are encoded as typed. A text that the model cannot read whole is split: its vector
    is the mean of its pieces', each as heavy as it has words.
    """
    said = [
        (phrase, owner, len(piece.split()))
        for owner, text in enumerate(texts)
        for piece in pieces(text, fits)
        for phrase in fill_prompts(piece, prompts)
    ]
    vectors = encode([phrase for phrase, _, _ in said])
    if len(said) == len(texts):
        return vectors
    sums = np.zeros((len(texts), vectors.shape[1]), np.float32)
    for vector, (_, owner, words) in zip(vectors, said, strict=True):
        sums[owner] += np.float32(words) * vector
    return normalise(sums)


def fill_prompts(text: str, prompts: Sequence[str]) -> list[str]:
    """Return a text in every prompt, with the article that it asks for; a longer one as it is."""
    words = text.split()
    bare = words[1:] if words and words[0].lower() in DETERMINERS else words
    if not prompts or not 0 < len(bare) <= SHORT:
        return [text]
    name = " ".join(bare)
    filled = [prompt.format(name) for prompt in prompts]
    if name[0].lower() in "aeiou":
        filled = [each.replace(f" a {name}", f" an {name}") for each in filled]
    return filled


def pieces(text: str, fits: Fits) -> list[str]:
    """Split a text that does not fit, at sentences, else at clauses, else between words.

    Neighbouring pieces stay together as far as they fit; nothing is left out. A single word that
    does not fit stays as it is.
    """
    if fits(text):
        return [text]
    for end in _ENDS:
        parts = [part for part in re.split(end, text.strip()) if part]
        if len(parts) > 1:
            smaller = [piece for part in parts for piece in pieces(part, fits)]
            whole: list[str] = []
            for piece in smaller:
                if whole and fits(f"{whole[-1]} {piece}"):
                    whole[-1] = f"{whole[-1]} {piece}"
                else:
                    whole.append(piece)
            return whole
    return [text]
