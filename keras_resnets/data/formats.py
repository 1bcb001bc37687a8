"""Image formats by file name and content, and what is in a file, read from its header alone."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from keras_resnets.reading import check_regular, read_bytes, reason, size_in_words

__all__ = [
    "FORMATS",
    "MOST_BYTES",
    "MOST_PIXELS",
    "SUFFIXES",
    "Header",
    "UnreadableImage",
    "has_image_suffix",
    "looks_like_image",
    "open_image",
    "read_header",
    "read_image",
    "too_many_pixels",
]

MOST_PIXELS = 178_956_970
"""Most pixels of an image: Pillow's limit, which holds for what TensorFlow decodes too. Decoded in
three channels they take 540 MB."""

MOST_BYTES = 1 << 31
"""Most bytes of an image file."""

_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width (EXIF 2.32, section 4.6.4)."""

_GREY = {"1", "L", "LA", "La", "I", "F"}
_COLOR = {"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"}
_SIGNATURES = {
    "JPEG": b"\xff\xd8\xff",
    "PNG": b"\x89PNG",
    "GIF": b"GIF8",
    "BMP": b"BM",
    "WEBP": b"RIFF",
    "TIFF": (b"II*\0", b"MM\0*"),
}
_COMPRESSION = 259
_PLAIN_STRIPS = (1, 5, 8, 32773)
"""TIFF's tag, and none, LZW, deflate and PackBits."""

_TAIL = 64
"""Bytes at a file's end that show whether it is whole."""


class UnreadableImage(ValueError):
    """A file that cannot be decoded; the message says why in a few words."""


@dataclass(frozen=True)
class _Format:
    """A format: the endings of its files' names, and what Pillow calls it."""

    suffixes: tuple[str, ...]
    pillow: tuple[str, ...]


FORMATS = {
    "JPEG": _Format((".jpg", ".jpeg", ".jpe", ".jfif"), ("JPEG", "MPO")),
    "PNG": _Format((".png", ".apng"), ("PNG",)),
    "GIF": _Format((".gif",), ("GIF",)),
    "BMP": _Format((".bmp", ".dib"), ("BMP", "DIB")),
    "WEBP": _Format((".webp",), ("WEBP",)),
    "TIFF": _Format((".tif", ".tiff"), ("TIFF",)),
    "HEIC": _Format((".heic", ".heif", ".hif"), ("HEIF",)),
    "AVIF": _Format((".avif",), ("AVIF",)),
}
"""The formats by name. HEIC needs the extra ``heic``, AVIF a Pillow that was built with it."""

SUFFIXES = tuple(suffix for form in FORMATS.values() for suffix in form.suffixes)
"""Endings of the names of image files."""

_NAMES = {pillow: name for name, form in FORMATS.items() for pillow in form.pillow}


@dataclass(frozen=True, slots=True)
class Header:
    """What a file's header says of its image, as the eye sees it.

    Attributes:
        format: A key of `FORMATS`.
        height: Pixels, after the turn that EXIF asks for.
        width: The same.
        grey: Whether the image has no colours.
        orientation: EXIF's, 1 to 8, of an image that TensorFlow decodes as it should be: an 8-bit
            JPEG or PNG, grey or RGB, without transparency. 0 for all others, which Pillow decodes.
        bytes: Size of the file.
    """

    format: str
    height: int
    width: int
    grey: bool
    orientation: int
    bytes: int


def has_image_suffix(name: str) -> bool:
    """Say whether a file is an image by the ending of its name.

    Example:
        >>> has_image_suffix("IMG_0001.JPG")
        True
    """
    return os.path.splitext(name)[1].lower() in SUFFIXES


def looks_like_image(path: str | Path) -> bool:
    """Say whether a file begins as an image of a known format, whatever its name.

    Example:
        >>> looks_like_image("IMG_0001")
        True
    """
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return head[4:8] == b"ftyp" or any(map(head.startswith, _SIGNATURES.values()))


def read_header(source: str | Path | bytes) -> Header:
    """Read what an image file holds, from its first and last bytes.

    A file whose end is missing is decoded to make sure: some cameras leave out the last marker.

    Args:
        source: The file, or its content.

    Raises:
        UnreadableImage: It is not an image of a known format, it is damaged, or it is too large.

    Example:
        >>> read_header("photo.jpg").width
        4032
    """
    try:
        if isinstance(source, bytes):
            return _header(io.BytesIO(source), len(source))
        check_regular(source)  # opening a named pipe would wait for ever
        size = os.path.getsize(source)
        _check_bytes(size)
        with open(source, "rb") as file:
            return _header(file, size)
    except OSError as error:
        raise UnreadableImage(error.strerror or "cannot be read") from error


def _check_bytes(size: int) -> None:
    if size > MOST_BYTES:
        raise UnreadableImage(
            f"it has {size_in_words(size)}; at most {size_in_words(MOST_BYTES)} are read"
        )


def read_image(path: str | Path) -> bytes:
    """Return an image file's content.

    Raises:
        UnreadableImage: It is not a file, cannot be read, or is too large.
    """
    try:
        return read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise UnreadableImage(error.strerror or "cannot be read") from error


def too_many_pixels() -> str:
    """Return why an image of more than `MOST_PIXELS` is refused."""
    return f"more than {MOST_PIXELS // 10**6} million pixels"


@contextlib.contextmanager
def open_image(file: BinaryIO) -> Iterator[Any]:
    """Open an image of a known format by Pillow.

    Raises:
        UnreadableImage: It is not one, or Pillow fails while it is open.
    """
    pil = _pillow()
    known = [name for form in FORMATS.values() for name in form.pillow if name in pil.OPEN]
    try:
        with pil.open(file, formats=known) as image:
            if image.width * image.height > MOST_PIXELS:  # whatever a program has set Pillow's to
                raise UnreadableImage(too_many_pixels())
            yield image
    except UnreadableImage:
        raise
    except pil.UnidentifiedImageError as error:
        raise UnreadableImage(_why_unknown(file)) from error
    except pil.DecompressionBombError as error:
        raise UnreadableImage(too_many_pixels()) from error
    except Exception as error:  # whatever a decoder can raise on damaged bytes
        text = reason(error, 100)
        raise UnreadableImage("damaged" if text == type(error).__name__ else text) from error


@cache
def _pillow():
    """Return Pillow with its plugins, and HEIC's where it is installed."""
    from PIL import Image

    Image.init()
    if importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()
    # Of large images, of which it refuses larger ones itself, and of damaged EXIF data.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return Image


def _why_unknown(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(16)
    if not head:
        return "empty file"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"heim"):
        return "HEIC needs pip install 'keras-resnets[heic]'"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"):
        return "this Pillow cannot read AVIF"
    for name, start in _SIGNATURES.items():
        if head.startswith(start):
            return f"damaged {name}"
    return "not an image of a known format"


def _header(file: BinaryIO, size: int) -> Header:
    if size == 0:
        raise UnreadableImage("empty file")
    with open_image(file) as image:
        form = _NAMES[image.format]
        if not _is_supported(image.mode):
            raise UnreadableImage(f"colours of mode {image.mode}")
        orientation = _orientation(image)
        height, width = image.height, image.width
        if orientation in _TURNED and form != "TIFF":  # of which Pillow gives the turned size
            height, width = width, height
        grey = _is_grey(image, form, file)
        plain = _is_plain(image, form, file)
        if not _is_whole(image, form, file, size):
            plain = False  # Pillow forgives a missing end that TensorFlow does not
            file.seek(0)
            with open_image(file) as again:
                again.draft("L", (width // 8, height // 8))
                again.load()
    return Header(form, height, width, grey, orientation if plain else 0, size)


def _is_supported(mode: str) -> bool:
    return mode in _GREY or mode in _COLOR or mode.startswith("I;16")


def _orientation(image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data say nothing of the image
        return 1
    return found if found in range(1, 9) else 1


def _is_grey(image, form: str, file: BinaryIO) -> bool:
    if image.mode in ("P", "PA"):
        palette = image.getpalette() or []
        return all(
            palette[i] == palette[i + 1] == palette[i + 2] for i in range(0, len(palette) - 2, 3)
        )
    if form == "PNG":  # Pillow has some grey ones in colours
        return _byte_at(file, 25) in (0, 4)
    return image.mode in _GREY or image.mode.startswith("I;16")


def _is_plain(image, form: str, file: BinaryIO) -> bool:
    if form not in ("JPEG", "PNG") or image.mode not in ("L", "RGB"):
        return False
    if form == "JPEG":
        return True
    return "transparency" not in image.info and png_depth(file) <= 8


def png_depth(file: BinaryIO) -> int:
    """Return the bits of a sample of a PNG file; the position in the file is kept."""
    return _byte_at(file, 24)


def _byte_at(file: BinaryIO, place: int) -> int:
    before = file.tell()
    file.seek(place)
    found = file.read(1)
    file.seek(before)
    return found[0] if found else 0


def _is_whole(image, form: str, file: BinaryIO, size: int) -> bool:
    """Say whether a file ends as its format prescribes."""
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    if form == "JPEG":
        return tail.rstrip(b"\0\r\n ").endswith(b"\xff\xd9")
    if form == "PNG":
        return b"IEND" in tail
    if form == "GIF":
        return tail.rstrip(b"\0").endswith(b"\x3b")
    if form == "TIFF":
        return _tiff_end(image) <= size
    file.seek(0)
    head = file.read(16)
    if form == "BMP":
        return 0 < struct.unpack("<I", head[2:6])[0] <= size
    if form == "WEBP":
        return struct.unpack("<I", head[4:8])[0] + 8 <= size
    return _boxes_end(file, size) <= size


def _tiff_end(image) -> int:
    """Return where the last strip or tile of a TIFF image ends; beyond any file if unknown.

    Of compressed ones only those whose strips are known to say their length.
    """
    tags = image.tag_v2
    if tags.get(_COMPRESSION, 1) not in _PLAIN_STRIPS:
        return 2**63
    for offsets, counts in ((273, 279), (324, 325)):
        if offsets in tags and counts in tags:
            return max(map(sum, zip(tags[offsets], tags[counts], strict=True)))
    return 2**63


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Return where the boxes of an ISO media file (HEIC, AVIF) end."""
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return size + 1
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length == 0:  # to the end of the file
            return size
        place += max(length, 8)
    return place
