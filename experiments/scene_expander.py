"""Stands in for a language model where there is none: rewrites queries over the scene vocabulary.

It does what published expansions do (Flickr30K-CFQ's enhanced queries): says the same in other
words, in words that the encoder may not know, describes single things of a sentence, adds context
that nobody asked for, invents, and gets things wrong.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from finesight.research.scenes.words import Meaning, Noun

SYNONYMS = {
    "airplane": "jet", "bag": "handbag", "basket": "hamper", "bathtub": "tub", "bed": "bunk",
    "bench": "pew", "birdhouse": "nesting box", "bookshelf": "bookcase", "bottle": "flask",
    "bowl": "dish", "bus": "coach", "cabinet": "cupboard", "camera": "camcorder", "cap": "hat",
    "car": "automobile", "chair": "seat", "clock": "timepiece", "faucet": "tap",
    "flowerpot": "planter", "guitar": "ukulele", "headphones": "headset", "helmet": "hard hat",
    "jar": "canister", "keyboard": "keypad", "knife": "blade", "lamp": "lantern",
    "laptop": "notebook", "loudspeaker": "speaker", "mailbox": "letterbox", "microphone": "mike",
    "microwave": "oven", "monitor": "screen", "motorcycle": "motorbike", "mug": "cup",
    "piano": "pianoforte", "pillow": "cushion", "pistol": "handgun", "printer": "copier",
    "remote control": "remote", "rifle": "gun", "rocket": "missile", "sailboat": "yacht",
    "skateboard": "longboard", "sofa": "couch", "stove": "cooker", "table": "desk",
    "telephone": "phone", "tower": "spire", "train": "locomotive", "trash can": "dustbin",
    "washing machine": "washer",
}  # fmt: skip
"""What people also call the classes; few of these words are known to mini."""

CONTEXT = (
    "on the ground in bright light",
    "in the background of a busy scene",
    "standing on a textured floor",
    "with a soft shadow beside it",
    "seen from above",
)

_SHARES = {"paraphrase": 3, "thing": 3, "synonym": 1, "context": 2, "invented": 1, "wrong": 1}
"""How often each kind of description is drawn, of eleven."""


class SceneExpander:
    """Writes descriptions of a query; the text and the seed alone decide which."""

    def __init__(self, classes: Sequence[str], colors: Sequence[str], seed: int = 0) -> None:
        self.classes = tuple(classes)
        self.colors = tuple(colors)
        self.seed = seed

    def expand(self, text: str, meaning: Meaning, count: int = 8) -> list[tuple[str, str]]:
        """Return `count` pairs of kind and description."""
        rng = np.random.default_rng([self.seed, zlib.crc32(text.encode())])
        weights = np.array(list(_SHARES.values())) / sum(_SHARES.values())
        kinds = rng.choice(list(_SHARES), count, p=weights)
        return [(str(kind), self._say(str(kind), meaning, rng)) for kind in kinds]

    def _say(self, kind: str, meaning: Meaning, rng: np.random.Generator) -> str:
        noun = meaning.nouns[int(rng.integers(len(meaning.nouns)))]
        if kind == "paraphrase":
            opening = rng.choice(["a photo of {}", "an image that shows {}", "there is {}", "{}"])
            return str(opening).format(" and ".join(_phrase(each) for each in meaning.nouns))
        if kind == "thing":
            return f"there is {_phrase(noun)} in the image"
        if kind == "synonym":
            return f"a photo of {_phrase(noun, SYNONYMS.get(noun.class_name))}"
        if kind == "context":
            return f"{_phrase(noun)} {rng.choice(CONTEXT)}"
        if kind == "invented":
            other = Noun(str(rng.choice(self.classes)), str(rng.choice(self.colors)))
            return f"there is also {_phrase(other)} in the image"
        colors = [color for color in self.colors if color != noun.color]
        return f"a photo of {_phrase(Noun(noun.class_name, str(rng.choice(colors))))}"


def _phrase(noun: Noun, name: str | None = None) -> str:
    parts = (noun.size, noun.color, noun.material, name or noun.class_name)
    text = " ".join(filter(None, parts))
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"
