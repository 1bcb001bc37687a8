"""Files that others wrote: pipes, endless and deep ones are refused, in one line, at once."""

import contextlib
import json
import os
import socket
import stat
import zipfile

import pytest

from keras_resnets.analysis.runs import read_run
from keras_resnets.data.formats import UnreadableImage, read_header, read_image
from keras_resnets.data.labels import read_labels
from keras_resnets.errors import InputError
from keras_resnets.evaluation.names import class_names, training_summary
from keras_resnets.evaluation.photos import find_photos
from keras_resnets.models.files import check_model_file
from keras_resnets.reading import parse_json, read_bytes, read_json, read_text, reason
from keras_resnets.training.class_weights import read_class_weights
from keras_resnets.training.recipes import load_recipe

pytestmark = pytest.mark.timeout(20)  # nothing here may wait for a pipe

READERS = {
    "image": lambda path: find_photos(path),
    "model.keras": check_model_file,
    "model.tflite": check_model_file,
    "model.onnx": check_model_file,
    "labels.csv": lambda path: read_labels(path.parent, path),
    "weights.csv": lambda path: read_class_weights(str(path)),
    "weights.json": lambda path: read_class_weights(str(path)),
    "recipe.toml": load_recipe,
    "summary.json": lambda path: training_summary(path.with_name("model.keras")),
    "names.json": lambda path: class_names("model.keras", path),
    "run.json": lambda path: read_run(path.parent),
}


def make(kind, path):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_not_a_file_is_refused_at_once(name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    path = tmp_path / name
    make(kind, path.relative_to(tmp_path))
    with pytest.raises(InputError) as refused:
        READERS[name](path)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("file", ["history.csv", "summary.json", "checkpoint.keras", "best.keras"])
def test_a_pipe_in_a_run_folder(file, tmp_path):
    settings = {"model": "resnet8_cifar", "recipe": {}, "epochs": 3, "final_epochs": 3}
    (tmp_path / "run.json").write_text(json.dumps({"command": "train", "settings": settings}))
    os.mkfifo(tmp_path / file)
    with pytest.raises(InputError, match=r"named pipe|is not a model of a training"):
        read_run(tmp_path)


def test_a_pipe_in_a_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    (tmp_path / "variables").mkdir()
    os.mkfifo(tmp_path / "variables" / "variables.index")
    with pytest.raises(InputError, match=r"variables\.index: it is a named pipe"):
        check_model_file(tmp_path)


def test_no_more_bytes_than_the_limit(tmp_path):
    path = tmp_path / "large.jpg"
    path.touch()
    os.truncate(path, 3 << 30)  # of no blocks on the disk
    for function in (read_header, read_image):
        with pytest.raises(UnreadableImage, match=r"it has 3\.2 GB; at most 2\.1 GB are read"):
            function(path)
    with pytest.raises(OSError, match="at most 10 bytes"):
        read_bytes(path, most=10)


DEEP = 100_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("weights.json", "[" * DEEP),
        ("summary.json", '{"data": ' * DEEP),
        ("names.json", "[" * DEEP),
        ("recipe.toml", "x = " + "[" * DEEP),
        ("run.json", '{"a":' * DEEP),
    ],
)
def test_deep_nesting_is_refused(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="nested too deep"):
        READERS[name](tmp_path / name)


def test_deep_nesting_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "[" * DEEP)
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF")
    with pytest.raises(InputError, match=r"config\.json inside is damaged"):
        check_model_file(tmp_path / "model.keras")


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_an_archive_that_unpacks_to_far_more_is_refused(member, tmp_path):
    members = {"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b"\x89HDF"}
    members[member] += b" " * (17 << 20)
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match=rf"{member} inside grows from .* more than 100 times"):
        check_model_file(path)


HARMLESS = [
    ("name", "x"),
    ("classes", ["a"]),
    ("classes", None),
    ("image_size", 5),
    ("image_size", None),
    ("labels", "x"),
    ("labels", None),
    ("channels", None),
    ("channels", True),
    ("", {"a": 1}),
]
WRONG = ["x", 5, ["a"], {"a": 1}, None, True, 1e400]


@pytest.mark.parametrize("value", WRONG, ids=repr)
@pytest.mark.parametrize(
    "field",
    ["", "data", "name", "classes", "image_size", "fit", "background", "labels", "channels"],
)
def test_wrong_types_in_a_summary_are_refused_or_harmless(field, value, tmp_path):
    data = {"name": "photos", "classes": ["a", "b"], "fit": "pad"}
    summary = {"data": data}
    if field == "":
        summary = value
    elif field == "data":
        summary["data"] = value
    else:
        data[field] = value
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with contextlib.ExitStack() as stack:
        if (field, value) not in HARMLESS:
            stack.enter_context(
                pytest.raises(InputError, match=r"\A[^\n]* is not a summary of a training[^\n]*\Z")
            )
        names = class_names(tmp_path / "model.keras")
        assert names is None or all(isinstance(name, str) for name in names)


def test_wrong_types_in_names(tmp_path):
    for text in ('{"data": []}', '{"data": {"classes": 5}}', "[[1]]", "[null]", "5", "{}"):
        (tmp_path / "names.json").write_text(text)
        with pytest.raises(InputError, match="names no classes"):
            class_names("model.keras", tmp_path / "names.json")


@pytest.mark.parametrize("field", ["params", "macs", "test_accuracy", "seconds"])
@pytest.mark.parametrize("value", ["x", [1], {"a": 1}, True])
def test_wrong_types_in_a_runs_summary(field, value, tmp_path):
    settings = {"model": "resnet8_cifar", "recipe": {}, "epochs": 3}
    (tmp_path / "run.json").write_text(json.dumps({"command": "train", "settings": settings}))
    summary = {"params": 1, "macs": 1, "test_accuracy": 0.5, "seconds": 1.0, field: value}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(InputError, match=rf"is damaged: `{field}` is not a number"):
        read_run(tmp_path)


def test_texts_with_a_byte_order_mark_and_others(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "a") == [1]
    (tmp_path / "b").write_bytes(b"ab\xff")
    with pytest.raises(ValueError, match="byte 2 is damaged"):
        read_text(tmp_path / "b")
    with pytest.raises(ValueError, match="nested too deep"):
        parse_json("[" * DEEP)


TENSORFLOW = (
    "Graph execution error:\n\nDetected at node X defined at (most recent call last):\n"
    "<stack traces unavailable>\n2 root error(s) found.\n"
    "  (0) DATA_LOSS:  corrupted record at 48\n\t [[{{node IteratorGetNext}}]]\n"
    "0 successful operations.\n0 derived errors ignored. [Op:__inference_multi_step_on_iterator_9]"
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError(TENSORFLOW), "corrupted record at 48"),
        (ValueError("{{function_node __wrapped__X}} bad [Op:X] name: "), "bad"),
        (
            ValueError(
                "A total of 1 objects could not be loaded. Example error message for <D>:\n\nno"
            ),
            "no",
        ),
        (ValueError("in /a/lib/site-packages/keras/src/x.py at 0x7f12"), "in ..."),
        (ValueError("a\x1b[2Jb"), r"a\x1b[2Jb"),
        (ValueError(""), "ValueError"),
        (KeyError("name"), "'name' is missing"),
        (OSError(28, "No space left on device", "x"), "No space left on device"),
        (RecursionError("maximum recursion depth"), "it is nested too deep"),
    ],
)
def test_a_reason_is_one_line_without_a_librarys_insides(error, words):
    assert reason(error) == words


def test_devices_and_pipes_are_not_replaced_by_outputs(tmp_path, monkeypatch):
    from keras_resnets.cli.options import check_output
    from keras_resnets.outputs import check_file

    os.mkfifo(tmp_path / "out.csv")
    with pytest.raises(InputError):
        check_output(str(tmp_path / "out.csv"))
    with pytest.raises(InputError):
        check_file(tmp_path / "out.csv", "output", (".csv",))
    assert stat.S_ISFIFO((tmp_path / "out.csv").stat().st_mode)


def test_a_message_leaves_out_the_middle_of_what_it_quotes(tmp_path):
    path = tmp_path / "weights.csv"
    path.write_text("a,1\n" + "[" * 100_000)
    with pytest.raises(InputError) as caught:
        read_class_weights(str(path))
    assert str(caught.value).startswith(f"class weights '{path}' cannot be read: line 2 must be")
    assert len(str(caught.value)) < 4100
