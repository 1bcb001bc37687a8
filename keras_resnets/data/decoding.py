"""Image files decoded as the eye sees them, and fitted to a size: in training as in prediction.

Plain JPEG and PNG files are decoded by TensorFlow; EXIF's orientation is applied. All others go
through Pillow: palettes, transparency, CMYK, 16 bits, one bit, GIF, BMP, WEBP, TIFF, HEIC, AVIF.
"""

from __future__ import annotations

import contextlib
import functools
import io
import lzma
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_resnets.data.formats import (
    MOST_PIXELS,
    UnreadableImage,
    open_image,
    png_depth,
    read_header,
    read_image,
    too_many_pixels,
)
from keras_resnets.data.settings import parse_color
from keras_resnets.reading import reason

__all__ = ["Decoder", "checked_size", "decode_pixels", "in_channels", "to_eight_bits"]

_LUMA = (0.299, 0.587, 0.114)
_ORIENTATION = 0x0112
_BITS, _PHOTOMETRIC, _MAX_SAMPLE, _SAMPLE_FORMAT = 258, 262, 281, 339
"""TIFF's tags: bits of a sample, what 0 means (0: white), the largest value, the type."""

_LEVELS = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16, 24, 32))


@dataclass(frozen=True)
class Decoder:
    """Turns image files into images of a number of channels, and fits them to a size.

    Attributes:
        channels: 1 or 3.
        size: ``(height, width)`` that `fit` brings images to.
        how: One of `FITS`.
        background: Colour behind transparent images, and of the borders of padded ones.

    Example:
        >>> Decoder(channels=3, size=(224, 224)).read("photo.jpg").shape
        (224, 224, 3)
    """

    channels: int
    size: tuple[int, int]
    how: str = "crop"
    background: str = "white"

    def read(self, path: str | Path) -> np.ndarray:
        """Return an image file, decoded and fitted, as a uint8 array.

        Raises:
            UnreadableImage: It cannot be decoded.
        """
        import tensorflow as tf

        data = read_image(path)
        orientation = read_header(data).orientation
        if not orientation:
            return self.fit(decode_pixels(data, self.channels, self.background)).numpy()
        try:
            image = self._plain(tf.constant(data), tf.constant(orientation))
        except tf.errors.OpError as error:
            raise UnreadableImage(reason(error, 120)) from error
        return self.fit(image).numpy()

    def decode(self, data, orientation):
        """Return an image of any size, in a graph.

        Args:
            data: Bytes of the file.
            orientation: `Header.orientation` of the file.
        """
        import tensorflow as tf

        def by_pillow():
            # Stateless: TensorFlow's determinism would run it on one image at a time.
            image = tf.numpy_function(self._pixels, [data], tf.uint8, stateful=False)
            return tf.ensure_shape(image, (None, None, self.channels))

        return tf.cond(orientation > 0, lambda: self._plain(data, orientation), by_pillow)

    def _pixels(self, data: bytes) -> np.ndarray:
        return decode_pixels(data, self.channels, self.background)

    def _plain(self, data, orientation):
        import tensorflow as tf

        image = tf.io.decode_image(data, channels=self.channels, expand_animations=False)
        image.set_shape((None, None, self.channels))
        turned = [
            lambda: image,
            lambda: image[:, ::-1],
            lambda: image[::-1, ::-1],
            lambda: image[::-1],
            lambda: tf.transpose(image, (1, 0, 2)),
            lambda: tf.transpose(image, (1, 0, 2))[:, ::-1],
            lambda: tf.transpose(image[::-1, ::-1], (1, 0, 2)),
            lambda: tf.transpose(image, (1, 0, 2))[::-1],
        ]
        image_of = tf.switch_case(orientation - 1, turned)
        return tf.ensure_shape(image_of, (None, None, self.channels))

    def fit(self, image):
        """Return an image, ``(height, width, channels)``, brought to the size, as uint8."""
        import tensorflow as tf

        height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
        if self.how == "stretch":
            return _resize(image, self.size)
        scales = (height / self.size[0], width / self.size[1])
        if self.how == "pad":
            return self._pad(image, tf.maximum(*scales))
        part = [_rounded(side * tf.minimum(*scales)) for side in self.size]
        shape = tf.shape(image)
        top, left = (shape[0] - part[0]) // 2, (shape[1] - part[1]) // 2
        return _resize(image[top : top + part[0], left : left + part[1]], self.size)

    def _pad(self, image, scale):
        import tensorflow as tf

        shape = tf.cast(tf.shape(image)[:2], tf.float32)
        inner = tf.minimum(_rounded(shape / scale), self.size)
        before = (self.size - inner) // 2
        sides = tf.stack([before, self.size - inner - before], axis=1)
        color = tf.constant(self._background(), tf.int32)
        # Padded with zeros behind a shift by the colour: tf.pad knows one value for all channels.
        shifted = tf.cast(_resize(image, inner), tf.int32) - color
        padded = tf.pad(shifted, tf.concat([sides, [[0, 0]]], axis=0)) + color
        return tf.ensure_shape(tf.cast(padded, tf.uint8), (*self.size, self.channels))

    def _background(self) -> Sequence[int]:
        color = parse_color(self.background)
        return color if self.channels == 3 else (round(float(np.dot(color, _LUMA))),)


def checked_size(data):
    """Return an encoded image in a graph, once its header declares at most `MOST_PIXELS`.

    TensorFlow's decoders take what the header says, up to some gigabytes. For images that were not
    looked at by `read_header`: those in the records of TensorFlow Datasets.

    Args:
        data: Bytes of a PNG, JPEG, GIF or BMP file; others pass.
    """
    return _size_check(MOST_PIXELS)(data)


@functools.cache
def _size_check(most_pixels):
    """Return the check as one function of TensorFlow's, traced once for all data sets."""
    import tensorflow as tf

    def check(data):
        head = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 0, 32), tf.uint8), tf.int64)
        head = tf.pad(head, [[0, 32 - tf.shape(head)[0]]])

        def number(start, length, order):
            weights = [2 ** (8 * place) for place in range(length)]
            weights = weights if order == "little" else weights[::-1]
            return tf.reduce_sum(head[start : start + length] * weights)

        def starts(signature):
            return tf.reduce_all(head[: len(signature)] == list(signature))

        pixels = tf.case(
            [
                (starts(b"\x89PNG"), lambda: number(16, 4, "big") * number(20, 4, "big")),
                (starts(b"GIF8"), lambda: number(6, 2, "little") * number(8, 2, "little")),
                (starts(b"BM"), lambda: number(18, 4, "little") * number(22, 3, "little")),
                (
                    starts(b"\xff\xd8\xff"),
                    lambda: tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(data)[:2], tf.int64)),
                ),
            ],
            default=lambda: tf.constant(0, tf.int64),
        )
        checked = tf.debugging.assert_less_equal(
            pixels, tf.constant(most_pixels, tf.int64), message=too_many_pixels()
        )
        with tf.control_dependencies([checked]):
            return tf.identity(data)

    return tf.function(check, [tf.TensorSpec((), tf.string)], autograph=False)


def in_channels(image, channels: int):
    """Return a uint8 image in a graph with 1 channel (luma, ITU-R 601) or 3, without an alpha."""
    import tensorflow as tf

    if image.shape[-1] in (2, 4):
        image = image[..., :-1]
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return tf.repeat(image, 3, axis=-1)
    luma = tf.tensordot(tf.cast(image, tf.float32), tf.constant([[x] for x in _LUMA]), 1)
    return tf.cast(tf.round(luma), tf.uint8)


def _rounded(values):
    import tensorflow as tf

    return tf.maximum(tf.cast(tf.round(values), tf.int32), 1)


def _resize(image, size):
    import tensorflow as tf

    image = tf.image.resize(image, size, antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)


def decode_pixels(data: bytes, channels: int, background: str = "white") -> np.ndarray:
    """Decode an image file of any known format as the eye sees it, by Pillow.

    EXIF's orientation is applied; palettes become their colours; transparency lies over the
    background; 16-bit values are scaled from the range that holds them (10, 12, 14 or 16 bits, or
    what a TIFF file says) to 8 bits; of animations and pages the first is taken.

    Args:
        data: The file's bytes.
        channels: 1 (luma, ITU-R 601) or 3.
        background: Colour as `parse_color` takes it.

    Returns:
        uint8 array, ``(height, width, channels)``.

    Raises:
        UnreadableImage: It cannot be decoded.

    Example:
        >>> decode_pixels(Path("logo.png").read_bytes(), 3).shape
        (64, 64, 3)
    """
    from PIL import ImageOps

    file = io.BytesIO(data)
    with open_image(file) as image, _one_large_at_a_time(image):
        tags = getattr(image, "tag_v2", {})
        if image.format == "PNG":
            image = _prepared_png(data, image, png_depth(file))
        elif image.mode in ("RGB", "RGBA") and max(_numbers(tags.get(_BITS, 8))) > 8:
            image = _deep_tiff(data, image)
        image = ImageOps.exif_transpose(image)
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            image = _from_deep(image, tags, parse_color(background))
        elif "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
            image = _over(image, parse_color(background))
        elif image.mode in ("P", "CMYK", "YCbCr", "HSV", "RGBX"):
            image = image.convert("RGB")
        image = image.convert("L" if channels == 1 else "RGB")
        pixels = np.asarray(image)
    return pixels[..., None] if channels == 1 else pixels


_LARGE = 16 << 20
"""Pixels from which images are decoded one after another: copies of one take some 100 MB."""

_DECODES_LARGE = threading.Lock()


@contextlib.contextmanager
def _one_large_at_a_time(image):
    if image.width * image.height < _LARGE:
        yield
        return
    with _DECODES_LARGE:
        yield


def _over(image, color):
    """Return an image over a background."""
    from PIL import Image

    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*color, 255)), image).convert("RGB")


def _numbers(value) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def _from_deep(image, tags, background):
    """Return a grey image of many bits, or of floats, in 8 bits."""
    from PIL import Image

    values = np.asarray(image)
    if image.mode == "I" and _numbers(tags.get(_SAMPLE_FORMAT, 1))[0] == 1:
        values = values.view(np.uint32)  # of which Pillow makes signed ones
    stated = tags.get(_MAX_SAMPLE)
    pixels = to_eight_bits(values, None if stated is None else _numbers(stated)[0])
    if tags.get(_PHOTOMETRIC) == 0:
        pixels = 255 - pixels
    clear = image.info.get("transparency")
    if clear is None:
        return Image.fromarray(pixels)
    colors = np.repeat(pixels[..., None], 3, axis=-1)
    colors[values == clear] = background
    return Image.fromarray(colors)


def _prepared_png(data: bytes, image, depth: int):
    """Return a PNG image whose colours of 16 bits, and clear grey of few bits, are mended."""
    if depth == 16 and image.mode not in ("I", "I;16"):
        return _deep_png(data, image)
    if depth < 8 and image.mode == "L" and isinstance(image.info.get("transparency"), int):
        image.load()
        image.info["transparency"] = image.info["transparency"] * 255 // (2**depth - 1)
    return image


def _deep_png(data: bytes, image):
    """Return a PNG of 16 bits and colours or transparency in 8; Pillow keeps the high bytes."""
    import tensorflow as tf

    values = tf.io.decode_png(data, channels=0, dtype=tf.uint16).numpy()
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and values.shape[-1] == 3:
        alpha = np.where((values == clear).all(-1, keepdims=True), 0, 65535)
        values = np.concatenate([values, alpha.astype(np.uint16)], axis=-1)
    return _colors_of(values, image)


def _deep_tiff(data: bytes, image):
    """Return a TIFF of colours of 16 bits in 8; Pillow keeps the high bytes."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        _check_segments(page, data)
        values = page.asarray()
        if page.axes.startswith("S"):  # a plane a colour
            values = np.moveaxis(values, 0, -1)
    return _colors_of(values, image)


def _check_segments(page, data: bytes) -> None:
    """Refuse strips that hold more than their image: tifffile would unpack all of it."""
    openers = {8: zlib.decompressobj, 32946: zlib.decompressobj, 34925: lzma.LZMADecompressor}
    opener = openers.get(int(page.compression))
    if page.imagelength * page.imagewidth > MOST_PIXELS or page.nbytes > 8 * MOST_PIXELS:
        raise UnreadableImage(too_many_pixels())
    if opener is None:
        return
    for start, length in zip(page.dataoffsets, page.databytecounts, strict=False):
        found = opener().decompress(data[start : start + length], page.nbytes + 1)
        if len(found) > page.nbytes:
            raise UnreadableImage("a strip unpacks to more than the image")


def _colors_of(values: np.ndarray, image):
    """Return colours of 16 bits, the last one alpha if there are 2 or 4, as an image of 8."""
    from PIL import Image

    solid = values.shape[-1] in (1, 3)
    pixels = to_eight_bits(values if solid else values[..., :-1])
    if not solid:
        alpha = np.rint(values[..., -1:] * (255 / 65535)).astype(np.uint8)
        pixels = np.concatenate([pixels, alpha], axis=-1)
    deep = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    deep.info.update({k: v for k, v in image.info.items() if k in ("exif", "xmp")})
    if image.format == "TIFF":
        deep.getexif()[_ORIENTATION] = image.tag_v2.get(_ORIENTATION, 1)
    return deep


def to_eight_bits(values: np.ndarray, largest: float | None = None) -> np.ndarray:
    """Scale values of more than 8 bits to 0 to 255, from the range that holds them.

    Cameras and scanners store 10, 12 and 14 bits in 16: the range is the smallest of 8, 10, 12,
    14, 16, 24 and 32 bits that holds the largest value. Floats of at most 1 are parts of white.

    Args:
        values: Numbers; what is negative or not a number becomes 0.
        largest: The end of the range, where it is known.

    Returns:
        uint8 array of the same shape.

    Example:
        >>> to_eight_bits(np.array([0, 2048, 4095]))
        array([  0, 128, 255], dtype=uint8)
    """
    floats = values.dtype.kind == "f"
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = values.max(initial=0.0)
    if not largest or largest < top:
        largest = 1.0 if floats and top <= 1 else next((x for x in _LEVELS if top <= x), top)
    return np.rint(np.clip(values, 0, largest) * (255 / largest)).astype(np.uint8)
