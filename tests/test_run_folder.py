"""A run folder belongs to one command with one set of settings, and to one process at a time."""

import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets.errors import InputError, RunFolderError
from keras_resnets.run_folder import RunFolder

SETTINGS = {"seed": 0, "epochs": 3, "dataset": "digits", "limit": None}


def _enter(path, command="train", settings=SETTINGS):
    with RunFolder(path, command, settings):
        pass


def test_the_same_command_goes_on(tmp_path):
    path = tmp_path / "deep" / "run"
    with RunFolder(path, "train", SETTINGS) as folder:
        (folder / "notes.txt").write_text("kept")
    with RunFolder(path, "train", dict(reversed(SETTINGS.items()))) as folder:
        assert folder.path == path
        assert (folder / "notes.txt").read_text() == "kept"


def test_settings_are_compared_as_json_holds_them(tmp_path):
    _enter(tmp_path / "run", settings={"widths": (8, 16)})
    _enter(tmp_path / "run", settings={"widths": [8, 16], "new": None})


@given(
    there=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2) | st.none()),
    here=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2) | st.none()),
)
def test_other_settings_are_refused_by_name(there, here, tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("runs") / "run"
    _enter(path, settings=there)
    before = tree(path)
    different = sorted(name for name in "abcd" if here.get(name) != there.get(name))
    if not different:
        _enter(path, settings=here)
        return
    name = different[0]
    with pytest.raises(RunFolderError) as caught:
        _enter(path, settings=here)
    for part in (str(path), f"{name}={there.get(name)!r}", f"{name}={here.get(name)!r}"):
        assert part in str(caught.value)
    assert tree(path) == before


def _another_command(path):
    _enter(path, command="search")


def _other_files(path):
    path.mkdir()
    (path / "photo.jpg").touch()


def _a_file(path):
    path.touch()


def _foreign_identity(text):
    def make(path):
        path.mkdir()
        (path / "run.json").write_text(text)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(_another_command, "another command, 'search'", id="another command"),
        pytest.param(_other_files, "holds no run", id="other files"),
        pytest.param(_a_file, "is not a folder", id="a file"),
        pytest.param(_foreign_identity("{"), "holds no run", id="run.json is no JSON"),
        pytest.param(_foreign_identity("[1]"), "holds no run", id="run.json is a list"),
        pytest.param(_foreign_identity('{"a": 1}'), "holds no run", id="run.json is foreign"),
        pytest.param(
            _foreign_identity('{"command": "train", "settings": []}'),
            "holds no run",
            id="run.json has strange settings",
        ),
    ],
)
def test_what_is_not_ours_is_refused_and_untouched(make, message, tmp_path, tree):
    make(tmp_path / "run")
    before = tree(tmp_path)
    with pytest.raises(RunFolderError, match=message) as caught:
        RunFolder(tmp_path / "run", "train", SETTINGS)
    assert str(tmp_path / "run") in str(caught.value)
    assert isinstance(caught.value, InputError)
    assert tree(tmp_path) == before


def test_a_folder_cannot_lie_in_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="file' is not a folder"):
        RunFolder(tmp_path / "file" / "deep" / "run", "train", SETTINGS)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
@pytest.mark.parametrize("inside", ["", "new"])
def test_a_folder_without_write_permission_is_refused(inside, tmp_path):
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(RunFolderError, match="cannot be written: permission denied"):
        RunFolder(tmp_path / "run" / inside, "train", SETTINGS)


def test_a_name_too_long_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match="cannot be written"):
        _enter(tmp_path / ("n" * 300))


def test_a_home_of_nobody_is_refused():
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunFolder("~no-such-user-anywhere/run", "train", SETTINGS)


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    _enter("~/run")
    assert (tmp_path / "run" / "run.json").is_file()


def test_an_interrupted_start_is_no_obstacle(tmp_path):
    for name in (".lock", ".run.tmp.json"):
        (tmp_path / name).touch()
    _enter(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["settings"] == SETTINGS


def test_making_the_object_writes_nothing(tmp_path, tree):
    RunFolder(tmp_path / "run", "train", SETTINGS)
    assert tree(tmp_path) == {}


def test_settings_are_checked_again_on_entering(tmp_path):
    """Another process can use the folder while this one still loads its data."""
    early = RunFolder(tmp_path / "run", "train", {"seed": 0})
    _enter(tmp_path / "run", settings={"seed": 1})
    for _ in range(2):  # and refusing releases the lock
        with pytest.raises(RunFolderError, match="seed=1, here seed=0"), early:
            pytest.fail("entered")
    _enter(tmp_path / "run", settings={"seed": 1})


def test_an_error_inside_releases_the_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path / "run", "train", SETTINGS):
        raise ZeroDivisionError
    _enter(tmp_path / "run")


def test_one_process_at_a_time_and_a_killed_one_holds_nothing(tmp_path):
    program = """
import json, sys, time
from keras_resnets.run_folder import RunFolder
with RunFolder(sys.argv[1], "train", json.loads(sys.argv[2])):
    print("in", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "run"), json.dumps(SETTINGS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in\n"
        with pytest.raises(RunFolderError, match="in use by another process"):
            _enter(tmp_path / "run")
        process.send_signal(signal.SIGKILL)
    _enter(tmp_path / "run")


def test_a_pinned_fact_must_stay(tmp_path):
    with RunFolder(tmp_path / "run", "train", {}) as folder:
        folder.pin("data set", "one")
        folder.pin("data set", "one")
    with (
        RunFolder(tmp_path / "run", "train", {}) as folder,
        pytest.raises(RunFolderError, match="begun with another data set, which has changed since"),
    ):
        folder.pin("data set", "other")
