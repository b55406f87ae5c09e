"""The tokenizer of a model of words: a token a noun, also where it is several words."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, normalizers

from finesight.research.training.vocabulary import build_tokenizer

LONGEST_TEXT = 48  # in tokens

SILENT = (
    "a an the of in on at with and or to is are there this that it its my your his her their our "
    "photo photos picture pictures image images view some one"
)
"""Words that say nothing of what is shown: known, with a vector of zeros."""


def build_word_tokenizer(words: Iterable[str]) -> tuple[Tokenizer, dict[str, int]]:
    """Return a tokenizer of words and of names of several words, and each one's token.

    Case, accents and punctuation are ignored; the longest name wins, so that "hot dog" is not a
    dog. A word that is not known becomes the unknown token.
    """
    plain = _with_single_spaces(build_tokenizer([], LONGEST_TEXT))
    normalised = {word: plain.normalizer.normalize_str(word).strip() for word in words}
    single = sorted({each for each in normalised.values() if each and " " not in each})
    several = sorted({each for each in normalised.values() if " " in each})
    tokenizer = _with_single_spaces(build_tokenizer([*SILENT.split(), *single], LONGEST_TEXT))
    tokenizer.add_tokens([AddedToken(each, single_word=True, normalized=True) for each in several])
    tokens = {word: tokenizer.token_to_id(each) for word, each in normalised.items()}
    return tokenizer, {word: token for word, token in tokens.items() if token is not None}


def _with_single_spaces(tokenizer: Tokenizer) -> Tokenizer:
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([tokenizer.normalizer, spaces])
    return tokenizer
