"""A token a noun: the longest name wins, however it is written."""

import pytest

from finesight.research.training.words.tokenizer import build_word_tokenizer

WORDS = ["dog", "hot dog", "st. bernard", "traffic light", "red"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a hot dog", ["a", "hot dog"]),
        ("Hot  DOG!", ["hot dog"]),
        ("a dog, hot", ["a", "dog", "[UNK]"]),
        ("St. Bernard", ["st bernard"]),
        ("red traffic-light", ["red", "traffic light"]),
        ("hot dogma", ["[UNK]", "[UNK]"]),
        ("", []),
    ],
)
def test_texts_are_cut_into_names(text, tokens):
    tokenizer, _ = build_word_tokenizer(WORDS)
    assert tokenizer.encode(text, add_special_tokens=False).tokens == tokens


def test_each_word_has_its_token():
    tokenizer, tokens = build_word_tokenizer(WORDS)
    assert set(tokens) == set(WORDS)
    assert tokenizer.id_to_token(tokens["st. bernard"]) == "st bernard"
