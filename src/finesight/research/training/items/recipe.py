"""How items are trained: the losses by name, their weights, and what decides a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from finesight.errors import InputError

LOSSES = ("arcface", "itc", "itm", "box", "mlm")
"""The losses by name."""

OF_WORDS = ("itc", "itm", "box", "mlm")
"""Those that need captions."""

OF_PAIRS = ("itm", "box", "mlm")
"""Those that need the cross-modal encoder, and so the tower's feature maps."""


@dataclass(frozen=True)
class ItemRecipe:
    """What decides a run besides its data.

    losses: their weights, by name; rate, tower_rate: the highest learning rates of what begins
    from nothing, and of towers that were trained before; unlabelled: the share of a batch whose
    things have a caption and no identity, where there are such; pairs: how many things of a batch
    the cross-modal encoder sees, at most, as it costs more than all else; patience: validations
    without a better one before it stops.
    """

    losses: Mapping[str, float] = field(default_factory=lambda: {"arcface": 1.0})
    steps: int = 300
    batch: int = 192
    rate: float = 1e-3
    tower_rate: float = 5e-4
    warm_up: int = 20
    weight_decay: float = 0.02
    unlabelled: float = 0.25
    pairs: int = 64
    validate_every: int = 30
    patience: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for losses that there are not, or none."""
        unknown = sorted(set(self.losses) - set(LOSSES))
        if unknown or not self.losses:
            raise InputError(
                f"unknown losses {', '.join(unknown) or '(none)'}: use some of {', '.join(LOSSES)}"
            )

    def needs(self, names: Sequence[str]) -> bool:
        """Whether any of some losses is asked for."""
        return any(name in self.losses for name in names)
