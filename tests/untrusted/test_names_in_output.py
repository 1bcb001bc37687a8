"""Names of files and classes are data: no terminal and no spreadsheet obeys them."""

import csv
import io
import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.data.labels import read_labels
from keras_resnets.files import csv_text, plain_cell, write_text
from keras_resnets.training.class_weights import read_class_weights
from keras_resnets.verbosity import Printer
from keras_resnets.words import json_text, printable

EVIL = "\x1b[2J\x1b]0;owned\x07cat\u202egpj.exe\x9b31m"
"""Clears the screen, sets the window's title, and shows its end backwards."""

OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f]")


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = printable(text)
    assert not OBEYED.search(shown)
    assert "\n" not in shown
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    assert printable(shown) == shown


@pytest.mark.parametrize("name", ["Katze", "猫", "قط", "बिल्ली", "👩‍🔬", "a b", "naïve", "\u200c"])
def test_names_in_any_script_stay(name):
    assert printable(name) == name


@given(st.dictionaries(st.text(), st.text()))
def test_json_on_a_terminal_reads_back(value):
    for options in ({}, {"ensure_ascii": False}):
        text = json_text(value, **options)
        assert not OBEYED.search(text)
        assert json.loads(text) == value


def test_every_line_of_progress():
    lines = []
    Printer(lines.append)(f"wrote {EVIL}\nand more")
    assert len(lines) == 1
    assert not OBEYED.search(lines[0])
    assert lines[0].endswith("\nand more")


FORMULAS = [
    "=1+2",
    "+1+2",
    "-1+2",
    "@SUM(A1)",
    "\uff1d1",
    '=HYPERLINK("x")',
    # Names, even if they look like numbers.
    "+5",
    "-3",
    "-0.5",
    "-1e-7",
]


@pytest.mark.parametrize("name", FORMULAS)
def test_no_cell_is_a_formula(name):
    text = csv_text([{"class": name, "images": -3, "part": -0.5}], ["class", "images", "part"])
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["class"] == f"'{name}"
    assert (row["images"], row["part"]) == ("-3", "-0.5")
    assert plain_cell(row["class"]) == name


def test_headings_are_cells():
    assert csv_text([], ["=1+2"]) == "'=1+2\n"


@pytest.mark.parametrize("number", [-0.5, -3, -1e-7, np.float32(-0.5), np.int64(-1)])
def test_numbers_stay_numbers(number):
    assert csv_text([{"x": number}], ["x"]) == f"x\n{number}\n"


@pytest.mark.parametrize("name", [EVIL, "\t=1", "\r=1", "\n=1", "a\r\nb", "\u2028", Path("-\x1b")])
def test_nothing_that_a_terminal_obeys_is_in_a_cell(name):
    text = csv_text([{"class": name, "x": 1}], ["class", "x"])
    assert not OBEYED.search(text)
    assert len(text.splitlines()) == 2
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert plain_cell(row["class"]) == printable(str(name))
    assert not OBEYED.search(csv_text([], [name]))


@given(st.text(alphabet=st.sampled_from("'=+-@\t ab,\"1")))
def test_reading_is_the_inverse_of_writing(name):
    text = csv_text([{"class": name, "x": 1}], ["class", "x"])
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert plain_cell(rows[1][0]) == printable(name)


def test_class_weights_are_read_by_the_names_that_were_written(tmp_path):
    weights = {"=cat": 2.0, "@dog": 1.0, "'tis": 3.0, "-1": 1.0}
    rows = [{"class": name, "weight": weight} for name, weight in weights.items()]
    write_text(tmp_path / "weights.csv", csv_text(rows, ["class", "weight"]))
    assert read_class_weights(str(tmp_path / "weights.csv")) == weights


def test_labels_are_read_by_the_names_that_were_written(tmp_path):
    files = {"-a.png": "=cat", "b.png": "@dog", "'c.png": "=cat", "'=d.png": "@dog"}
    for name in files:
        (tmp_path / name).write_bytes(b"")
    rows = [{"file": name, "label": label} for name, label in files.items()]
    write_text(tmp_path / "labels.csv", csv_text(rows, ["file", "label"]))
    layout = read_labels(tmp_path, tmp_path / "labels.csv")
    assert layout.class_names == ["=cat", "@dog"]
    found = {path.name: layout.class_names[label] for path, label in layout.files["train"]}
    assert found == files


@pytest.fixture(scope="module")
def evil_folder(tmp_path_factory, image_folder):
    return image_folder(
        tmp_path_factory.mktemp("evil") / "photos", {EVIL: 4, "\ndog\n": 4, "=1+2": 4}
    )


@pytest.fixture(scope="module")
def image_folder():
    from PIL import Image

    def make(root, classes):
        for label, count in classes.items():
            (root / label).mkdir(parents=True)
            for index in range(count):
                shade = (40 * index + len(label)) % 256
                Image.new("RGB", (9, 8), (shade, 255 - shade, 80)).save(
                    root / label / f"{index}.png"
                )
        return root

    return make


@pytest.mark.parametrize("as_json", [False, True])
def test_check_data(evil_folder, capfd, as_json):
    from keras_resnets.cli import main

    with pytest.raises(SystemExit) as end:
        main(["check-data", str(evil_folder), *["--json"] * as_json])
    out, err = capfd.readouterr()
    assert (end.value.code or 0, err) == (0, "")
    assert not OBEYED.search(out)
    assert "cat" in out
    if as_json:
        assert {row["class"] for row in json.loads(out)["classes"]} == {EVIL, "\ndog\n", "=1+2"}


def test_errors_that_name_files(tmp_path, capfd):
    from keras_resnets.cli import main

    (tmp_path / f"{EVIL}.png").write_bytes(b"no image")
    for arguments in (
        ["predict", str(tmp_path / f"{EVIL}.keras"), "x.png"],
        ["train", EVIL],
        ["train", "resnet8_cifar", "--dataset", str(tmp_path / EVIL)],
        ["check-data", EVIL],
        ["recipes", EVIL],
        ["--" + EVIL],
        [EVIL],
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        out, err = capfd.readouterr()
        assert (end.value.code, out) == (2, "")
        assert err.count("\n") == 1
        assert not OBEYED.search(err), arguments
