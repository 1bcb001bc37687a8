"""Temporary files go with their process, at the latest with the next one."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from keras_resnets.scratch import command_scratch, scratch


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A folder that stands for the system's temporary one."""
    folder = tmp_path / "system"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_temporary_files_lie_in_the_folder_and_go_with_it(system, tmp_path):
    folder = tmp_path / "run" / ".tmp"
    folder.mkdir(parents=True)
    (folder / "left behind").touch()
    with scratch(folder) as inside:
        assert list(inside.iterdir()) == []
        handle, name = tempfile.mkstemp()
        os.close(handle)
        assert Path(name).parent == folder == Path(os.environ["TMPDIR"])
    assert not folder.exists()
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(system)


def test_an_error_ends_it_too(system, tmp_path):
    with pytest.raises(ZeroDivisionError), scratch(tmp_path / "own"):
        raise ZeroDivisionError
    assert not (tmp_path / "own").exists()
    assert tempfile.gettempdir() == str(system)


PROGRAM = """
import os, sys, tempfile, time
from keras_resnets.scratch import command_scratch
with command_scratch():
    tempfile.mkdtemp(suffix="tfds")
    print(tempfile.gettempdir(), flush=True)
    time.sleep(60)
"""


def test_a_killed_commands_folder_goes_with_the_next_command(system):
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as process:
        folder = Path(process.stdout.readline().strip())
        assert folder.parent == system
        with command_scratch():  # one that still runs is left alone
            assert len(list(system.iterdir())) == 2
        assert [path.name for path in folder.iterdir() if path.name != ".lock"]
        process.send_signal(signal.SIGKILL)
    assert folder.is_dir()
    (system / "keras-resnets-of-another-program").mkdir()
    with command_scratch():
        assert not folder.exists()
    assert [path.name for path in system.iterdir()] == ["keras-resnets-of-another-program"]


def test_where_none_can_be_made_the_command_runs_all_the_same(system, monkeypatch):
    def full(**options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with command_scratch():
        assert tempfile.gettempdir() == str(system)
