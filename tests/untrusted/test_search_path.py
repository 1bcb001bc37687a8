"""Nothing is imported from the current folder, in any process that the product starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_resnets.tuning.worker import Worker, _environment

CHECKOUT = Path(__file__).resolve().parents[2]
TRAPS = ("random", "json", "numpy", "tensorflow", "keras", "typing", "tempfile", "click", "PIL")
"""Names of standard modules and of requirements, in the order of the import or late."""


@pytest.fixture
def trapped(tmp_path, monkeypatch):
    """A current folder whose files say that they were run."""
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(f"open('ran-{name}', 'w')\nraise SystemExit(77)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(folder):
    return sorted(path.name for path in folder.glob("ran-*"))


@pytest.mark.parametrize(
    "search_path", ["", f"{CHECKOUT}:", f":{CHECKOUT}", f"{CHECKOUT}::/nowhere"]
)
def test_the_searchs_worker(trapped, monkeypatch, search_path):
    """Ended by its first job, which has no configuration: all that it imports is imported then."""
    monkeypatch.setenv("PYTHONPATH", search_path)
    with Worker("worker.log") as worker, pytest.raises(Exception, match="missing 3 required"):
        worker.run({})
    assert ran(trapped) == []


@pytest.mark.large
def test_the_searchs_worker_with_all_that_training_imports(trapped):
    with Worker("worker.log") as worker, pytest.raises(Exception, match=r"unknown|family|config"):
        worker.run({"config": {}, "data": {}, "settings": {}})
    assert ran(trapped) == []


def test_processes_below_the_worker(trapped):
    """Whatever its libraries start with its environment."""
    program = "import random, json, tempfile, sys; print(sys.path[0])"
    subprocess.run([sys.executable, "-c", program], env=_environment(), check=True)
    assert ran(trapped) == []


@pytest.mark.parametrize("switch", [["-m"], ["-P", "-m"]])
def test_the_command(trapped, switch):
    done = subprocess.run(
        [sys.executable, *switch, "keras_resnets", "list", "resnet20_cifar"],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran(trapped) == []
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("name")


def test_a_program_keeps_its_current_folder(trapped):
    """Only the command's own start is changed: a notebook may import what lies beside it."""
    (trapped / "beside.py").touch()
    program = "import keras_resnets, beside; print(beside.__file__)"
    for name in TRAPS:
        (trapped / f"{name}.py").unlink()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("beside.py")
