"""``keras-resnets show-data``: a picture of what augmentation does."""

import numpy as np
import pytest
from PIL import Image

from keras_resnets.data import Augmentation
from keras_resnets.data.pictures import augmented_versions, draw_augmentation

SETTINGS = ("--set", "mixup=0.5", "--set", "crop=none", "--images", 3, "--versions", 2)


def test_a_picture_is_written(call, tmp_path, tree):
    done = call("show-data", *SETTINGS, "-o", "mixed.png", cwd=tmp_path).check()
    assert done.lines == ["wrote mixed.png"]
    assert list(tree(tmp_path)) == ["mixed.png"]
    with Image.open(tmp_path / "mixed.png") as picture:
        assert picture.width == pytest.approx(100 * (3 * 0.96 + 0.1), abs=2)
        assert np.ptp(np.asarray(picture.convert("L"))) == 255


@pytest.mark.large
def test_a_recipes_augmentation_is_drawn_with_changes(call, image_folder, tmp_path):
    image_folder(tmp_path / "photos", {"cats": 6, "dogs": 6})
    options = ["--dataset", "photos", "--image-size", 16, "--images", 2, "--versions", 1]
    for number, changes in enumerate(([], ["--set", "trivial_augment=true", "--set", "padding=6"])):
        output = f"{number}.png"
        call(
            "show-data", *options, "--recipe", "he2015-cifar", *changes, "-o", output, cwd=tmp_path
        ).check()
    assert (tmp_path / "0.png").read_bytes() != (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--output data.jpg", "`--output` must end in .png. Received: data.jpg"),
        ("--output no/data.png", "`--output` must be a file in an existing folder"),
        ("--set mixup=-1", "`augmentation.mixup` must be 0, or at least 0.05. Received: mixup=-1"),
        ("--set mixup", "a setting must be NAME=VALUE"),
        ("--set miksup=1", "nearest: mixup"),
        ("--set momentum=0.5", "`optimizer.momentum` is not a setting of the augmentation"),
        ("--recipe nosuch", "nosuch"),
        ("--images 0", "'--images'"),
        ("--set padding=8", "`padding` must be less than the images' sides"),
        ("--dataset ./nosuch", "dataset folder './nosuch' does not exist"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(arguments, message, call, tmp_path, tree):
    done = call("show-data", *arguments.split(), cwd=tmp_path)
    assert done.code == 2
    assert done.out == ""
    assert message in done.err
    assert done.err.count("\n") == 1
    assert tree(tmp_path) == {}


def test_versions_are_of_the_images_beside_them(digits):
    images, labels = digits.images("train", 20)
    augmentation = Augmentation(crop="none", repeats=2)
    versions, weights = augmented_versions(digits, augmentation, [3, 7, 11], versions=3)
    assert versions.shape == (3, 3, 8, 8, 1)
    for row, places in zip(versions, (3, 7, 11), strict=True):
        np.testing.assert_array_equal(row, np.broadcast_to(images[places], row.shape))
    np.testing.assert_array_equal(weights.argmax(-1), labels[[3, 7, 11]][:, None].repeat(3, 1))


def test_rows_are_of_different_classes_and_mixtures_are_named(digits):
    figure = draw_augmentation(digits, Augmentation(mixup=1.0), images=5, versions=2)
    names = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert len(set(names)) == 5
    titles = [ax.get_title().split() for ax in figure.axes if ax.get_title() != "original"]
    mixed = [title for title in titles if len(title) == 4]
    assert mixed
    for first, weight, second, rest in mixed:
        assert {first, second} <= set(names)
        assert float(weight) + float(rest) == pytest.approx(1, abs=0.011)
