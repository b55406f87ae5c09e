"""Any pixels as 8-bit RGB: transparency on white, 16-bit and floating-point samples scaled."""

import numpy as np
from PIL import Image


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode in RGB."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(ground, image).convert("RGB")
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit samples by their range, 32-bit and float samples by what they hold."""
    samples = np.asarray(image, dtype=np.float32)
    if image.mode.startswith("I;16") or (
        samples.size and samples.min() >= 0 and 255 < samples.max() <= 65535
    ):
        samples = samples / 257.0
    elif samples.size and (samples.min() < 0 or samples.max() > 255):
        low, high = float(samples.min()), float(samples.max())
        samples = (samples - low) * (255.0 / (high - low))
    return Image.fromarray(np.clip(np.rint(samples), 0, 255).astype(np.uint8))
