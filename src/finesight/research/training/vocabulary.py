"""The tokenizer of the small model: one token a word, written as the usual `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

PAD, UNKNOWN, BEGIN, END = "[PAD]", "[UNK]", "[BOS]", "[EOS]"
SPELLINGS = {"grey": "gray", "colour": "color"}


def build_tokenizer(words: Iterable[str], longest_text: int) -> Tokenizer:
    """A word-level tokenizer that ignores case, accents and punctuation, and pads each batch.

    Every text becomes begin, its words, end, at most `longest_text` tokens; a word that is not in
    `words` becomes the unknown token.
    """
    vocabulary = {token: index for index, token in enumerate((PAD, UNKNOWN, BEGIN, END))}
    for word in words:
        vocabulary.setdefault(word, len(vocabulary))
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            *(normalizers.Replace(other, ours) for other, ours in SPELLINGS.items()),
            normalizers.Replace(Regex(r"[\p{P}\p{S}]"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([PAD, UNKNOWN, BEGIN, END])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}",
        special_tokens=[(token, vocabulary[token]) for token in (BEGIN, END)],
    )
    tokenizer.enable_truncation(longest_text)
    tokenizer.enable_padding(pad_id=vocabulary[PAD], pad_token=PAD)
    return tokenizer


def words_of(texts: Iterable[str]) -> list[str]:
    """Return the words of some texts as `build_tokenizer` cuts them, sorted."""
    plain = build_tokenizer([], 1)
    found: set[str] = set()
    for text in texts:
        found.update(plain.normalizer.normalize_str(text).split())
    return sorted(found)


def tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return token ids and mask (t, w), as wide as the longest text."""
    found = tokenizer.encode_batch(list(texts))
    ids = torch.tensor([each.ids for each in found], dtype=torch.long)
    return ids, torch.tensor([each.attention_mask for each in found], dtype=torch.long)
