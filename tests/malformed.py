"""Some four hundred files that are broken in every way that image files are broken.

python tests/malformed.py FOLDER
"""

import io
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

# Pillow's name -> ending; sizes below are prime, so that nothing falls on a border by chance.
FORMATS = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "TIFF": ".tif",
    "BMP": ".bmp",
    "PPM": ".ppm",
    "JPEG2000": ".jp2",
    "AVIF": ".avif",
}
CUTS = (1, 4, 11, 20, 33, 60, 100, 0.2, 0.5, 0.8, 0.97)  # bytes, or parts of the file
FLIPS = 12  # copies of each format with some bits flipped


def write_corpus(folder: Path) -> int:
    """Write the files; return how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, data in files():
        (folder / name).write_bytes(data)
        count += 1
    return count


def files() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file, the same ones every time."""
    whole = {kind: encoded(kind) for kind in FORMATS} | heic()
    endings = FORMATS | {"HEIC": ".heic"}
    chance = random.Random(0)
    for kind, data in whole.items():
        for cut in CUTS:
            end = cut if isinstance(cut, int) else int(cut * len(data))
            yield f"cut-{end}-of-{kind}{endings[kind]}", data[:end]
        for number in range(FLIPS):
            yield (
                f"flipped-{number}-{kind}{endings[kind]}",
                flipped(data, chance, 2 ** (number % 6)),
            )
        for other, ending in endings.items():
            if other != kind:
                yield f"{kind}-called{ending}", data
        yield f"doubled-{kind}{endings[kind]}", data + data
        yield f"zeros-behind-{kind}{endings[kind]}", data[: len(data) // 2] + bytes(len(data))
    yield from no_images()
    yield from bombs()
    yield from modes()
    yield from odd_exif()


def picture(mode: str = "RGB", size: tuple[int, int] = (67, 41)) -> Image.Image:
    """Return noise, which compresses badly, so that a cut is felt."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    """Return an image as a file of a format."""
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind, **options)
    return buffer.getvalue()


def heic() -> dict[str, bytes]:
    """Return a HEIC file, where the package that writes one is there."""
    try:
        import pillow_heif
    except ImportError:
        return {}
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture()).save(buffer)
    return {"HEIC": buffer.getvalue()}


def flipped(data: bytes, chance: random.Random, bits: int) -> bytes:
    """Return the data with so many bits flipped anywhere."""
    changed = bytearray(data)
    for _ in range(bits):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def no_images() -> Iterator[tuple[str, bytes]]:
    """Yield what is not an image at all."""
    for ending in (*FORMATS.values(), ".heic"):
        yield f"empty{ending}", b""
        yield f"text{ending}", b"this is not an image\n" * 50
        yield f"zeros{ending}", bytes(4096)
    yield "page.jpg", b"<!doctype html><html><body>404</body></html>"
    yield "vector.png", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    yield "script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    yield "program.gif", b"\x7fELF" + bytes(200)
    yield "not-a-zip.zip", b"PK\x03\x04" + bytes(100)
    yield "not-a-tar.tar", b"no tar" * 200
    yield "not-a-tar.tgz", b"\x1f\x8b" + bytes(50)


def bombs() -> Iterator[tuple[str, bytes]]:
    """Yield small files that claim, or hold, very many pixels, or sizes that cannot be."""
    for width, height in [(65_000, 65_000), (2**31 - 1, 2**31 - 1), (0, 10), (10, 0), (2**31, 1)]:
        yield f"png-{width}x{height}.png", png_of(width, height, zlib.compress(bytes(1000)))
    yield "png-rows.png", png_of(14_000, 14_000, zlib.compress(bytes(1751 * 14_000), 9))
    for width, height in [(65_535, 65_535), (0, 0), (1, 65_535)]:
        jpeg = bytearray(encoded("JPEG"))
        start = jpeg.index(b"\xff\xc0") + 5
        jpeg[start : start + 4] = struct.pack(">HH", height, width)
        yield f"jpeg-{width}x{height}.jpg", bytes(jpeg)
    for width, height in [(65_535, 65_535), (0, 0)]:
        gif = bytearray(encoded("GIF"))
        gif[6:10] = struct.pack("<HH", width, height)
        yield f"gif-{width}x{height}.gif", bytes(gif)
    for width, height in [(100_000, 100_000), (-5, 5), (5, -(2**31)), (0, 0)]:
        bmp = bytearray(encoded("BMP"))
        bmp[18:26] = struct.pack("<ii", width, height)
        yield f"bmp-{width}x{height}.bmp", bytes(bmp)
    for text in (b"P6 99999 99999 255\n", b"P6 -1 5 255\n", b"P6 5 5 0\n", b"P6 9" + b"9" * 400):
        yield f"ppm-{zlib.crc32(text):x}.ppm", text + bytes(100)
    yield "tiff-circle.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    yield "tiff-many-tags.tif", b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + bytes(5000)


def png_of(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG of one bit a pixel with a size that need not fit its pixels."""
    size = struct.pack(">II", width % 2**32, height % 2**32) + b"\x01\0\0\0\0"
    chunks = [(b"IHDR", size), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def modes() -> Iterator[tuple[str, bytes]]:
    """Yield images that are in order, in every colour mode and in odd shapes."""
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = picture("L").convert("I;16") if mode == "I;16" else picture(mode)
        yield f"mode-{mode.replace(';', '')}.png", encoded("PNG", image)
    for mode in ("1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F"):
        image = picture("L").convert(mode) if mode in ("I", "F") else picture(mode)
        yield f"mode-{mode}.tif", encoded("TIFF", image)
    for mode in ("L", "CMYK", "RGB"):
        yield f"mode-{mode}.jpg", encoded("JPEG", picture(mode))
    for size in ((1, 1), (1, 3000), (3000, 1), (2, 2)):
        yield f"size-{size[0]}x{size[1]}.png", encoded("PNG", picture(size=size))


def odd_exif() -> Iterator[tuple[str, bytes]]:
    """Yield images that are in order but for what stands in their EXIF block."""
    blocks = {
        "empty": b"Exif\0\0",
        "cut": b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        "far": b"Exif\0\0II*\0\xff\xff\xff\xff",
        "noise": b"Exif\0\0" + bytes(random.Random(1).randrange(256) for _ in range(300)),
        "circle": b"Exif\0\0II*\0\x08\0\0\0"
        + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8)
        + struct.pack("<I", 8),
    }
    for name, block in blocks.items():
        yield f"exif-{name}.jpg", encoded("JPEG", exif=block)
    for orientation in (0, 3, 6, 9, 65_535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"exif-orientation-{orientation}.jpg", encoded("JPEG", exif=exif)
    for number, date in enumerate(("0000:00:00 00:00:00", "yesterday", "\0" * 19, "2020:13:45")):
        exif = Image.Exif()
        exif[0x0132] = date
        exif[0x010F] = "\x07\x1b[31m" + "Maker" * 100
        yield f"exif-date-{number}.jpg", encoded("JPEG", exif=exif)


if __name__ == "__main__":
    print(write_corpus(Path(sys.argv[1])), "files")
