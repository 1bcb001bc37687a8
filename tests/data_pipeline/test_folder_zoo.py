"""Folders as people lay them out, the files in them, and how each is read: docs/folders.md."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnets.data.decoding import Decoder, decode_pixels
from keras_resnets.data.folder import FolderSource, decode_original
from keras_resnets.data.formats import UnreadableImage, read_header
from keras_resnets.data.layout import split_of
from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import DataError

DOCUMENT = Path(__file__).parents[2] / "docs" / "folders.md"

# What a folder holds (a path and how many files), options, and how it is read. A word in capitals
# in front of a path is what the files are: LINK a link to a folder, TEXT another file.
LAYOUTS = {
    "class folders": (["cats 10", "dogs 12"], {}),
    "images deeper in a class folder": (["cats/2024/may 5", "cats 5", "dogs 10"], {}),
    "one folder around them": (["photos/cats 10", "photos/dogs 10"], {}),
    "split folders": (["train/cats 8", "train/dogs 8", "test/cats 2", "test/dogs 2"], {}),
    "split folders by other names": (
        ["Training/cats 8", "Training/dogs 8", "Testing/cats 2", "Testing/dogs 2"],
        {},
    ),
    "sets by longer names": (
        ["training_set/cats 8", "training_set/dogs 8", "test_set/cats 2", "test_set/dogs 2"],
        {},
    ),
    "folders that hold the same folders": (
        ["2023/cats 8", "2023/dogs 8", "2024/cats 2", "2024/dogs 2"],
        {},
    ),
    "the same, as classes by their names": (
        ["2023/cats 8", "2023/dogs 8", "2024/cats 2", "2024/dogs 2"],
        {"layout": "classes"},
    ),
    "dev and eval": (
        ["train/cats 8", "train/dogs 8", "dev/cats 2", "dev/dogs 2", "EVAL/cats 3", "EVAL/dogs 3"],
        {},
    ),
    "class folders of split folders": (
        ["cats/train 8", "cats/val 2", "dogs/train 8", "dogs/val 2"],
        {},
    ),
    "a flat test folder beside train": (["train/cats 8", "train/dogs 8", "test 5"], {}),
    "other folders beside splits": (
        ["train/cats 8", "train/dogs 8", "val/cats 2", "val/dogs 2", "raw 4"],
        {},
    ),
    "a class called train": (["bus 10", "car 10", "train 10"], {}),
    "classes that differ in case between splits": (
        ["train/Cats 8", "train/Dogs 8", "test/cats 2", "test/dogs 2"],
        {},
    ),
    "a class without training images": (
        ["train/cats 8", "train/dogs 8", "test/cats 2", "test/birds 3"],
        {},
    ),
    "an empty class folder": (["cats 10", "dogs 10", "birds 0"], {}),
    "a linked folder in a class": (["LINK cats/more 6", "dogs 10"], {}),
    "a folder that links to itself": (["cats 10", "dogs 10", "LOOP cats/again"], {}),
    "folders that link to each other": (["cats 10", "dogs 10", "LOOP cats/d", "PEER dogs/c"], {}),
    "classes that differ in case alone": (["Cats 8", "cats 8", "dogs 8"], {}),
    "one class with split folders": (["cats/train 8", "cats/test 2", "dogs 8"], {}),
    "other files": (["cats 10", "dogs 10", "TEXT cats/notes.txt", "TEXT dogs/a.json"], {}),
    "what systems leave behind": (
        ["cats 10", "dogs 10", "TEXT cats/.DS_Store", "TEXT Thumbs.db", "TEXT .git/config"],
        {},
    ),
    "images beside class folders": (["cats 10", "dogs 10", " 3"], {}),
    "train with class folders beside other folders": (
        ["bus 10", "car 10", "train/old 5", "train/new 5"],
        {},
    ),
    "the same, as classes": (
        ["bus 10", "car 10", "train/old 5", "train/new 5"],
        {"layout": "classes"},
    ),
    "the same, as splits": (
        ["bus 10", "car 10", "train/old 5", "train/new 5"],
        {"layout": "splits"},
    ),
    "test beside class folders": (["cats 10", "dogs 10", "test 4"], {}),
    "flat splits": (["train 10", "test 4"], {}),
    "flat splits, as classes": (["train 10", "test 4"], {"layout": "classes"}),
    "no training folder": (["test/cats 4", "test/dogs 4"], {}),
    "one class": (["cats 10"], {}),
    "images without folders": ([" 10"], {}),
    "no images": (["TEXT a.txt"], {}),
}


def build(root, holds):
    """Make a folder of one-pixel images."""
    for number, line in enumerate(holds):
        kind, _, rest = line.partition(" ") if line.split(" ")[0].isupper() else ("", "", line)
        if kind == "TEXT":
            (root / rest).parent.mkdir(parents=True, exist_ok=True)
            (root / rest).write_text("text")
            continue
        if kind == "PEER":
            (root / rest).symlink_to(root / "cats", target_is_directory=True)
            continue
        if kind == "LOOP":
            (root / rest).symlink_to(root / rest.split("/")[0], target_is_directory=True)
            continue
        place, _, count = rest.rpartition(" ")
        folder = root / place
        if kind == "LINK":
            folder.parent.mkdir(parents=True, exist_ok=True)
            target = root.parent / f"{root.name}-elsewhere"
            target.mkdir()
            folder.symlink_to(target, target_is_directory=True)
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(int(count)):
            color = (number, index, 0)
            Image.new("RGB", (1, 1), color).save(folder / f"{number:02d}{index:03d}.png")


def reading(root, options):
    """Say how a folder is read, or why not."""
    try:
        source = FolderSource(DataSettings(dataset=root, **options))
    except DataError as error:
        return "refused: " + str(error).replace(repr(str(root)), "it")
    names = " ".join(source.class_names)
    return "; ".join(
        f"{line} ({names})" if i == 0 else line for i, line in enumerate(source.summary())
    )


EXPECTED = {
    "class folders": "class folders: 2 classes; 18 train, 2 validation, 2 test (cut from train",
    "images deeper in a class folder": "class folders: 2 classes; 16 train, 2 validation, 2 test",
    "one folder around them": "class folders in photos: 2 classes; 16 train",
    "split folders": "2 classes; 14 train, 2 validation, 4 test (cut from train: validation)",
    "split folders by other names": "14 train, 2 validation, 4 test (cut from train: validation)",
    "sets by longer names": "14 train, 2 validation, 4 test (cut from train: validation)",
    "folders that hold the same folders": "refused: dataset folder it can be read in two ways: "
    "2023, 2024 as 2 classes (--layout classes), or cats, dogs as classes in splits",
    "the same, as classes by their names": "class folders: 2 classes; 16 train",
    "dev and eval": "2 classes; 16 train, 4 validation, 6 test (cats dogs)",
    "class folders of split folders": "14 train, 4 validation, 2 test (cut from train: test)",
    "a flat test folder beside train": "left out: images without class folders in test (predict",
    "other folders beside splits": "left out: images in raw, which is not a split: 4",
    "a class called train": "class folders: 3 classes; 24 train, 3 validation, 3 test",
    "classes that differ in case between splits": "4 test (cut from train: validation) (Cats Dogs)",
    "a class without training images": "left out: test images of birds, which has none to train",
    "an empty class folder": "(cats dogs); left out: empty folder birds: 1",
    "a linked folder in a class": "class folders: 2 classes; 12 train, 2 validation, 2 test",
    "a folder that links to itself": "left out: links to folders that are read already: 1",
    "folders that link to each other": "left out: links to folders that are read already",
    "classes that differ in case alone": "class folders: 3 classes",
    "one class with split folders": "refused: dataset folder it can be read in two ways: cats with "
    "split folders inside, which other classes lack",
    "other files": "left out: other files (.txt): 1, other files (.json): 1",
    "what systems leave behind": "16 train, 2 validation, 2 test (cut from train: test and "
    "validation) (cats dogs)",
    "images beside class folders": "left out: images beside the class folders: 3",
    "train with class folders beside other folders": "refused: dataset folder it can be read in "
    "two ways: bus, car, train as 3 classes (--layout classes), or train as splits, without bus, "
    "car (--layout splits)",
    "the same, as classes": "class folders: 3 classes; 24 train",
    "the same, as splits": "split folders of class folders: 2 classes; 6 train, 2 validation, 2 "
    "test (cut from train: test and validation) (new old); left out: images in bus",
    "test beside class folders": "refused: dataset folder it can be read in two ways: cats, dogs, "
    "test as 3 classes (--layout classes), or test as splits",
    "flat splits": "refused: dataset folder it can be read in two ways: test, train as 2 classes",
    "flat splits, as classes": "class folders: 2 classes; 10 train, 2 validation, 2 test",
    "no training folder": "refused: dataset folder it has no train folder with class folders",
    "one class": "refused: dataset folder it must hold at least two class folders of images. "
    "Received: 1 (cats)",
    "images without folders": "refused: dataset folder it must hold at least two class folders of "
    "images. Received: 0 (none); 10 images lie beside",
    "no images": "refused: dataset folder it must hold at least two class folders of images. "
    "Received: 0 (none); no file in it is an image by its name (JPEG, PNG",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_is_read_as_a_person_would_read_it(name, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    holds, options = LAYOUTS[name]
    build(root, holds)
    assert EXPECTED[name] in reading(root, options)


def test_links_between_many_folders_are_read_once(tmp_path):
    names = [f"class{number}" for number in range(9)]
    build(tmp_path, [f"{name} 4" for name in names])
    for name in names:
        for other in names:
            if other != name:
                (tmp_path / name / other).symlink_to(tmp_path / other, target_is_directory=True)
    source = FolderSource(DataSettings(dataset=tmp_path))
    assert 36 <= sum(source.sizes.values()) <= 2 * 36


def test_a_file_without_an_ending_is_known_by_its_first_bytes(tmp_path):
    build(tmp_path, ["cats 10", "dogs 10"])
    for path in (tmp_path / "cats").iterdir():
        path.rename(path.with_suffix(""))
    (tmp_path / "cats" / "README").write_text("cats")
    source = FolderSource(DataSettings(dataset=tmp_path))
    assert sum(source.sizes.values()) == 20
    assert source.left_out == {"other files": 1}


def test_what_is_no_file_is_named_for_what_it_is(tmp_path):
    import os
    import socket

    build(tmp_path, ["cats 10", "dogs 10"])
    for name in ("cats/a.png", "dogs/b.png", "dogs/pipe", "dogs/pipe.txt"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "cats" / "c.png").symlink_to("c.png")
    (tmp_path / "cats" / "d.png").symlink_to("nothing.png")
    (tmp_path / "cats" / "e.png").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "cats" / "f.png"))
        source = FolderSource(DataSettings(dataset=tmp_path))
    assert sum(source.sizes.values()) == 20
    assert source.left_out == {
        "named pipes": 4,
        "broken links": 2,
        "devices": 1,
        "sockets": 1,
    }


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("TRAIN", "train"),
        ("training_set", "train"),
        ("Train Images", "train"),
        ("trainset", "train"),
        ("train2017", "train"),
        ("val", "validation"),
        ("Valid", "validation"),
        ("validation-data", "validation"),
        ("dev_set", "validation"),
        ("testdata", "test"),
        ("Testing", "test"),
        ("eval", "test"),
        ("cats", None),
        ("trains", None),
        ("test1", None),
        ("dataset", None),
        ("images", None),
        ("steam_train", None),
        ("set", None),
        ("", None),
    ],
)
def test_names_of_splits(name, split):
    assert split_of(name) == split


# Files: how they are written, and what is seen in them.


def corners():
    """A picture that shows how it is turned: red, green, blue and white quarters, 24 x 16."""
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :12], pixels[:8, 12:] = (200, 0, 0), (0, 160, 0)
    pixels[8:, :12], pixels[8:, 12:] = (0, 0, 220), (240, 240, 240)
    return pixels


def ramp(top):
    """A grey ramp of 16-bit values."""
    return np.linspace(0, top, 16 * 24).reshape(16, 24).round().astype(np.uint16)


GREY = np.linspace(0, 255, 16 * 24).reshape(16, 24).round().astype(np.uint8)


def _save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)


def _turned(number):
    def write(path):
        exif = Image.Exif()
        exif[0x0112] = number
        image = Image.fromarray(corners())
        # The inverse of what a viewer does: stored turned, seen upright.
        image.transpose(Image.Transpose({2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[number])).save(
            path,
            exif=exif.tobytes(),
            **({"quality": 100, "subsampling": 0} if ".jpg" in path.name else {}),
        )

    return write


def _transparent(path):
    pixels = np.dstack([corners(), np.full((16, 24), 255, np.uint8)])
    pixels[:8, :12] = 0  # black, and wholly transparent
    _save(path, pixels)


def _palette(path, **options):
    Image.fromarray(corners()).quantize(8).save(path, **options)


def _palette_transparent(path):
    image = Image.fromarray(corners()).quantize(8)
    index = image.getpixel((0, 0))
    image.save(path, transparency=index)


def _animation(path, **options):
    frames = [Image.fromarray(corners()), Image.new("RGB", (24, 16), (9, 9, 9))]
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)


def _tiff_pages(path):
    _animation(path)


def _png16(path):
    import tensorflow as tf

    values = corners().astype(np.uint16) * 16 + 15  # 12 bits in 16
    path.write_bytes(tf.io.encode_png(values).numpy())


def _png16_grey_alpha(path):
    import tensorflow as tf

    values = np.stack([ramp(65535), np.full((16, 24), 65535, np.uint16)], axis=-1)
    path.write_bytes(tf.io.encode_png(values).numpy())


def _with_clear(path, pixels, color):
    """Write a 16-bit PNG of which one colour is clear, by the chunk that says so."""
    import tensorflow as tf

    data = tf.io.encode_png(pixels).numpy()
    body = b"tRNS" + struct.pack(f">{len(color)}H", *color)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end = data.index(b"IDAT") - 4
    path.write_bytes(data[:end] + chunk + data[end:])


def _tiff(path, pixels, **options):
    import tifffile

    tifffile.imwrite(path, pixels, **options)


WHITE_QUARTER = corners()
WHITE_QUARTER[:8, :12] = 255


def _webp_turned(path):
    exif = Image.Exif()
    exif[0x0112] = 8
    image = Image.fromarray(corners()).transpose(Image.Transpose.ROTATE_270)
    image.save(path, exif=exif.tobytes(), lossless=True)


# name: (file, writer, what is seen, largest difference)
FILES = {
    "plain JPEG": (
        "a.jpg",
        lambda p: _save(p, corners(), quality=95, subsampling=0),
        corners(),
        20,
    ),
    "JPEG by another name": (
        "a.jfif",
        lambda p: _save(p, corners(), format="JPEG", quality=95, subsampling=0),
        corners(),
        20,
    ),
    "PNG named .jpg": ("b.jpg", lambda p: _save(p, corners(), format="PNG"), corners(), 0),
    **{
        f"{kind}, EXIF orientation {n}": (
            f"t{n}.{kind.lower()}".replace("jpeg", "jpg"),
            _turned(n),
            corners(),
            40 if kind == "JPEG" else 0,
        )
        for n in range(2, 9)
        for kind in ("JPEG", "PNG")
    },
    "TIFF, EXIF orientation 6": ("t6.tif", _turned(6), corners(), 0),
    "WEBP, EXIF orientation 8": ("t8.webp", _webp_turned, corners(), 0),
    "grey JPEG": ("g.jpg", lambda p: _save(p, GREY, quality=100), GREY, 6),
    "grey PNG": ("g.png", lambda p: _save(p, GREY), GREY, 0),
    "CMYK JPEG": (
        "c.jpg",
        lambda p: Image.fromarray(corners()).convert("CMYK").save(p, quality=100, subsampling=0),
        corners(),
        40,
    ),
    "PNG with transparency": ("t.png", _transparent, WHITE_QUARTER, 0),
    "palette PNG": ("p.png", _palette, corners(), 2),
    "palette PNG with transparency": ("pt.png", _palette_transparent, WHITE_QUARTER, 2),
    "palette BMP": ("p.bmp", _palette, corners(), 2),
    "grey palette BMP": ("gp.bmp", lambda p: Image.fromarray(GREY).save(p), GREY, 0),
    "GIF": ("a.gif", _palette, corners(), 2),
    "animated GIF": ("b.gif", _animation, corners(), 2),
    "animated PNG": ("b.png", _animation, corners(), 0),
    "animated WEBP": ("b.webp", lambda p: _animation(p, lossless=True), corners(), 0),
    "1-bit PNG": (
        "one.png",
        lambda p: Image.fromarray(GREY).point(lambda v: 255 * (v > 127), "1").save(p),
        np.where(GREY > 127, 255, 0),
        0,
    ),
    "16-bit PNG": ("d16.png", lambda p: _save(p, ramp(65535)), GREY, 1),
    "12 bits in a 16-bit PNG": ("d12.png", lambda p: _save(p, ramp(4095)), GREY, 1),
    "10 bits in a 16-bit PNG": ("d10.png", lambda p: _save(p, ramp(1023)), GREY, 1),
    "12 bits in a 16-bit TIFF": ("d12.tif", lambda p: _save(p, ramp(4095)), GREY, 1),
    "16 bits with the range in a TIFF tag": (
        "dt.tif",
        lambda p: _save(p, ramp(2000), tiffinfo={281: 2000}),
        GREY,
        1,
    ),
    "12 bits in a 16-bit colour PNG": ("c12.png", _png16, corners(), 1),
    "16-bit grey PNG with alpha": ("la16.png", _png16_grey_alpha, GREY, 1),
    "16-bit grey PNG with a clear value": (
        "g16t.png",
        lambda p: _with_clear(p, ramp(65535)[..., None], (0,)),
        np.repeat(np.where(ramp(65535) == 0, 255, GREY)[..., None], 3, axis=-1),
        1,
    ),
    "16-bit colour PNG with a clear colour": (
        "c16t.png",
        lambda p: _with_clear(p, corners().astype(np.uint16) * 257, (200 * 257, 0, 0)),
        WHITE_QUARTER,
        1,
    ),
    "12 bits in a 16-bit colour TIFF": (
        "c12.tif",
        lambda p: _tiff(p, corners().astype(np.uint16) * 16 + 15, photometric="rgb"),
        corners(),
        1,
    ),
    "16-bit TIFF in which 0 is white": (
        "w0.tif",
        lambda p: _tiff(p, ramp(65535)[::-1, ::-1], photometric="miniswhite"),
        GREY,
        1,
    ),
    "32-bit grey TIFF": (
        "u32.tif",
        lambda p: _tiff(p, np.linspace(0, 2**32 - 1, 384).reshape(16, 24).astype(np.uint32)),
        GREY,
        1,
    ),
    "floats in a TIFF": ("f.tif", lambda p: _save(p, GREY.astype(np.float32) / 255), GREY, 1),
    "TIFF": ("a.tiff", lambda p: _save(p, corners(), compression="tiff_lzw"), corners(), 0),
    "TIFF of two pages": ("pages.tif", _tiff_pages, corners(), 0),
    "WEBP": ("a.webp", lambda p: _save(p, corners(), lossless=True), corners(), 0),
}


def _heic(path, orientation=1):
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(corners()).save(path, quality=100, chroma=444, exif=exif.tobytes())


FILES |= {
    "AVIF": (
        "a.avif",
        lambda p: _save(p, corners(), quality=100, subsampling="4:4:4"),
        corners(),
        20,
    ),
    "HEIC": ("a.heic", _heic, corners(), 20),
}


@pytest.fixture(scope="module")
def file_of(tmp_path_factory):
    """Return the path of a file of the zoo, written on first use."""
    folder = tmp_path_factory.mktemp("files")

    def file_of(name):
        path = folder / FILES[name][0]
        if not path.exists():
            FILES[name][1](path)
        return path

    return file_of


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_decoded_as_the_eye_sees_it(name, file_of):
    _, _, seen, tolerance = FILES[name]
    path = file_of(name)
    color = seen if seen.ndim == 3 else np.repeat(seen[..., None], 3, axis=-1)
    header = read_header(path)
    assert (header.height, header.width) == seen.shape[:2]
    assert header.grey == (seen.ndim == 2 or "grey" in name)
    for pixels in (decode_pixels(path.read_bytes(), 3), Decoder(3, (16, 24)).read(path)):
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - color).max() <= tolerance
    luma = np.rint(color.astype(float) @ (0.299, 0.587, 0.114))[..., None]
    for pixels in (decode_pixels(path.read_bytes(), 1), Decoder(1, (16, 24)).read(path)):
        assert np.abs(pixels.astype(int) - luma).max() <= tolerance + 1


@pytest.mark.parametrize("how", ["crop", "pad", "stretch"])
@pytest.mark.sampled(1)
def test_training_sees_what_prediction_sees(how, file_of):
    """Every file of the zoo, through the pipeline and alone, to the bit."""
    import tensorflow as tf

    decoder = Decoder(3, (10, 12), how, background="#102030")
    paths = [file_of(name) for name in FILES]
    turns = np.array([read_header(path).orientation for path in paths], np.int32)
    dataset = tf.data.Dataset.from_tensor_slices((list(map(str, paths)), turns))
    dataset = dataset.map(lambda *original: decoder.fit(decode_original(decoder, original)))
    for name, path, seen in zip(FILES, paths, dataset.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(seen, decoder.read(path), err_msg=name)


DAMAGES = {
    "cut in the middle": lambda data: data[: len(data) // 2],
    "cut by its last bytes": lambda data: data[:-20],
    "empty": lambda data: b"",
    "a text": lambda data: b"not an image at all, but a text of some length\n" * 4,
    "a web page": lambda data: b"<!DOCTYPE html><html><body>404</body></html>",
    "first bytes only": lambda data: data[:12],
}
WHOLE = ["plain JPEG", "grey PNG", "GIF", "palette BMP", "WEBP", "TIFF"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", WHOLE)
def test_damage_shows_without_decoding_all_files(name, damage, file_of, tmp_path):
    whole = file_of(name)
    path = tmp_path / whole.name
    path.write_bytes(DAMAGES[damage](whole.read_bytes()))
    try:
        decode_pixels(path.read_bytes(), 3)
    except UnreadableImage:
        with pytest.raises(UnreadableImage):
            read_header(path)
    else:  # what was cut away held nothing of the picture
        assert (name, damage) == ("grey PNG", "cut by its last bytes")
        assert read_header(path).orientation == 0  # TensorFlow does not forgive it


def test_all_unreadable_files_are_named_at_once(tmp_path, file_of):
    root = tmp_path / "root"
    root.mkdir()
    build(root, ["cats 30", "dogs 30"])
    bad = [root / "cats" / f"bad{number:02d}.jpg" for number in range(25)]
    for path in bad:
        path.write_bytes(DAMAGES["cut in the middle"](file_of("plain JPEG").read_bytes()))
    with pytest.raises(DataError) as caught:
        FolderSource(DataSettings(dataset=root))
    message = str(caught.value)
    assert message.startswith(
        "25 image files cannot be decoded (--skip-unreadable leaves them out)"
    )
    assert sum(repr(str(path)) in message for path in bad) == 20
    assert message.endswith("; and 5 more")
    source = FolderSource(DataSettings(dataset=root, skip_unreadable=True))
    assert sum(source.sizes.values()) == 60
    assert source.summary()[1] == "left out: unreadable files: 25"


def test_the_document_has_the_zoo(tmp_path, file_of):
    """docs/folders.md; KERAS_RESNETS_WRITE_DOCS=1 writes it anew."""
    tables = [*_layout_table(tmp_path), "", *_file_table(file_of), "", *_damage_table(file_of)]
    text = DOCUMENT.read_text("utf-8")
    start, end = "<!-- the zoo, made by its test -->", "<!-- the end of the zoo -->"
    head, _, rest = text.partition(start)
    made = f"{head}{start}\n\n" + "\n".join(tables) + f"\n\n{end}" + rest.partition(end)[2]
    if os.environ.get("KERAS_RESNETS_WRITE_DOCS"):
        DOCUMENT.write_text(made, "utf-8")
    assert text == made


def _layout_table(tmp_path):
    yield "| folder | holds | is read as |"
    yield "|---|---|---|"
    for number, (name, (holds, options)) in enumerate(LAYOUTS.items()):
        root = tmp_path / f"{number}" / "root"
        root.mkdir(parents=True)
        build(root, holds)
        given = "".join(f" (`--{key} {value}`)" for key, value in options.items())
        shown = ", ".join(f"`{line.strip()}`" for line in holds)
        yield f"| {name}{given} | {shown} | {reading(root, options)} |"


def _file_table(file_of):
    yield "| file | decoded by | size | channels |"
    yield "|---|---|---|---|"
    for name in FILES:
        header = read_header(file_of(name))
        by = "TensorFlow" if header.orientation else "Pillow"
        size = f"{header.height} x {header.width}"
        yield f"| {name} | {by} | {size} | {1 if header.grey else 3} |"


def _damage_table(file_of):
    yield "| damage | " + " | ".join(WHOLE) + " |"
    yield "|---" * (len(WHOLE) + 1) + "|"
    for damage, change in DAMAGES.items():
        yield f"| {damage} | " + " | ".join(_told(file_of(n), change) for n in WHOLE) + " |"


def _told(path, change):
    try:
        read_header(change(path.read_bytes()))
    except UnreadableImage:
        return "named"
    return "decoded"
