"""The optimum of the query proxy loss for one image, without a network."""

import numpy as np

from finesight.scoring.similarity import normalise
from finesight.types import Float32, ImageVectors

# Towards the whole-image embedding: .01 follows the noise of the proxies, .5 forgets the detail.
PULL = 0.1


class ClosedForm:
    """Fusion to the one vector that best repeats the scores of some texts.

    With s = max_p T·P_p over the regions P of an image and v its whole-image embedding:
    F = argmin ‖T F − s‖² + λ ‖F − v‖², normalised (DetailCLIP's loss, METHODS.md 1, for free
    vectors).

    proxies: T (t, d), the texts' embeddings; pull: λ, times t / d so that it means the same for
    any number of texts.
    """

    def __init__(self, proxies: Float32, pull: float = PULL) -> None:
        texts = np.asarray(proxies, np.float64)
        count, width = texts.shape
        self._pull = pull * count / width
        self._inverse = np.linalg.inv(texts.T @ texts + self._pull * np.eye(width))
        self._texts = texts

    def __call__(self, seen: ImageVectors, k: int = 1) -> Float32:
        """Return one vector (1, d), whatever k is."""
        wanted = (seen.embeddings @ self._texts.T).max(axis=0)
        pulled = self._texts.T @ wanted + self._pull * seen.embeddings[0]
        return normalise(self._inverse @ pulled)[None]
