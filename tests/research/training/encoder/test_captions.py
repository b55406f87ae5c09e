"""Captions: articles, plurals, determinism, and a vocabulary that covers them."""

import numpy as np
import pytest

from finesight.research.training.encoder.concepts import (
    TEMPLATES,
    Concept,
    Concepts,
    article,
    caption,
    fill,
    plural,
    words,
)
from finesight.research.training.vocabulary import build_tokenizer

CLASSES, COLORS = ("mug", "traffic cone", "hourglass"), ("red", "gray")


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("mug", "a"),
        ("orange mug", "an"),
        ("hourglass", "an"),
        ("unicycle", "a"),
        ("umbrella", "an"),
        ("[UNK] mug", "a"),
    ],
)
def test_article(noun, expected):
    assert article(noun) == expected


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("red mug", "red mugs"),
        ("box", "boxes"),
        ("torch", "torches"),
        ("toy", "toys"),
        ("berry", "berries"),
        ("bus", "buses"),
        ("knife", "knives"),
        ("red headphones", "red headphones"),
    ],
)
def test_plural(noun, expected):
    assert plural(noun) == expected


def test_templates_are_filled():
    said = [fill(template, "orange mug") for template in TEMPLATES]
    assert {"orange mug", "an orange mug", "a photo of an orange mug", "photos of orange mugs"} <= {
        *said
    }
    assert not any("{" in text for text in said)


def test_the_generator_decides_the_caption():
    concepts = Concepts(CLASSES, COLORS).all
    first, second = ([caption(c, np.random.default_rng(5)) for c in concepts] for _ in range(2))
    assert first == second
    rng = np.random.default_rng(5)
    assert len({caption(concepts[2], rng) for _ in range(50)}) > 10


def test_a_caption_says_its_concept_and_no_other():
    rng = np.random.default_rng(0)

    def said(*about):
        text = caption(Concept(*about), rng).split()
        return "red" in text, "mug" in text or "mugs" in text

    for _ in range(50):
        assert said("pair", "mug", "red") == (True, True)
        assert said("class", "mug") == (False, True)
        assert said("color", "", "red") == (True, False)
        assert said("nothing") == said("part") == (False, False)


def test_the_vocabulary_covers_every_caption():
    tokenizer = build_tokenizer(words(CLASSES, COLORS), 24)
    unknown = tokenizer.token_to_id("[UNK]")
    rng = np.random.default_rng(0)
    for concept in Concepts(CLASSES, COLORS).all * 20:
        text = caption(concept, rng)
        assert (unknown in tokenizer.encode(text).ids) == ("[UNK]" in text), text


@pytest.mark.parametrize(
    "text", ["Red Mug", "red mug!", "réd  mug", "red-mug", '"red" mug', "\tred mug\n"]
)
def test_spelling_does_not_matter(text):
    tokenizer = build_tokenizer(words(CLASSES, COLORS), 24)
    assert tokenizer.encode(text).tokens == ["[BOS]", "red", "mug", "[EOS]"]


def test_grey_is_gray_and_other_words_are_unknown():
    tokenizer = build_tokenizer(words(CLASSES, COLORS), 24)
    assert tokenizer.encode("grey zebra").tokens == ["[BOS]", "gray", "[UNK]", "[EOS]"]


def test_long_texts_are_cut_and_batches_padded():
    tokenizer = build_tokenizer(words(CLASSES, COLORS), 24)
    long, short = tokenizer.encode_batch(["mug " * 100, "mug"])
    assert len(long.ids) == len(short.ids) == 24
    assert long.tokens[-1] == "[EOS]"
    assert sum(short.attention_mask) == 3
