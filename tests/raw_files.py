"""A small raw file (DNG) with a preview, written by hand: cameras' own are large."""

import io
import struct

import numpy as np
from PIL import Image

_SHORT, _LONG, _RATIONAL, _SIGNED = 3, 4, 5, 10
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 10: 8}
_CODES = {1: "B", 3: "H", 4: "I"}


def dng(preview: Image.Image, orientation: int = 1) -> bytes:
    """Return a DNG of 64 x 48 grey samples whose preview is the given image, as a JPEG."""
    buffer = io.BytesIO()
    preview.save(buffer, "JPEG", quality=95)
    jpeg = buffer.getvalue()
    samples = np.full((48, 64), 2000, "<u2").tobytes()
    first_at = 8
    second_at = first_at + len(_directory(_first(preview, 0, 0, 0, orientation), 0))
    jpeg_at = second_at + len(_directory(_second(0), 0))
    samples_at = jpeg_at + len(jpeg)
    first = _directory(_first(preview, jpeg_at, len(jpeg), second_at, orientation), first_at)
    second = _directory(_second(samples_at), second_at)
    return b"II*\0" + struct.pack("<I", first_at) + first + second + jpeg + samples


def _first(preview, jpeg_at, jpeg_bytes, second_at, orientation):
    matrix = [v for n in (1, 0, 0, 0, 1, 0, 0, 0, 1) for v in (n, 1)]
    return [
        (254, _LONG, [1]),
        (256, _LONG, [preview.width]),
        (257, _LONG, [preview.height]),
        (258, _SHORT, [8, 8, 8]),
        (259, _SHORT, [7]),
        (262, _SHORT, [6]),
        (271, 2, b"Camera\0"),
        (272, 2, b"Camera One\0"),
        (273, _LONG, [jpeg_at]),
        (274, _SHORT, [orientation]),
        (277, _SHORT, [3]),
        (278, _LONG, [preview.height]),
        (279, _LONG, [jpeg_bytes]),
        (330, _LONG, [second_at]),
        (50706, 1, [1, 4, 0, 0]),
        (50708, 2, b"Camera One\0"),
        (50721, _SIGNED, matrix),
        (50728, _RATIONAL, [1, 1, 1, 1, 1, 1]),
        (50778, _SHORT, [21]),
    ]


def _second(samples_at):
    return [
        (254, _LONG, [0]),
        (256, _LONG, [64]),
        (257, _LONG, [48]),
        (258, _SHORT, [16]),
        (259, _SHORT, [1]),
        (262, _SHORT, [32803]),
        (273, _LONG, [samples_at]),
        (277, _SHORT, [1]),
        (278, _LONG, [48]),
        (279, _LONG, [64 * 48 * 2]),
        (33421, _SHORT, [2, 2]),
        (33422, 1, [0, 1, 1, 2]),
        (50717, _LONG, [4095]),
    ]


def _directory(tags, start):
    """Return a directory of tags, with what does not fit into them behind it."""
    body, behind = b"", b""
    end = start + 2 + 12 * len(tags) + 4
    for tag, kind, values in tags:
        if kind == 2:
            data = values
        elif kind in (_RATIONAL, _SIGNED):
            data = struct.pack(f"<{len(values)}{'i' if kind == _SIGNED else 'I'}", *values)
        else:
            data = struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
        count = len(data) // _SIZES[kind]
        if len(data) > 4:
            place = struct.pack("<I", end + len(behind))
            behind += data + bytes(len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        body += struct.pack("<HHI", tag, kind, count) + place
    return struct.pack("<H", len(tags)) + body + bytes(4) + behind
