"""Labels from a CSV table, as spreadsheets and scripts write them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keras_resnets.data import DataSettings, check_data, load_data
from keras_resnets.data.labels import read_labels
from keras_resnets.errors import DataError

ROWS = [(f"{number:02d}.png", "cat" if number % 2 else "dog, hot") for number in range(20)]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of twenty images, of grey values 0 to 19."""
    root = tmp_path_factory.mktemp("images")
    for number, (name, _) in enumerate(ROWS):
        Image.new("L", (3, 3), number).save(root / name)
    return root


def table(rows, separator=",", end="\n", quote='"', head=("file", "label")):
    """Return a CSV text; every cell is quoted."""
    rows = ([head] if head else []) + list(rows)
    return end.join(separator.join(f"{quote}{c}{quote}" for c in row) for row in rows) + end


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("head", [("file", "label"), ("File Name", "CLASS"), None])
def test_any_spreadsheet_is_read(end, separator, encoding, head, images, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(table(ROWS, separator, end, head=head).encode(encoding))
    found = read_labels(images, path)
    assert found.class_names == ["cat", "dog, hot"]
    read = {file.name: found.class_names[label] for file, label in found.files["train"]}
    assert read == dict(ROWS)


def test_images_get_their_labels_and_splits(images, tmp_path):
    path = tmp_path / "labels.csv"
    names = ["Train", "train", "training", "val", "TEST"]
    rows = [(file, label, names[number % 5]) for number, (file, label) in enumerate(ROWS)]
    path.write_text(table(rows, head=("file", "label", "split")))
    data = load_data(images, labels=path)
    assert data.sizes == {"train": 12, "validation": 4, "test": 4}
    seen = {}
    for split in data.sizes:
        pixels, labels = data.images(split)
        for value, label in zip(pixels[:, 0, 0, 0], labels, strict=True):
            seen[int(value)] = (data.class_names[label], split)
    expected = {"tr": "train", "Tr": "train", "va": "validation", "TE": "test"}
    assert seen == {n: (row[1], expected[row[2][:2]]) for n, row in enumerate(rows)}
    assert data.class_counts("train").tolist() == np.bincount(data.images("train")[1]).tolist()


def test_columns_may_stand_in_any_order_among_others(images, tmp_path):
    path = tmp_path / "labels.csv"
    rows = [("x", label, str(number), file) for number, (file, label) in enumerate(ROWS)]
    path.write_text(table(rows, head=("note", "label", "id", "file")))
    assert dict(read_labels(images, path).files["train"]).keys() == {images / f for f, _ in ROWS}


def test_files_may_be_named_without_their_ending(images, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(table([(file.removesuffix(".png"), label) for file, label in ROWS]))
    assert dict(read_labels(images, path).files["train"]).keys() == {images / f for f, _ in ROWS}


def test_a_table_elsewhere_may_name_files_from_where_it_lies(images, tmp_path):
    (tmp_path / "tables").mkdir()
    path = tmp_path / "tables" / "labels.csv"
    path.write_text("sep=,\n" + table([(str(images / f), label) for f, label in ROWS], quote='"'))
    report = check_data(DataSettings(dataset=images, labels=path))
    assert sum(report["images"].values()) == 20


def test_what_the_table_leaves_out_is_counted(images, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(table(ROWS[:15]))
    assert read_labels(images, path).left_out == {"images that the labels do not name": 5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "are empty"),
        ("\n\n", "are empty"),
        ("file,label\n", "name no files"),
        ("file,size\n00.png,3\n", "must have the columns file and label.*Received: file, size"),
        ("file,label\n00.png\n", "row 2 .* must have a file and a label"),
        ("file,label\n00.png,\n", "row 2 .* must have a file and a label"),
        ("file,label\n00.png,cat\n01.png,cat\n", "at least two classes.*Received: 1 \\(cat\\)"),
        ("00.png,cat\nnowhere.png,dog\n", "name 1 file not in .*: nowhere.png"),
        ("00.png,cat\n00.png,dog\n", "give '00.png' twice: 'cat' and 'dog'"),
        ("00.png,cat,train\n01.png,dog,tset\n", "row 2 .*; nearest: test. Received: tset"),
        ("00.png,cat,test\n01.png,dog,test\n", "have no train split"),
        ('00.png,"cat\n', "cannot be read as a CSV file"),
    ],
)
def test_a_wrong_table_is_one_line(text, words, images, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        load_data(images, labels=path)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_none(images, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_labels(images, tmp_path / "no.csv")
    with pytest.raises(DataError, match="is a folder, not a CSV file"):
        read_labels(images, tmp_path)
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(DataError, match="are not UTF-8 text: save them as 'CSV UTF-8'"):
        read_labels(images, tmp_path / "bad.csv")
    with pytest.raises(DataError, match="`labels` goes with a folder"):
        load_data("keras_resnets_digits", labels="labels.csv")


_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1)


@given(st.lists(_NAMES, min_size=2, max_size=2, unique=True))
def test_any_names_of_classes_survive(images, tmp_path_factory, names):
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    quoted = [name.replace('"', '""') for name in names]
    rows = [(file, quoted[number % 2]) for number, (file, _) in enumerate(ROWS)]
    path.write_text(table(rows), "utf-8")
    assert read_labels(images, path).class_names == sorted(names)
