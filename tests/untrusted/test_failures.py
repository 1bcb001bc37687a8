"""What files, disks and memory do is a line and exit code 1; a bug keeps its traceback."""

import errno
import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from keras_resnets.cli.failures import BUG, failure
from keras_resnets.errors import InputError, RunError

CHECKOUT = Path(__file__).resolve().parents[2]
FULL = "No space left on device"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (InputError("wrong"), (2, "wrong")),
        (RunError("failed"), (1, "failed")),
        (OSError(errno.ENOSPC, FULL, "a.keras"), (1, f"'a.keras': {FULL}")),
        (OSError(errno.ENOSPC, FULL), (1, FULL)),
        (
            OSError(f"Can't write data (file write failed: errno = 28, error message = '{FULL}')"),
            (1, FULL),
        ),
        (
            RuntimeError(f"Unable to flush file's cached information (error message = '{FULL}')"),
            (1, FULL),
        ),
        (MemoryError(), (1, "not enough memory")),
        (
            FileNotFoundError(2, "No such file or directory", "x"),
            (1, "'x': No such file or directory"),
        ),
        (ValueError("a mistake of ours"), None),
        (KeyError("x"), None),
        (RuntimeError("x"), None),
    ],
    ids=repr,
)
def test_what_is_answered(error, answer):
    assert failure(error) == answer


@pytest.mark.tensorflow
def test_tensorflows_errors_by_their_kind():
    import tensorflow as tf

    node = "{{node IteratorGetNext}} corrupted record at 12 [Op:IteratorGetNext] name: "
    assert failure(tf.errors.DataLossError(None, None, node)) == (1, "corrupted record at 12")
    assert failure(tf.errors.ResourceExhaustedError(None, None, "a; " + FULL)) == (1, FULL)
    assert failure(tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")) == (
        1,
        "OOM when allocating",
    )
    assert failure(tf.errors.UnknownError(None, None, f"x; {FULL}")) == (1, FULL)
    assert failure(tf.errors.InvalidArgumentError(None, None, "shapes differ")) is None


def answered(monkeypatch, capfd, error):
    from keras_resnets import cli

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(cli.cli, "invoke", fail)
    with pytest.raises(SystemExit) as end:
        cli.main(["list"])
    return end.value.code, capfd.readouterr().err


def test_a_bug_keeps_its_traceback_and_says_what_to_do(monkeypatch, capfd):
    code, err = answered(monkeypatch, capfd, ZeroDivisionError("a mistake of ours"))
    assert code == 1
    assert "Traceback (most recent call last):" in err
    assert "ZeroDivisionError: a mistake of ours" in err
    assert err.endswith(f"keras-resnets: {BUG}\n")


def test_the_disks_failure_is_a_line(monkeypatch, capfd):
    assert answered(monkeypatch, capfd, OSError(errno.ENOSPC, FULL, "x")) == (
        1,
        f"keras-resnets: 'x': {FULL}\n",
    )


def test_a_full_standard_output():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "keras_resnets", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        )
    assert (done.returncode, done.stderr) == (1, f"keras-resnets: {FULL}\n")


@pytest.fixture
def full_disk():
    """Files of this process cannot grow: what a full disk does, at 4,096 bytes."""
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def begin(most=4096):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))

    yield begin
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A saved network for the digits, with an image."""
    from PIL import Image

    import keras_resnets as kr
    from keras_resnets.data import load_data

    home = tmp_path_factory.mktemp("home")
    data = load_data()
    config = data.adapt(kr.ResNetConfig(blocks=(1, 1, 1), widths=(4, 8, 16), stem_width=4))
    kr.create_model(config).save(home / "model.keras")
    Image.new("RGB", (8, 8)).save(home / "photo.png")
    return home


DIGITS = ["--dataset", "keras_resnets_digits"]
COMMANDS = {
    "export, SavedModel": ["export", "model.keras", "-o", "out", "--to", "saved_model", *DIGITS],
    "export, TFLite": ["export", "model.keras", "-o", "out", "--to", "tflite", *DIGITS],
    "evaluate": ["evaluate", "model.keras", "--limit", "40", "-o", "out", *DIGITS],
    "predict": ["predict", "model.keras", "photo.png", "--sheet", "sheet.png"],
    "convert": ["convert", "model.keras", "--to", "plain", "-o", "plain.keras", *DIGITS],
    "show-data": ["show-data"],
    "check-data": ["check-data", "keras_resnets_digits", "-o", "data.png"],
    "describe": ["describe", "resnet20_cifar", "--picture", "net.png"],
}


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[] if name in ("export, SavedModel", "predict") else pytest.mark.large
        )
        for name in COMMANDS
    ],
)
def test_a_full_disk_ends_with_a_line_and_nothing_half_written(
    name, home, tmp_path, monkeypatch, capfd, full_disk
):
    import contextlib
    import shutil

    from keras_resnets.cli import main

    for file in home.iterdir():
        shutil.copy(file, tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    errors = io.StringIO()  # the terminal is no file that could be full
    full_disk(1000)
    with contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as end:
        main(COMMANDS[name])
    assert end.value.code == 1, errors.getvalue()
    assert errors.getvalue().count("\n") == 1, errors.getvalue()
    assert "File too large" in errors.getvalue()
    left = {path.name for path in tmp_path.iterdir()} - before
    assert left <= {"out"}
    assert not list(tmp_path.glob("out/*"))
