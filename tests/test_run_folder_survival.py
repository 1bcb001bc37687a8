"""A run folder that is deleted, damaged, littered or on a broken disk."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from keras_resnets.errors import InputError, MachineError, RunError, RunFolderError
from keras_resnets.files import replacing_folder, write_json, write_text
from keras_resnets.run_folder import RunFolder
from keras_resnets.state import read_state, write_state

SETTINGS = {"seed": 0}


def begin(path, facts=()):
    with RunFolder(path, "train", SETTINGS) as folder:
        for name, value in facts:
            folder.keep(name, value)


def _a_file(path):
    write_text(path / "deep" / "history.csv", "epoch")


def _a_folder(path):
    with replacing_folder(path / "saved_model") as beside:
        beside.mkdir()


def _a_temporary_file(path):
    tempfile.mkstemp()


@pytest.mark.parametrize("write", [_a_file, _a_folder, _a_temporary_file])
@pytest.mark.parametrize("emptied", [False, True])
def test_one_that_is_deleted_under_way_is_one_line_and_stays_deleted(write, emptied, tmp_path):
    path = tmp_path / "runs" / "run"

    def run():
        with RunFolder(path, "train", SETTINGS):
            shutil.rmtree(path)
            if emptied:
                path.mkdir()
            write(path)

    with pytest.raises(RunError, match=f"run folder '{path}' was deleted") as caught:
        run()
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, InputError)
    assert list(path.parent.rglob("*")) == [path] * emptied
    begin(path)  # the same command begins again


@pytest.mark.parametrize("text", ["{}", '{"command": 5, "settings": [1]}', "pipe"])
def test_the_copy_takes_the_place_of_a_damaged_identity(text, tmp_path):
    begin(tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()
    if text == "pipe":
        os.mkfifo(tmp_path / "run" / "run.json")
    else:
        (tmp_path / "run" / "run.json").write_text(text)
    begin(tmp_path / "run")
    assert read_state(tmp_path / "run" / "run.json")["command"] == "train"


@pytest.mark.parametrize("text", ["{}", '{"test_accuracy": 0.99}', "pipe"])
def test_a_summary_without_a_checksum_finishes_nothing(text, tmp_path):
    begin(tmp_path / "run")
    summary = tmp_path / "run" / "summary.json"
    os.mkfifo(summary) if text == "pipe" else summary.write_text(text)
    folder = RunFolder(tmp_path / "run", "train", SETTINGS)
    assert not folder.is_finished
    assert folder.damage[0].startswith("summary.json is damaged (it ")


@pytest.mark.parametrize("name, make", [("history.csv", os.mkdir), ("saved_model/", Path.touch)])
def test_what_lies_where_a_file_belongs_is_named_before_any_work(name, make, tmp_path):
    make(tmp_path / name.rstrip("/"))
    with pytest.raises(RunFolderError, match=rf"'{name.rstrip('/')}' belongs: move it away$"):
        RunFolder(tmp_path, "train", SETTINGS, files=[name])


def test_what_is_in_the_way_must_go_before_the_command_is_given_again(tmp_path):
    def run():
        with RunFolder(tmp_path, "train", SETTINGS):
            (tmp_path / "a").mkdir()
            os.replace(tmp_path / "run.json", tmp_path / "a")

    with pytest.raises(MachineError, match="once that is moved away, the same command resumes"):
        run()


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to(path.parent)])
def test_a_file_or_a_link_is_no_folder_for_temporary_files(make, tmp_path):
    begin(tmp_path / "run")
    make(tmp_path / "run" / ".tmp")
    begin(tmp_path / "run")
    assert (tmp_path / "run" / "run.json").is_file()


def test_other_folders_can_be_written_all_the_same(tmp_path):
    with RunFolder(tmp_path / "run", "train", SETTINGS):
        write_text(tmp_path / "beside" / "a.txt", "a")
        write_text(tmp_path / "run" / "in" / "a.txt", "a")
    shutil.rmtree(tmp_path / "run")
    write_text(tmp_path / "run" / "a.txt", "a")  # nobody's any more


def test_a_failure_of_the_machine_says_that_the_command_resumes(tmp_path):
    def run():
        with RunFolder(tmp_path / "run", "train", SETTINGS):
            raise OSError(28, "No space left on device", "history.csv")

    with pytest.raises(MachineError, match=r"No space left.*; the same command resumes"):
        run()


@pytest.mark.parametrize("error", [RunError("no"), InputError("no"), KeyError("no")])
def test_other_errors_stay_what_they_are(error, tmp_path):
    with pytest.raises(type(error)) as caught, RunFolder(tmp_path / "run", "train", SETTINGS):
        raise error
    assert caught.value is error


def test_temporary_files_lie_in_the_folder_and_go_at_its_end(tmp_path):
    path, before = tmp_path / "run", tempfile.gettempdir()
    (path / ".tmp").mkdir(parents=True)
    (path / ".tmp" / "__autograph_generated_fileabc.py").touch()
    with RunFolder(path, "train", SETTINGS):
        assert Path(tempfile.gettempdir()) == path / ".tmp"
        assert list((path / ".tmp").iterdir()) == []
        tempfile.mkdtemp(suffix="tfds")
    assert not (path / ".tmp").exists()
    assert tempfile.gettempdir() == before


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    begin(tmp_path / "run")
    halves = [".checkpoint-averages-3.tmp.npz", "trials/.03.tmp.json", ".model.tmp.keras"]
    for name in halves:
        (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "run" / name).touch()
    (tmp_path / "run" / ".hidden").touch()
    begin(tmp_path / "run")
    assert not any((tmp_path / "run" / name).exists() for name in halves)
    assert (tmp_path / "run" / ".hidden").exists()


STRAYS = [".DS_Store", "Thumbs.db", "notes.txt~", "run (copy).json", "backup/run.json"]


def test_stray_files_in_a_run_are_ignored(tmp_path):
    begin(tmp_path / "run")
    for name in STRAYS:
        (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "run" / name).write_text("[]")
    begin(tmp_path / "run")
    assert all((tmp_path / "run" / name).read_text() == "[]" for name in STRAYS)


@pytest.mark.parametrize(
    ("name", "begins"),
    [(".DS_Store", True), ("Thumbs.db", True), ("notes.txt", False), (".git", False)],
)
def test_what_a_file_manager_writes_does_not_make_a_folder_foreign(name, begins, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).touch()
    if begins:
        begin(tmp_path / "run")
    else:
        with pytest.raises(RunFolderError, match="is not empty"):
            begin(tmp_path / "run")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"command": "train"', None, '{"a": 1, "checksum": {}}']
)
@pytest.mark.parametrize("name", ["run.json", ".run.json"])
def test_a_damaged_identity_is_mended_from_its_copy(name, text, tmp_path):
    path = tmp_path / "run"
    begin(path, [("data set", "one")])
    write_state(path / "trials" / "00.json", {})
    file = path / name
    file.unlink() if text is None else file.write_text(text)
    folder = RunFolder(path, "train", SETTINGS)
    with folder:
        assert folder.keep("data set", "other") == "one"
    assert len(folder.damage) == (name == "run.json")
    assert read_state(path / "run.json") == read_state(path / ".run.json")
    with pytest.raises(RunFolderError, match="there seed=0, here seed=1"):
        RunFolder(path, "train", {"seed": 1})


def test_where_both_copies_are_damaged_the_line_says_why(tmp_path):
    begin(tmp_path / "run")
    for name in ("run.json", ".run.json"):
        (tmp_path / "run" / name).write_text('{"command": "train", "checksum": {}}')
    with pytest.raises(RunFolderError, match=r"holds no run .*run\.json: its checksum differs"):
        begin(tmp_path / "run")


@pytest.mark.parametrize("text", ["", "[]", '{"checksum": {"format": 1, "sha256": "0"}}'])
def test_a_damaged_summary_is_told_and_means_unfinished(text, tmp_path):
    path = tmp_path / "run"
    begin(path)
    write_state(path / "summary.json", {"epochs": 3})
    assert RunFolder(path, "train", SETTINGS).is_finished
    (path / "summary.json").write_text(text)
    folder = RunFolder(path, "train", SETTINGS)
    assert not folder.is_finished
    (line,) = folder.damage
    assert line.startswith("summary.json is damaged (")


def test_a_folder_of_an_older_version_is_resumed(tmp_path):
    """It has no checksums and no copy."""
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "run.json", {"command": "train", "settings": SETTINGS, "a": 1})
    begin(tmp_path / "run", [("a", 2)])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["a"] == 1


def test_a_summary_of_an_older_version_is_read(tmp_path):
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "run.json", {"command": "train", "settings": SETTINGS})
    write_json(tmp_path / "run" / "summary.json", {"data": {}, "test_accuracy": 0.9})
    with RunFolder(tmp_path / "run", "train", SETTINGS) as folder:
        assert folder.is_finished
        assert folder.summary()["test_accuracy"] == 0.9
