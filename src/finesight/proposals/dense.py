"""Look at an image through one larger canvas: many windows in one pass of the encoder."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from finesight.encoders.dense import DenseTower
from finesight.types import Float32


def read_densely(
    image: Image.Image, tower: DenseTower, canvas: int, shares: Sequence[float] = (1.0,)
) -> tuple[Float32, Float32]:
    """Return boxes (p, 4) and embeddings (p, d) of all windows of some sizes.

    canvas: side in pixels of the square that the image is squashed to; shares: sides of the
    windows over the tower's input, where 1 shows a thing as large as a crop of that size would.
    Windows overlap by three quarters. It costs (canvas / input)² passes.
    """
    pixels = np.asarray(image.resize((canvas, canvas), tower.preprocessing.resample))
    input_cells = tower.preprocessing.side / tower.stride
    cells = {min(max(1, round(share * input_cells)), canvas // tower.stride) for share in shares}
    return tower.read(pixels, sorted(cells, reverse=True))
