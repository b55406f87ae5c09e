"""The fusions that the experiments train: network, words, proxies and losses, by name."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from finesight.networks.fusion import FusionNetwork, FusionSettings, build_fusion
from finesight.training.fusion import FusionTraining
from finesight.training.proxies import TEMPLATES


@dataclass(frozen=True)
class Recipe:
    """One way to train a fusion.

    network: FusionSettings but for the width; proxies: how many of which kind a step; colors:
    whether "red mug" is a word beside "mug"; words: "named" classes or none.
    """

    network: dict
    proxies: dict[str, int]
    losses: dict[str, float]
    colors: bool = False
    templates: Sequence[str] = TEMPLATES
    validated: tuple[int, ...] = (1, 4, 8)
    options: dict = field(default_factory=dict)

    def settings(self, width: int) -> FusionSettings:
        """Return the network's settings for embeddings of width d."""
        return FusionSettings(width=width, **self.network)

    def build(self, width: int) -> FusionNetwork:
        """Return the untrained network."""
        return build_fusion(self.settings(width))

    def training(self, seed: int, epochs: int | None = None) -> FusionTraining:
        """Return the settings of a run, of fewer epochs where given."""
        options = {**self.options, **({"epochs": epochs} if epochs else {})}
        return FusionTraining(losses=self.losses, seed=seed, **options)

    def words(
        self, classes: Sequence[str], never_named: Sequence[str], colors: Sequence[str]
    ) -> list[str]:
        """Return the words to train with: no never-named class, alone or in a colour."""
        named = [name for name in classes if name not in never_named]
        if not self.colors:
            return named
        return named + [f"{color} {name}" for color in colors for name in named]


PAPER = {"kind": "transformer", "size": "tiny"}
CLUSTERS = {"kind": "clusters", "geometry": True, "vectors": 8}

RECIPES = {
    "paper": Recipe(PAPER, {"texts": 288}, {"mse": 1.0}, validated=(1,)),
}
