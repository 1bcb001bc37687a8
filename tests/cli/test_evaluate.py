"""The commands ``evaluate`` and ``predict``."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_resnets.errors import InputError
from keras_resnets.evaluation.prediction import run_predict
from keras_resnets.evaluation.program import _check_classes


@pytest.fixture(scope="session")
def called(call):
    """Run a command that must go well; return what it wrote."""
    return lambda *arguments, cwd: call(*arguments, cwd=cwd).check().out


@pytest.fixture(scope="module")
def home(called, trained_run, digits, image_folder, tmp_path_factory):
    """A folder with a trained network, its exports, and some digits as pictures."""
    home = tmp_path_factory.mktemp("evaluated")
    shutil.copytree(trained_run, home / "run")
    assert called("export", "run/model.keras", "--quiet", cwd=home) == ""
    image_folder(home / "pairs", {"cats": 3, "dogs": 3})
    for number, (image, label) in enumerate(zip(*digits.images("test", 6), strict=True)):
        path = home / "photos" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(path)
    (home / "photos" / "notes.txt").write_text("not an image, and left out")
    (home / "lies.png").write_text("not an image")
    (home / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    (home / "empty").mkdir()
    (home / "two.txt").write_text("cat\ndog\n")
    shutil.copy(home / "run" / "model.tflite", home)
    (home / "bad.tflite").write_bytes(b"no model")
    return home


@pytest.mark.parametrize("model", ["run/model.keras", "run/saved_model", "run/model.tflite"])
@pytest.mark.sampled(1)
def test_every_format_is_as_good_as_the_training_said(called, home, model):
    summary = json.loads((home / "run" / "summary.json").read_text())
    result = json.loads(called("evaluate", model, "--json", cwd=home))
    assert result["top1"] == pytest.approx(summary["test_accuracy"])
    assert result["images"] == summary["data"]["images"]["test"]


@pytest.mark.large
def test_the_table_and_the_folder_say_the_same(run, home):
    ended = run("evaluate", "run/model.tflite", "-o", "out", "--crops", "ten", cwd=home).check()
    result = json.loads((home / "out" / "evaluation.json").read_text())
    assert f"{result['top1']:.2%}" in ended.out
    assert re.search(r"5 views an image: 8\s+x 8 crops at 9 pixels", ended.out)
    rows = list(csv.DictReader((home / "out" / "per_class.csv").open()))
    assert [row["class"] for row in rows] == result["class_names"]
    for name in ("confusion.png", "calibration.png"):
        assert Image.open(home / "out" / name).size > (300, 300)


@pytest.mark.large
def test_predict_names_the_classes_of_the_training(run, home):
    arguments = ["--top", 2, "-o", "answers.csv", "--sheet", "sheet.png"]
    ended = run("predict", "run/model.tflite", "photos", *arguments, cwd=home).check()
    rows = list(csv.DictReader((home / "answers.csv").open()))
    assert len(rows) == 6 * 2
    assert rows[0]["file"] in ended.out
    assert all(row["true"] == row["file"].split("/")[-2] for row in rows)
    assert Image.open(home / "sheet.png").size > (300, 100)


def test_predict_agrees_with_evaluate(called, home):
    rows = json.loads(called("predict", "run/model.keras", "photos", "--json", cwd=home))
    arguments = ["--limit", 6, "--json"]
    result = json.loads(called("evaluate", "run/model.keras", *arguments, cwd=home))
    right = np.mean([row["predictions"][0]["class"] == row["true"] for row in rows])
    assert right == pytest.approx(result["top1"])
    for row in rows:
        values = [p["probability"] for p in row["predictions"]]
        assert values == sorted(values, reverse=True)
        assert len(values) == 5


@pytest.mark.large
def test_quiet_leaves_the_result_alone(called, home):
    loud = called("evaluate", "run/model.keras", cwd=home).splitlines()
    quiet = called("evaluate", "run/model.keras", "-q", "-o", "quiet", cwd=home).splitlines()
    assert "276 images" in loud[0]
    assert quiet == loud[1:]
    arguments = ["predict", "run/model.keras", "photos"]
    loud = called(*arguments, "-o", "loud.csv", cwd=home).splitlines()
    quiet = called(*arguments, "-o", "quiet.csv", "--quiet", cwd=home).splitlines()
    assert loud[:2] == ["left out: other files (.txt): 1", "wrote loud.csv"]
    assert quiet == loud[2:]
    arguments = ["convert", "run/model.keras", "--to", "folded", "-o", "folded.keras", "--quiet"]
    assert called(*arguments, cwd=home) == ""
    assert called("show-data", "--images", 1, "--versions", 1, "--quiet", cwd=home) == ""


@pytest.mark.parametrize(
    ("names", "expected"),
    [([], "0123456789"), (["--classes-from", "ten.txt"], "abcdefghij")],
)
def test_names_come_from_where_they_are_said_to(called, home, names, expected):
    (home / "ten.txt").write_text("\n".join("abcdefghij"))
    arguments = ["predict", "model.tflite", "photos", "--top", 20, "--json", *names]
    rows = json.loads(called(*arguments, cwd=home))
    classes = {p["class"] for p in rows[0]["predictions"]}
    assert classes == set(expected)
    assert rows[0]["true"] is None


def test_skipped_files_are_named(called, home):
    arguments = ["photos", "lies.png", "cut.png", "--skip-unreadable"]
    lines = called("predict", "model.tflite", *arguments, cwd=home).splitlines()
    assert lines[0] == "left out: other files (.txt): 1, unreadable files: 2"
    assert [line.split(" (")[0] for line in lines[1:3]] == ["  lies.png", "  cut.png"]


def test_one_path_is_a_list_of_one(home):
    photos = run_predict(home / "model.tflite", str(home / "photos"), verbose=0)
    assert len(photos) == 6
    (one,) = run_predict(home / "model.tflite", Path(photos[0]["file"]), verbose=0)
    assert one == photos[0]


WRONG = [
    ("evaluate missing.tflite", "existing .keras, .tflite or .onnx file or a SavedModel folder"),
    ("evaluate photos", "existing .keras, .tflite or .onnx file or a SavedModel folder"),
    ("evaluate model.tflite", "no summary.json beside .*give --dataset"),
    ("evaluate bad.tflite --dataset photos", "cannot be read as a TFLite model"),
    ("evaluate run/model.keras --split tset", "'tset' is not one of 'train', 'validation', 'test'"),
    ("evaluate run/model.keras --crops 5", "'5' is not one of 'center', 'ten', 'multi'"),
    ("evaluate run/model.keras --limit 0", "'--limit'"),
    ("evaluate run/model.keras -o lies.png", "`output` must be a folder that can be written"),
    ("evaluate run/model.keras --dataset pairs", "3 channels; the model takes 1"),
    ("evaluate run/model.keras --image-size 32", "`image_size` must be the model's, 8 x 8. Rec"),
    ("evaluate run/model.tflite --channels 3", "`channels` must be the model's, 1. Received: ch"),
    ("export run/model.keras -o new --image-size 8x9", r"the model's, 8 x 8.*image_size=\(8, 9\)"),
    ("convert run/model.keras --to folded -o f.keras --channels 3", "must be the model's, 1. Rec"),
    ("evaluate run/model.keras --dataset nosuch", "no data set is named 'nosuch'"),
    ("predict run/model.tflite", "Missing argument 'IMAGE...'"),
    ("predict run/model.tflite photos missing.png", "image 'missing.png' does not exist"),
    ("predict run/model.tflite photos lies.png", r"cannot be decoded .*'lies.png' \(not an image"),
    (
        "predict run/model.tflite photos cut.png -o a.csv",
        r"cannot be decoded .*'cut.png' \(damaged PNG\)",
    ),
    ("predict run/model.tflite empty", "folder 'empty' holds no images"),
    ("predict run/model.tflite photos --top 0", "'--top'"),
    ("predict run/model.tflite photos -o a.txt", "`output` must end in .csv or .json"),
    ("predict run/model.tflite photos --sheet lies.png/s.png", "`sheet` must lie in a folder"),
    ("predict run/model.tflite photos --sheet s.gif", "`sheet` must end in .png"),
    ("predict run/model.tflite photos --classes-from two.txt", "10 classes; 2 names are given"),
    ("predict run/model.tflite photos --image-size 9", "`image_size` must be the model's, 8"),
]


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_input_is_one_line_and_writes_nothing(call, home, tree, line, words):
    before = tree(home)
    ended = call(*line.split(), cwd=home)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert re.search(words, ended.err), ended.err
    assert tree(home) == before


def test_another_number_of_classes_is_one_error(home, digits):
    with pytest.raises(InputError, match="knows 2 classes; data set 'keras_resnets_digits' has 10"):
        _check_classes(2, digits, home / "model.tflite")


def test_another_order_of_the_classes_is_one_error(home, digits, tmp_path):
    """As silent as it would be, no number of a confused evaluation could be believed."""
    summary = json.loads((home / "run" / "summary.json").read_text())
    summary["data"]["classes"] = summary["data"]["classes"][::-1]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(InputError, match="in another order"):
        _check_classes(10, digits, tmp_path / "model.tflite")


@pytest.mark.parametrize("text", ["not JSON", "[1]", '{"data": 3}'])
def test_a_damaged_summary_is_one_error(call, home, tmp_path, text):
    shutil.copy(home / "model.tflite", tmp_path)
    (tmp_path / "summary.json").write_text(text)
    for arguments in (["evaluate", "model.tflite"], ["predict", "model.tflite", home / "photos"]):
        ended = call(*arguments, cwd=tmp_path)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
        assert "summary.json' is " in ended.err
