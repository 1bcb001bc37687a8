"""Files and folders are written whole or not at all."""

import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.files import replacing, replacing_folder, write_json, write_text


def _write_file(beside, text):
    beside.write_text(text)


def _write_folder(beside, text):
    beside.mkdir()
    (beside / "part").write_text(text)


def _read(path):
    return (path / "part" if path.is_dir() else path).read_text()


KINDS = pytest.mark.parametrize(
    ("manager", "write"),
    [
        pytest.param(replacing, _write_file, id="file"),
        pytest.param(replacing_folder, _write_folder, id="folder"),
    ],
)


@KINDS
def test_new_content_appears_when_the_block_ends(manager, write, tmp_path):
    target = tmp_path / "deep" / "er" / "target.bin"
    for text in ("first", "second"):
        with manager(target) as beside:
            write(beside, text)
            assert not target.exists() or _read(target) == "first"
        assert _read(target) == text
    assert os.listdir(target.parent) == ["target.bin"]


@KINDS
def test_who_reads_the_old_content_reads_it_to_its_end(manager, write, tmp_path):
    """The new content takes the name in one step: nothing is written into what was there."""
    target = tmp_path / "target"
    with manager(target) as beside:
        write(beside, "old")
    with (target / "part" if target.is_dir() else target).open() as reader:
        with manager(target) as beside:
            write(beside, "new")
        assert reader.read() == "old"
    assert _read(target) == "new"


@KINDS
@pytest.mark.parametrize("good", [True, False], ids=["good one there", "nothing there"])
@pytest.mark.parametrize("written", [True, False], ids=["half written", "nothing written"])
def test_an_error_keeps_the_good_content_and_leaves_nothing(
    manager, write, good, written, tmp_path
):
    target = tmp_path / "target"
    if good:
        with manager(target) as beside:
            write(beside, "good")

    def interrupted():
        with manager(target) as beside:
            if written:
                write(beside, "bad")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == (["target"] if good else [])
    assert not good or _read(target) == "good"


@KINDS
def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_good_content(
    manager, write, tmp_path
):
    target = tmp_path / "target"
    with manager(target) as beside:
        write(beside, "good")
    with pytest.raises(FileNotFoundError), manager(target):
        pass
    assert os.listdir(tmp_path) == ["target"]
    assert _read(target) == "good"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_write_keeps_the_good_content_and_the_next_one_cleans_up(kind, tmp_path):
    manager, write = {
        "file": (replacing, _write_file),
        "folder": (replacing_folder, _write_folder),
    }[kind]
    target = tmp_path / "target"
    with manager(target) as beside:
        write(beside, "good")
    program = f"""
import sys, time
from keras_resnets.files import {manager.__name__}
with {manager.__name__}(sys.argv[1]) as beside:
    {"beside.mkdir(); beside /= 'part'" if kind == "folder" else "pass"}
    beside.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(target)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert _read(target) == "good"
    with manager(target) as beside:
        write(beside, "new")
    assert _read(target) == "new"
    assert os.listdir(tmp_path) == ["target"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_folder_that_stood_aside_when_the_process_died_is_put_back(succeeds, tmp_path):
    target = tmp_path / "target"
    _write_folder(tmp_path / ".target.old", "good")  # between the two renames
    if succeeds:
        with replacing_folder(target) as beside:
            _write_folder(beside, "new")
    else:
        with pytest.raises(ZeroDivisionError), replacing_folder(target):
            raise ZeroDivisionError
    assert _read(target) == ("new" if succeeds else "good")
    assert os.listdir(tmp_path) == ["target"]


def test_a_folder_does_not_replace_a_file(tmp_path):
    target = tmp_path / "target"
    target.write_text("good")
    with pytest.raises(NotADirectoryError, match="is a file"), replacing_folder(target):
        pytest.fail("the block ran")
    assert _read(target) == "good"


def test_the_suffix_is_kept_while_writing(tmp_path):
    """Keras chooses the format of a file by its suffix."""
    with replacing(tmp_path / "model.keras") as beside:
        assert beside.suffix == ".keras"
        beside.touch()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=_JSON)
def test_json_is_read_back(value, tmp_path_factory):
    path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.endswith("\n")


def test_text_is_utf8(tmp_path):
    write_text(tmp_path / "a.txt", "größer 数字")
    assert (tmp_path / "a.txt").read_bytes() == "größer 数字".encode()


def test_a_value_that_is_no_json_leaves_the_good_file(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, 1)
    with pytest.raises(TypeError):
        write_json(path, object())
    assert json.loads(path.read_text()) == 1
