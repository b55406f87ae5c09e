"""The sets on which this project trains and measures, by name."""

from dataclasses import dataclass

from finesight.research.scenes.sampling import Recipe


@dataclass(frozen=True)
class StandardSet:
    """A recipe and how many images belong to the set."""

    recipe: Recipe
    images: int


# A look does not change what is drawn from a seed, so sets that are used together have their own.
STANDARD_SETS = {
    "objects-plain": StandardSet(Recipe("objects", 1, "train"), 80),
    "objects-textured": StandardSet(Recipe("objects", 11, "train", look="textured"), 80),
    "val-textured": StandardSet(Recipe(seed=2, split="val", look="textured"), 200),
    "val-plain": StandardSet(Recipe(seed=12, split="val"), 100),
    "train-textured": StandardSet(Recipe(seed=1, split="train", look="textured"), 1000),
    "train-plain": StandardSet(Recipe(seed=11, split="train"), 500),
    "test-textured": StandardSet(Recipe(seed=3, split="test", look="textured"), 1000),
    "test-plain": StandardSet(Recipe(seed=13, split="test"), 400),
    "items-val": StandardSet(Recipe("identities", 22, "val", 480, look="textured"), 240),
    "items-train": StandardSet(Recipe("identities", 21, "train", 480, look="textured"), 2400),
    "items-test": StandardSet(Recipe("identities", 23, "test", 480, look="textured"), 1344),
}
"""Training 1,500 scenes, validation 300, test 1,400, sheets of objects to train encoders on, and
shop and user images of 600, 60 and 336 items."""
