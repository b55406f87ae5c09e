import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finesight.queries.prompts import encode_typed, fill_prompts, pieces
from finesight.scoring.similarity import normalise


def encode(texts):
    rows = [np.random.default_rng(sum(map(ord, text))).normal(size=6) for text in texts]
    return normalise(np.stack(rows))


def reads(words):
    return lambda text: len(text.split()) <= words


def test_texts_are_encoded_as_typed():
    texts = ["Red MUG ", "a photo of a mug"]
    assert encode_typed(texts, encode, reads(10)).tolist() == encode(texts).tolist()


def test_an_ensemble_is_the_mean_of_its_prompts():
    found = encode_typed(["mug"], encode, reads(10), ["a photo of a {}", "{}"])
    expected = normalise(encode(["a photo of a mug", "mug"]).mean(axis=0))
    assert found[0] == pytest.approx(expected, abs=1e-6)


def test_prompts_keep_the_spelling_and_mind_the_article():
    assert fill_prompts("The Orange", ["a photo of a {}"]) == ["a photo of an Orange"]
    sentence = "a man who walks his dog along the beach"
    assert fill_prompts(sentence, ["a photo of a {}"]) == [sentence]


def test_a_long_text_is_split_where_sentences_end_then_at_clauses():
    text = "one two three. four five, six seven"
    assert pieces(text, reads(4)) == ["one two three.", "four five, six seven"]
    assert pieces(text, reads(3)) == ["one two three.", "four five,", "six seven"]


@given(
    st.lists(st.text("abc,.", min_size=1, max_size=6), min_size=1, max_size=30), st.integers(1, 9)
)
def test_nothing_of_a_long_text_is_left_out(words, most):
    text = " ".join(words)
    found = pieces(text, reads(most))
    assert " ".join(found).split() == text.split()
    assert all(len(piece.split()) <= most for piece in found)


def test_a_word_that_does_not_fit_stays():
    assert pieces("Donaudampfschifffahrt", lambda text: False) == ["Donaudampfschifffahrt"]


def test_the_pieces_of_a_long_text_count_by_their_words():
    found = encode_typed(["one two. three"], encode, reads(2))
    expected = normalise(2 * encode(["one two."])[0] + encode(["three"])[0])
    assert found[0] == pytest.approx(expected, abs=1e-6)
