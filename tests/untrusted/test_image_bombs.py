"""Images whose headers or strips promise far more than their bytes are refused, with the limit."""

import io
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_resnets.data import decoding
from keras_resnets.data.decoding import Decoder, checked_size, decode_pixels
from keras_resnets.data.formats import MOST_PIXELS, UnreadableImage, read_header

SIDE = 60_000
LIMIT = "more than 178 million pixels"


def png(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b""))
        + (chunk(b"IEND", b""))
    )


def encoded(form, **options):
    file = io.BytesIO()
    Image.new("RGB", (16, 12), (200, 30, 60)).save(file, form, **options)
    return bytearray(file.getvalue())


def jpeg(width, height):
    data = encoded("JPEG")
    place = next(i for i in range(len(data)) if data[i : i + 2] in (b"\xff\xc0", b"\xff\xc2"))
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def gif(width, height):
    data = encoded("GIF")
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


def bmp(width, height):
    data = encoded("BMP")
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def tiff(width, height):
    data = encoded("TIFF")
    (place,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[place : place + 2])
    for number in range(count):
        start = place + 2 + 12 * number
        (tag,) = struct.unpack("<H", data[start : start + 2])
        if tag in (256, 257):
            value = width if tag == 256 else height
            data[start + 2 : start + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(data)


def webp(width, height):
    """An extended file, whose canvas is declared in 24 bits a side."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    inner = bytes(encoded("WEBP"))[12:]
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + sides + inner
    return b"RIFF" + struct.pack("<I", len(body)) + body


FORMATS = {"png": png, "jpg": jpeg, "gif": gif, "bmp": bmp, "tiff": tiff, "webp": webp}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("pillows_own", [True, False])
def test_pixels_that_a_header_declares(form, pillows_own, monkeypatch):
    side = 16_383 if form == "webp" else SIDE  # of 14 bits
    if not pillows_own:  # a program may have switched Pillow's limit off
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    data = FORMATS[form](side, side)
    for function in (read_header, lambda data: decode_pixels(data, 3)):
        with pytest.raises(UnreadableImage) as refused:
            function(data)
        own = form == "webp" and not pillows_own  # its decoder reads the inner header first
        assert str(refused.value) == ("could not create decoder object" if own else LIMIT)


def test_the_files_that_are_changed_are_read_as_they_are():
    """Otherwise the test above would refuse them for something else."""
    for make in (jpeg, gif, bmp, tiff, webp):
        assert read_header(make(16, 12)).width == 16


@pytest.mark.tensorflow
@pytest.mark.parametrize("form", ["png", "jpg", "gif", "bmp"])
def test_what_tensorflow_decodes_without_our_header(form):
    import tensorflow as tf

    in_graph = tf.function(checked_size)
    with pytest.raises(tf.errors.InvalidArgumentError, match=LIMIT):
        in_graph(tf.constant(FORMATS[form](SIDE, SIDE)))
    small = bytes(FORMATS[form](16, 12))
    assert in_graph(tf.constant(small)).numpy() == small
    assert in_graph(tf.constant(b"")).numpy() == b""


def test_a_strip_that_unpacks_to_far_more_than_the_image():
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    pixels = np.full((8, 8, 3), 4000, np.uint16)
    tifffile.imwrite(file, pixels, photometric="rgb", compression="zlib")
    plain = file.getvalue()
    with tifffile.TiffFile(io.BytesIO(plain)) as found:
        page = found.pages[0]
        start = page.dataoffsets[0]
    assert decode_pixels(plain, 3).shape == (8, 8, 3)
    bomb = zlib.compress(plain[start : start + 4] + bytes(200 << 20))
    data = bytearray(plain + bomb)
    offsets = {273: len(plain), 279: len(bomb)}
    (place,) = struct.unpack("<I", data[4:8])
    for number in range(struct.unpack("<H", data[place : place + 2])[0]):
        entry = place + 2 + 12 * number
        (kind,) = struct.unpack("<H", data[entry : entry + 2])
        if kind in offsets:
            data[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, offsets[kind])
    with pytest.raises(UnreadableImage, match="a strip unpacks to more than the image"):
        decoding._deep_tiff(bytes(data), None)


def test_large_images_are_decoded_one_after_another(monkeypatch):
    """Eight threads with 500 MB each would be 4 GB and more."""
    monkeypatch.setattr(decoding, "_LARGE", 100)
    inside, most = [], []
    real = decoding.open_image

    def count(file):
        return real(file)

    monkeypatch.setattr(decoding, "open_image", count)
    original = decoding._DECODES_LARGE

    class Lock:
        def __enter__(self):
            original.acquire()
            inside.append(1)
            most.append(len(inside))

        def __exit__(self, *exception):
            inside.pop()
            original.release()

    monkeypatch.setattr(decoding, "_DECODES_LARGE", Lock())
    data = bytes(encoded("PNG"))
    threads = [threading.Thread(target=decode_pixels, args=(data, 3)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_a_text_chunk_that_unpacks_to_far_more():
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(100 << 20)))
    plain = bytes(encoded("PNG"))
    data = plain[:33] + text + plain[33:]
    with pytest.raises(UnreadableImage, match="Decompressed data too large"):
        decode_pixels(data, 3)


@pytest.mark.tensorflow
def test_the_limit_is_the_readers_too(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png(SIDE, SIDE))
    assert SIDE * SIDE > MOST_PIXELS
    with pytest.raises(UnreadableImage, match=LIMIT):
        Decoder(channels=3, size=(8, 8)).read(tmp_path / "bomb.png")
