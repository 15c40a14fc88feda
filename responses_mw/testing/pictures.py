"""Looks at a picture: the colour of a PNG's first pixel, without an image library."""

import base64
import binascii
import struct
import zlib

_COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "red": (220, 20, 20),
    "green": (20, 160, 20),
    "blue": (20, 20, 220),
    "yellow": (240, 220, 20),
    "orange": (250, 150, 20),
    "purple": (130, 20, 130),
}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _RGBA = 2, 6


def describe(image_url: str) -> str:
    """One word if the picture comes as a PNG data URL; else a sentence that says why not."""
    if not image_url.startswith("data:"):
        return "The image is somewhere else and I do not fetch it."
    try:
        pixel = first_pixel(base64.b64decode(image_url.partition(",")[2], validate=True))
    except (binascii.Error, struct.error, zlib.error, ValueError) as error:
        return f"I cannot read the image: {error}."
    return nearest_colour(pixel).capitalize() + "."


def first_pixel(png: bytes) -> tuple[int, int, int]:
    """As stored: no PNG filter changes the first pixel. Raises ValueError for other formats."""
    if not png.startswith(_SIGNATURE):
        raise ValueError("it is not a PNG")
    depth, kind = struct.unpack_from(">BB", png, 24)
    if depth != 8 or kind not in (_RGB, _RGBA):
        raise ValueError("only 8-bit RGB is understood")
    compressed, at = b"", len(_SIGNATURE)
    while at < len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        if name == b"IDAT":
            compressed += png[at + 8 : at + 8 + length]
        at += length + 12
    red, green, blue = zlib.decompressobj().decompress(compressed, 4)[1:]
    return red, green, blue


def nearest_colour(pixel: tuple[int, int, int]) -> str:
    def distance(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(pixel, _COLOURS[name], strict=True))

    return min(_COLOURS, key=distance)
