"""The space in which a classifier's images and words meet, of at most 512 numbers.

An image has three parts; appearance and colours are of length 1 before they are weighed, classes
of less where several are likely:

- its *appearance*: the classifier's features without their mean, in their principal directions.
  It ranks crowded photos best, in which several things show.
- its *classes*: the probabilities of all classes, in which every word competes with all others. A
  word is the set of its classes. There are more classes than numbers, so each class is one
  direction of a frame in which any two are nearly orthogonal, and leans a little to what it shares
  with others of its large groups, so that "dog" is more than 118 small chances.
- its *colours*: shares of twelve colours (research/networks/color_names.py).

Shapes: n classes, f features, p images, d width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finesight.scoring.similarity import normalise
from finesight.types import Float32

LARGE_GROUP = 12
"""Classes of a word from which on it has a share in the classes' directions."""


_NOTHING = 1e-6  # what rounding leaves of a class that is in no large group


@dataclass(frozen=True)
class SpaceSettings:
    """How the parts are weighed, each as a share of a vector's squared length.

    appearance: of an image, beside its classes; of_one: of a word that is one class; of_many: of a
    word of several classes, whose mean appearance says less; colors: of an image, beside all else;
    color_word: length of a colour's vector, beside 1 of a noun's; directions, axes: numbers for
    appearance and classes, where there are so many; shared: of the axes those of large groups, and
    shared_part their share of a class's direction; rounds: of making the frame.
    """

    appearance: float = 0.4
    of_one: float = 0.4
    of_many: float = 0.15
    colors: float = 0.12
    color_word: float = 1.0
    directions: int = 128
    axes: int = 352
    shared: int = 32
    shared_part: float = 0.05
    rounds: int = 100
    seed: int = 0


@dataclass(frozen=True)
class WordSpace:
    """What makes vectors of features, class probabilities, and words.

    mean (f,) and directions (f, k): of the appearance, None without images to learn them from;
    frame (n, a): each class's direction; rows (n, k): each class's appearance.
    """

    frame: Float32
    settings: SpaceSettings
    mean: Float32 | None = None
    directions: Float32 | None = None
    rows: Float32 | None = None

    @property
    def appearance(self) -> float:
        """The share of an image's appearance beside its classes, 0 without one."""
        return 0.0 if self.directions is None else self.settings.appearance

    def of_group(self, classes: Sequence[int]) -> Float32:
        """Return the vector of a word that stands for classes, without its colours' part."""
        direction = normalise(self.frame[list(classes)].mean(axis=0))
        if self.rows is None:
            return direction
        share = self.settings.of_one if len(classes) == 1 else self.settings.of_many
        appearance = normalise(self.rows[list(classes)].mean(axis=0))
        return np.concatenate([share**0.5 * appearance, (1 - share) ** 0.5 * direction])


def make_space(
    weights: Float32,
    groups: Sequence[Sequence[int]],
    features: Float32 | None,
    settings: SpaceSettings,
) -> WordSpace:
    """Return the space of a classifier of weights (n, f) and the features (p, f) of some images.

    groups: the classes that each word stands for. Without images, the appearance is left out: its
    mean is not known.
    """
    frame = _class_frame(len(weights), groups, settings)
    if features is None:
        return WordSpace(frame, settings)
    mean = features.mean(axis=0)
    rows = normalise(weights - weights.mean(axis=0))
    # The directions in which images and classes differ, both: of the images alone, rare classes
    # are lost; of the classes alone, crowded photos rank worse.
    both = np.concatenate([normalise(features - mean), rows])
    directions = np.linalg.svd(both, full_matrices=False)[2][: settings.directions].T
    directions = np.ascontiguousarray(directions, np.float32)
    return WordSpace(frame, settings, mean, directions, normalise(rows @ directions))


def _class_frame(count: int, groups: Sequence[Sequence[int]], settings: SpaceSettings) -> Float32:
    """Return each class's direction (n, a): one of its own, and what its large groups share."""
    large = [list(group) for group in groups if len(group) >= LARGE_GROUP]
    if count <= settings.axes or len(large) < settings.shared:
        return make_frame(count, settings.axes, settings.rounds, settings.seed)
    members = np.zeros((len(large), count))
    for row, group in zip(members, large, strict=True):
        row[group] = len(group) ** -0.5
    values, vectors = np.linalg.eigh(members.T @ members)
    strongest = slice(-settings.shared, None)
    common = vectors[:, strongest] * np.maximum(values[strongest], 0) ** 0.25
    lengths = np.linalg.norm(common, axis=1, keepdims=True)
    in_group = lengths > _NOTHING
    common = np.where(in_group, common / np.maximum(lengths, _NOTHING), 0)
    own = make_frame(count, settings.axes - settings.shared, settings.rounds, settings.seed)
    part = settings.shared_part * in_group
    return np.concatenate([part**0.5 * common, (1 - part) ** 0.5 * own], axis=1, dtype=np.float32)


def make_frame(count: int, axes: int, rounds: int, seed: int = 0) -> Float32:
    """Return unit vectors (count, axes), any two of them nearly orthogonal.

    Their products are cut to what is possible (Welch 1974: no set of n unit vectors in a numbers
    has a smaller root mean square than sqrt((n − a) / (a (n − 1)))), and brought back to rank a, in
    turn: the alternating projection of Tropp et al. 2005, "Designing structured tight frames".
    """
    if count <= axes:
        return np.eye(count, dtype=np.float32)
    frame = np.random.default_rng(seed).normal(size=(count, axes))
    frame /= np.linalg.norm(frame, axis=1, keepdims=True)
    least = 0.9 * np.sqrt((count - axes) / (axes * (count - 1)))
    for _ in range(rounds):
        products = np.clip(frame @ frame.T, -least, least)
        np.fill_diagonal(products, 1)
        values, vectors = np.linalg.eigh(products)
        frame = vectors[:, -axes:] * np.sqrt(np.maximum(values[-axes:], 0))
        frame /= np.linalg.norm(frame, axis=1, keepdims=True)
    return frame.astype(np.float32)
