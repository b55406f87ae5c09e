"""Look at an image by cutting every region out of the full-resolution pixels and encoding it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from finesight.encoders import Encoder
from finesight.proposals.geometry import Regions
from finesight.types import Float32, ImageVectors


def look(image: Image.Image, encoder: Encoder, regions: Regions) -> ImageVectors:
    """Return the boxes of a scheme and their embeddings in one RGB image."""
    return encode_boxes(image, encoder, regions(*image.size))


def encode_boxes(image: Image.Image, encoder: Encoder, boxes: Float32) -> ImageVectors:
    """Return the embeddings of given boxes (p, 4), normalised xyxy, in one RGB image."""
    crops = encoder.preprocessing.cut(image, boxes)
    return ImageVectors(np.asarray(boxes, np.float32), encoder.encode_images(crops))


def encode_cut(encoder: Encoder, crops: Sequence[np.ndarray]) -> list[Float32]:
    """Encode the crops of several images in one go: each (p, side, side, 3) to (p, d)."""
    embeddings = encoder.encode_images(np.concatenate(list(crops)))
    return np.split(embeddings, np.cumsum([len(c) for c in crops])[:-1])
