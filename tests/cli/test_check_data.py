"""The command ``check-data``."""

import json
import shutil

import pytest
from PIL import Image


@pytest.fixture(scope="module")
def home(tmp_path_factory, image_folder):
    """A folder of images of which one is in two classes, one is damaged, and one is a text."""
    home = tmp_path_factory.mktemp("checked")
    image_folder(home / "photos", {"cats": 12, "dogs": 10})
    for path in (home / "photos/dogs").glob("*.png"):
        Image.open(path).convert("L").convert("RGB").save(path)
    shutil.copy(home / "photos/cats/11.png", home / "photos/dogs/11.png")
    (home / "photos/dogs/bad.jpg").write_bytes(b"\xff\xd8\xff")
    (home / "photos/dogs/notes.txt").write_text("dogs")
    return home


def test_it_says_what_is_in_the_folder_and_what_is_wrong(call, home, tree):
    before = tree(home)
    ended = call("check-data", "photos", cwd=home).check()
    assert tree(home) == before
    assert ended.lines[0] == "photos: class folders, 2 classes"
    assert "in several classes  1" in ended.lines
    assert "unreadable  1" in ended.lines
    assert "left out    other files (.txt): 1" in ended.lines
    table = [line.split() for line in ended.lines[-3:]]
    assert table == [
        ["class", "train", "validation", "test"],
        ["cats", "10", "1", "1"],
        ["dogs", "9", "1", "1"],
    ]


def test_json_and_a_picture(call, home):
    ended = call("check-data", "photos", "--json", "-o", "photos.png", cwd=home).check()
    report = json.loads(ended.out)
    assert report["images"] == {"train": 19, "validation": 2, "test": 2}
    assert report["sizes"]["different"] == 1
    assert [row["reason"] for row in report["unreadable"]] == ["damaged JPEG"]
    with Image.open(home / "photos.png") as picture:
        assert min(picture.size) > 100


def test_the_picture_is_named_as_written(call, home):
    ended = call("check-data", "photos", "-o", "grid.png", cwd=home).check()
    assert "wrote grid.png" in ended.lines


def test_a_picture_has_a_row_a_class(home):
    from keras_resnets.data import load_data
    from keras_resnets.data.pictures import draw_classes

    data = load_data(home / "photos", skip_unreadable=True)
    rows = draw_classes(data, images=3).axes
    assert len(rows) == 6
    assert [ax.get_ylabel() for ax in rows[::3]] == ["cats", "dogs"]
    digits = draw_classes(load_data(), classes=5, images=2)  # every other class
    assert [ax.get_ylabel() for ax in digits.axes[::2]] == ["0", "2", "4", "6", "8"]
