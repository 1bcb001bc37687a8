"""The report on a data set: damage, leakage, balance."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_resnets.data.checking import check_data, report_lines
from keras_resnets.data.settings import DataSettings


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A folder with one fault of each kind, checked."""
    root = tmp_path_factory.mktemp("checked") / "photos"
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2), ("test", 3)):
        for name in ("cats", "dogs"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count // (1 + (name == "dogs" and split == "train"))):
                size = (6 + index, 5, 3)
                Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(folder / f"{index}.png")
    shutil.copy(root / "train/cats/0.png", root / "test/cats/leak.png")
    Image.open(root / "train/cats/1.png").save(root / "val/cats/leak.bmp")
    shutil.copy(root / "train/cats/2.png", root / "train/cats/again.png")
    shutil.copy(root / "train/cats/3.png", root / "train/dogs/conflict.png")
    (root / "train/dogs/bad.jpg").write_bytes(b"")
    (root / "train/dogs/notes.txt").write_text("dogs")
    return check_data(DataSettings(dataset=root))


def test_everything_is_found(report):
    assert report["images"] == {"train": 14, "validation": 5, "test": 7}
    assert report["classes"] == [
        {"class": "cats", "train": 9, "validation": 3, "test": 4},
        {"class": "dogs", "train": 5, "validation": 2, "test": 3},
    ]
    assert report["formats"] == {"PNG": 25, "BMP": 1}
    assert report["sizes"] == {"smallest": [6, 5], "largest": [13, 5], "different": 8}
    assert report["imbalance"] == 1.8
    assert report["left_out"] == {"other files (.txt)": 1, "unreadable files": 1}
    assert [row["reason"] for row in report["unreadable"]] == ["empty file"]
    assert report["leaks"] == [
        ["train: train/cats/0.png", "test: test/cats/leak.png"],
        ["train: train/cats/1.png", "validation: val/cats/leak.bmp"],
    ]
    assert report["repeats"] == 2
    assert sorted(report["conflicts"][0]) == [
        "cats: train/cats/3.png",
        "dogs: train/dogs/conflict.png",
    ]
    json.dumps(report)


def test_the_lines_fit_a_terminal(report):
    lines = report_lines(report)
    assert all(len(line) <= 80 for line in lines if not line.startswith("  "))
    assert "in several splits  2" in lines
    assert "in several classes  1" in lines


@pytest.mark.tensorflow
@pytest.mark.large
def test_a_tfds_set_is_checked_too(digits):
    report = check_data(DataSettings())
    assert report["images"] == digits.sizes
    assert report["sizes"] == {"smallest": [8, 8], "largest": [8, 8], "different": 1}
    assert report["grey"]
    assert report["leaks"] == report["unreadable"] == []
    assert [row["test"] for row in report["classes"]] == digits.class_counts("test").tolist()
