"""A folder of images in class folders is a data set."""

import shutil
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_resnets.data import load_data
from keras_resnets.errors import DataError


def write_image(path, value=None, size=(12, 10), mode="RGB"):
    """Write a real image file of one grey value, or of noise that hangs on the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    pixels = rng.integers(0, 256, (*size, 3), np.uint8)
    if value is not None:
        pixels[:] = value
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def write_class(folder, count, suffix=".png", first=0):
    for index in range(first, first + count):
        write_image(folder / f"{index:03d}{suffix}", value=index)


@pytest.fixture
def photos(tmp_path):
    """Two classes of ten images, without split folders; every image has a value of its own."""
    write_class(tmp_path / "photos" / "cats", 10)
    write_class(tmp_path / "photos" / "dogs", 10, suffix=".bmp", first=100)
    return tmp_path / "photos"


def _values(data, split):
    """The grey values of a split's images."""
    images, _ = data.images(split)
    return sorted(int(value) for value in images.mean((1, 2, 3)).round())


def test_a_folder_without_splits_is_split_by_class(photos):
    data = load_data(photos)
    assert data.name == "photos"
    assert data.class_names == ("cats", "dogs")
    assert data.image_shape == (12, 10, 3)
    assert data.sizes == {"train": 16, "test": 2, "validation": 2}
    assert data.flip is True
    for split, each in (("train", 8), ("validation", 1), ("test", 1)):
        _, labels = data.images(split)
        assert list(np.bincount(labels)) == [each, each]
    values = [value for split in data.sizes for value in _values(data, split)]
    assert sorted(values) == [*range(10), *range(100, 110)]


def test_labels_follow_the_folders(photos):
    data = load_data(photos)
    for split in data.sizes:
        images, labels = data.images(split)
        np.testing.assert_array_equal(images.mean((1, 2, 3)) >= 50, labels)


def test_the_split_hangs_on_the_names_alone(photos, tmp_path):
    """Not on the place, nor on the order in which files were made."""
    copy = tmp_path / "elsewhere"
    for path in sorted(photos.rglob("*.*"), reverse=True):
        target = copy / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    one, other = load_data(photos), load_data(copy)
    for split in one.sizes:
        np.testing.assert_array_equal(one.images(split)[0], other.images(split)[0])


@pytest.mark.parametrize("train", ["train", "Train"])
@pytest.mark.parametrize("validation", ["validation", "val", "valid", "VAL", None])
@pytest.mark.parametrize("test", ["test", None])
@pytest.mark.sampled(4)
def test_split_folders_are_used(train, validation, test, tmp_path):
    for offset, name in ((0, "cats"), (100, "dogs")):
        write_class(tmp_path / train / name, 10, first=offset)
        if validation:
            write_class(tmp_path / validation / name, 2, first=offset + 20)
        if test:
            write_class(tmp_path / test / name, 3, first=offset + 30)
    data = load_data(tmp_path)
    assert data.class_names == ("cats", "dogs")
    held_out = 2 * ((validation is None) + (test is None))
    assert data.sizes == {
        "train": 20 - held_out,
        "validation": 4 if validation else 2,
        "test": 6 if test else 2,
    }
    if validation:
        assert _values(data, "validation") == [20, 21, 120, 121]
    if test:
        assert _values(data, "test") == [30, 31, 32, 130, 131, 132]


def test_nested_images_count_and_hidden_ones_and_others_do_not(photos):
    write_image(photos / "cats" / "2024" / "may" / "a.jpg")
    write_image(photos / "cats" / "2025" / "A.PNG")
    (photos / "cats" / "._000.png").write_bytes(b"resource fork")
    (photos / "cats" / ".thumbs").mkdir()
    (photos / "cats" / ".thumbs" / "a.png").write_bytes(b"thumb")
    (photos / "cats" / "album.jpg").mkdir()
    (photos / "cats" / "notes.txt").write_text("cats")
    (photos / ".git").mkdir()
    (photos / "readme.txt").write_text("photos")
    data = load_data(photos)
    assert data.class_names == ("cats", "dogs")
    assert sum(data.sizes.values()) == 22
    for split in data.sizes:
        data.images(split)


def test_one_name_in_many_folders_is_still_a_fixed_order(tmp_path):
    for index in range(20):
        write_image(tmp_path / "cats" / f"{(7 * index) % 20:02d}" / "image.png", value=index)
    write_class(tmp_path / "dogs", 3)
    from keras_resnets.data.folder import FolderSource
    from keras_resnets.data.settings import DataSettings

    files = FolderSource(DataSettings(dataset=tmp_path)).files
    cats = [str(path) for split in ("test", "validation", "train") for path, _ in files[split][:]]
    cats = [path for path in cats if "cats" in path]
    assert cats == sorted(cats)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.sampled(1)
def test_grey_folders_keep_one_channel_unless_asked(mode, tmp_path):
    for name, value in (("cats", 30), ("dogs", 200)):
        for index in range(3):
            write_image(tmp_path / name / f"{index}.png", value=value, mode=mode)
    for given, channels in ((None, 1 if mode == "L" else 3), (1, 1), (3, 3)):
        data = load_data(tmp_path, image_size=4, channels=given)
        assert data.image_shape == (4, 4, channels)
        for split in data.sizes:
            images, labels = data.images(split)
            assert images.shape == (2, 4, 4, channels)
            expected = np.where(labels == 0, 30, 200)[:, None, None, None]
            assert abs(images.astype(int) - expected).max() <= 2


def test_images_are_cropped_to_their_central_square_and_resized(tmp_path):
    for name in ("a", "b"):
        for index in range(3):
            path = tmp_path / name / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            pixels = np.zeros((20, 60, 3), np.uint8)  # red, green and blue squares, side by side
            for channel in range(3):
                pixels[:, 20 * channel : 20 * channel + 20, channel] = 255
            Image.fromarray(pixels).save(path)
    images, _ = load_data(tmp_path, image_size=10).images("train")
    np.testing.assert_array_equal(images, np.broadcast_to(np.uint8([0, 255, 0]), images.shape))


def test_names_of_one_character_or_numbers_are_not_mirrored(tmp_path):
    for name in ("0", "17"):
        write_class(tmp_path / name, 3)
    assert load_data(tmp_path).flip is False
    assert load_data(tmp_path, flip=True).flip is True


def test_home_is_expanded(photos, monkeypatch):
    monkeypatch.setenv("HOME", str(photos.parent))
    assert load_data("~/photos").name == "photos"


def _no_classes(root):
    write_image(root / "a.png")


def _one_class(root):
    write_class(root / "cats", 5)


def _empty_class(root):
    _one_class(root)
    (root / "dogs").mkdir()


def _class_of_others(root):
    _one_class(root)
    (root / "dogs").mkdir()
    (root / "dogs" / "a.txt").touch()


def _too_few(root):
    write_class(root / "cats", 2)
    write_class(root / "dogs", 2)


def _text_as_image(root):
    write_class(root / "dogs", 5)
    _one_class(root)
    (root / "cats" / "bad.png").write_text("not an image")


def _empty_file(root):
    write_class(root / "dogs", 5)
    _one_class(root)
    (root / "cats" / "bad.jpg").touch()


def _no_train(root):
    for split in ("val", "test"):
        for name in ("cats", "dogs"):
            write_class(root / split / name, 3)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda root: None, ["at least two class folders", "0 (none)"]),
        (_no_classes, ["at least two class folders", "0 (none)"]),
        (_one_class, ["at least two class folders", "1 (cats)"]),
        (_empty_class, ["Received: 1 (cats)", "empty: dogs"]),
        (_class_of_others, ["Received: 1 (cats)", "empty: dogs"]),
        (_too_few, ["has too few images: its validation split is empty"]),
        (_text_as_image, ["photos/cats/bad.png' (not an image of a known format)"]),
        (_empty_file, ["photos/cats/bad.jpg' (empty file)"]),
        (_no_train, ["no train folder", "Received: test, val"]),
    ],
)
def test_an_unusable_folder_is_refused(make, parts, tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    make(root)
    with pytest.raises(DataError) as caught:
        load_data(root)
    for part in parts:
        assert part in str(caught.value)


@pytest.fixture
def damaged(tmp_path):
    """A folder with an image in each split whose middle is damaged: only decoding can tell."""
    bad = []
    for part in ("train", "validation", "test"):
        for name in ("cats", "dogs"):
            write_class(tmp_path / part / name, 3)
        bad.append(write_image(tmp_path / part / "dogs" / "bad.png", size=(40, 40)))
        content = bytearray(bad[-1].read_bytes())
        middle = len(content) // 2
        content[middle : middle + 50] = bytes(50)
        bad[-1].write_bytes(bytes(content))
    return tmp_path, bad


def test_damage_inside_is_named_before_training(damaged):
    from keras_resnets import ResNetConfig

    folder, bad = damaged
    data = load_data(folder)
    uses = [lambda: data.adapt(ResNetConfig())]
    uses += [lambda split=split: data.images(split) for split in data.sizes]
    for use in uses:
        with pytest.raises(DataError, match="3 image files cannot be decoded") as caught:
            use()
        assert all(repr(str(path)) in str(caught.value) for path in bad)
        assert "\n" not in str(caught.value)


def test_damage_inside_is_left_out_where_that_is_asked_for(damaged):
    folder, _ = damaged
    data = load_data(folder, skip_unreadable=True)
    assert data.sizes == {"train": 6, "validation": 6, "test": 6}
    assert "left out: unreadable files: 3" in data.notes
    for split in data.sizes:
        data.images(split)


def test_the_fingerprint_follows_the_images(photos):
    before = load_data(photos).fingerprint
    assert load_data(photos).fingerprint == before
    assert load_data(photos, image_size=32).fingerprint != before
    path = write_image(photos / "cats" / "new.png")
    assert load_data(photos).fingerprint != before
    path.unlink()
    assert load_data(photos).fingerprint == before
    write_image(photos / "cats" / "000.png", size=(40, 40))
    assert load_data(photos).fingerprint != before
