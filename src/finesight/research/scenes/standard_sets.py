"""The sets on which this project trains and measures, by name."""

from finesight.research.scenes.sampling import Recipe

# A look does not change what is drawn from a seed, so sets that are used together have their own.
STANDARD_SETS: dict[str, tuple[Recipe, int]] = {
    "objects-plain": (Recipe("objects", 1, "train"), 80),
    "objects-textured": (Recipe("objects", 11, "train", look="textured"), 80),
    "val-textured": (Recipe(seed=2, split="val", look="textured"), 200),
    "val-plain": (Recipe(seed=12, split="val"), 100),
    "train-textured": (Recipe(seed=1, split="train", look="textured"), 1000),
    "train-plain": (Recipe(seed=11, split="train"), 500),
    "test-textured": (Recipe(seed=3, split="test", look="textured"), 1000),
    "test-plain": (Recipe(seed=13, split="test"), 400),
    "items-val": (Recipe("identities", 22, "val", 480, look="textured"), 240),
    "items-train": (Recipe("identities", 21, "train", 480, look="textured"), 2400),
    "items-test": (Recipe("identities", 23, "test", 480, look="textured"), 1344),
}
"""The recipe of each set and how many images belong to it: training 1,500 scenes, validation 300,
test 1,400, sheets of objects to train encoders on, and shop and user images of 600, 60 and 336
items."""
