"""From an image and boxes to the square crops that an encoder was trained on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from finesight.errors import DataError
from finesight.types import Float32, UInt8

# A crop is cut from a copy of the image shrunk by 2, 4, 8 ... as long as this many source
# pixels are left for each pixel of the crop: the pyramid spares most of the reading, and the
# filter that follows is wide enough to hide it (Pillow's `reducing_gap` rests on the same).
_GAP = 2.0
# A decoder that shrinks needs less: it averages well. Against a full decode, crops differ by less
# than half a grey level in the mean (benchmarks/encode.py has what it saves).
_DECODED_GAP = 1.5


FITS = ("squash", "pad", "crop")
"""How a region that is not square becomes one: squashed; whole, between bars of the model's mean
colour; or only its middle, as the processors of CLIP do."""


@dataclass(frozen=True)
class Preprocessing:
    """How one model wants its pixels.

    side: of the square input, pixels; mean and std: of the pixels after `factor` and `offset`;
    resample: Pillow's filter; fit: one of FITS. Squash is the default also where the model's own
    processor crops the centre, so that nothing is ever cut from a region or from the whole image
    unless it is asked for; `shortest` is the shorter side before that crop.
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: Image.Resampling = Image.Resampling.BICUBIC
    fit: str = "squash"
    shortest: int | None = None
    factor: float = 1 / 255
    offset: float = 0.0

    @staticmethod
    def read(path: Path, fit: str = "squash") -> "Preprocessing":
        """Read a `preprocessor_config.json` of the hub; raises DataError where it lacks a part."""
        if fit not in FITS:
            raise DataError(f"{path.parent}: unknown fit {fit!r}, use one of {', '.join(FITS)}")
        try:
            config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            config = config.get("image_processor", config)  # processor_config.json nests it
            cropped = config.get("do_center_crop", "crop_size" in config)
            size = _side(config["size"])
            side = _side(config["crop_size"]) if cropped else size
            normalised = config.get("do_normalize", True)
            mean = _three(config["image_mean"]) if normalised else (0.0, 0.0, 0.0)
            std = _three(config["image_std"]) if normalised else (1.0, 1.0, 1.0)
            factor, offset = 1.0, 0.0
            if config.get("do_rescale", True):
                factor = float(config.get("rescale_factor", 1 / 255))
                # EfficientNet's processor (ALIGN) scales to -1..1 and means it by a flag.
                offset = -1.0 if config.get("rescale_offset") else 0.0
            resample = Image.Resampling(config.get("resample", Image.Resampling.BICUBIC))
            return Preprocessing(side, mean, std, resample, fit, size, factor, offset)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is missing, damaged or of an unknown kind ({error}): "
                "download or export the model again"
            ) from error

    def shrink(self, size: tuple[int, int], boxes: Float32) -> int:
        """Return how many times smaller an image may be decoded for boxes (p, 4): 1, 2, 4 or 8.

        The smallest of them keeps enough source pixels for each pixel of its crop.
        """
        sides = (np.asarray(boxes)[:, 2:] - np.asarray(boxes)[:, :2]) * np.array(size)
        room = sides.min() / (_DECODED_GAP * max(self.side, self.shortest or 0))
        return int(2 ** np.clip(np.floor(np.log2(max(room, 1))), 0, 3))

    def cut(self, image: Image.Image, boxes: Float32) -> UInt8:
        """Cut boxes (p, 4), normalised xyxy, out of an RGB image: crops (p, side, side, 3)."""
        shrunk = {1: image}
        crops = np.empty((len(boxes), self.side, self.side, 3), np.uint8)
        for crop, box in zip(crops, np.asarray(boxes, np.float64), strict=True):
            span = min((box[2] - box[0]) * image.width, (box[3] - box[1]) * image.height)
            factor = 1
            while span / (2 * factor) >= _GAP * self.side:
                factor *= 2
            if factor not in shrunk:
                shrunk[factor] = image.reduce(factor)
            # The last row or column of a reduced image may stand for fewer pixels.
            scale = np.array([image.width, image.height] * 2) / factor
            limit = np.array(shrunk[factor].size * 2)
            source = _at_least_a_pixel(np.minimum(box * scale, limit), limit)
            crop[:] = self._fitted(shrunk[factor], source)
        return crops

    def _fitted(self, image: Image.Image, source: tuple[float, float, float, float]) -> np.ndarray:
        """Bring a pixel box of an image to (side, side, 3)."""
        if self.fit == "squash":
            return np.asarray(image.resize((self.side, self.side), self.resample, box=source))
        width, height = source[2] - source[0], source[3] - source[1]
        if self.fit == "crop":  # the shorter side to `shortest`, then the middle, as CLIP does
            shortest = max(self.shortest or self.side, self.side)
            scale = shortest / min(width, height)
            size = (
                shortest if width <= height else int(scale * width),
                shortest if height <= width else int(scale * height),
            )
            left, top = ((length - self.side) // 2 for length in size)
            resized = image.resize(size, self.resample, box=source)
            return np.asarray(resized.crop((left, top, left + self.side, top + self.side)))
        scale = self.side / max(width, height)
        size = (max(1, round(scale * width)), max(1, round(scale * height)))
        bars = tuple(
            round(min(max((mean - self.offset) / self.factor, 0), 255)) for mean in self.mean
        )
        padded = Image.new("RGB", (self.side, self.side), bars)
        place = ((self.side - size[0]) // 2, (self.side - size[1]) // 2)
        padded.paste(image.resize(size, self.resample, box=source), place)
        return np.asarray(padded)

    def tensor(self, crops: UInt8) -> Float32:
        """Scale and normalise crops (b, side, side, 3) to (b, 3, side, side)."""
        std = np.array(self.std)
        scale = (self.factor / std).astype(np.float32)[:, None, None]
        shift = ((np.array(self.mean) - self.offset) / std).astype(np.float32)[:, None, None]
        # In place, on memory that lies in order: five times as fast as one expression.
        pixels = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32)
        pixels *= scale
        pixels -= shift
        return pixels


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = values
    return float(red), float(green), float(blue)


def _side(size: int | dict[str, int]) -> int:
    """The side of a square size; raises ValueError for one that is not square."""
    if isinstance(size, int):
        return size
    if "shortest_edge" in size:
        return int(size["shortest_edge"])
    if size["height"] != size["width"]:
        raise ValueError(f"its input is {size['width']} x {size['height']} pixels, not square")
    return int(size["height"])


def _at_least_a_pixel(box: np.ndarray, limit: np.ndarray) -> tuple[float, float, float, float]:
    """Widen a pixel box to one pixel at least, inside the image."""
    x0, y0, x1, y1 = box
    x0, y0 = min(x0, limit[0] - 1.0), min(y0, limit[1] - 1.0)
    return float(x0), float(y0), float(max(x1, x0 + 1.0)), float(max(y1, y0 + 1.0))
