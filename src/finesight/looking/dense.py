"""Look at an image through the feature map of one larger canvas: many windows in one pass."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from finesight.encoders import Encoder
from finesight.encoders.dense import DenseTower
from finesight.looking.crops import look_at
from finesight.types import WHOLE, Float32, ImageVectors


def look_densely(
    image: Image.Image,
    encoder: Encoder,
    tower: DenseTower,
    canvas: int,
    shares: Sequence[float] = (1.0,),
) -> ImageVectors:
    """Return the whole image and all windows of some sizes, read from the map of one canvas.

    canvas: side in pixels of the square that the image is squashed to; shares: sides of the
    windows over the tower's input, where 1 shows a thing as large as a crop of that size would.
    Windows overlap by three quarters. It costs (canvas / input)² passes and one for the whole.
    """
    whole = look_at(image, encoder, np.array([WHOLE], np.float32))
    pixels = np.asarray(image.resize((canvas, canvas), encoder.preprocessing.resample))
    found = tower.maps(pixels[None])[0]
    boxes: list[Float32] = [whole.boxes]
    embeddings: list[Float32] = [whole.embeddings]
    for share in shares:
        cells = max(1, round(share * encoder.preprocessing.side / tower.stride))
        if cells > min(found.shape[1:]):
            continue
        windows, seen = tower.windows(found, cells, max(1, cells // 4))
        boxes.append(windows)
        embeddings.append(seen)
    return ImageVectors(np.concatenate(boxes), np.concatenate(embeddings))
