import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from keras_resnets.cli import main

CHECKOUT = Path(__file__).resolve().parents[2]
NOISE = ("tensorflow/", "oneDNN", "WARNING", "Warning", "I0000", "E0000", "Traceback", "it/s]")


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self):
        return self.out.splitlines()

    def check(self):
        """Return itself if all went well and nothing but our own words was written."""
        assert self.err == ""
        assert self.code == 0
        assert not [word for word in NOISE if word in self.out]
        return self


class Running:
    """A command in a process group of its own, as a terminal starts one."""

    def __init__(self, arguments, cwd, environment=None):
        search_path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keras_resnets", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": search_path, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A test run in the background ignores SIGINT, and its children would too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.read = []

    def wait_for(self, text, timeout=120):
        """Read until a line has `text` in it."""
        alarm = threading.Timer(timeout, self.signal, [signal.SIGKILL])
        alarm.start()
        try:
            for line in self.process.stdout:
                self.read.append(line)
                if text in line:
                    return
        finally:
            alarm.cancel()
        pytest.fail(f"no {text!r} in {''.join(self.read)!r}; {self.process.stderr.read()}")

    def signal(self, number):
        """Send a signal to the whole process group."""
        os.killpg(self.process.pid, number)

    def end(self, timeout=240):
        """Wait for the end."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            raise
        return Ended(self.process.returncode, "".join(self.read) + out, err)


@pytest.fixture(scope="session")
def start():
    """Start ``keras-resnets ARGUMENTS`` in a folder."""

    def start(*arguments, cwd, environment=None):
        return Running(arguments, cwd, environment)

    return start


@pytest.fixture(scope="session")
def run(start):
    """Run ``keras-resnets ARGUMENTS`` in a folder to its end."""

    def run(*arguments, cwd, environment=None, timeout=240):
        return start(*arguments, cwd=cwd, environment=environment).end(timeout)

    return run


@pytest.fixture(scope="session")
def call():
    """Run ``keras-resnets ARGUMENTS`` in this process, where TensorFlow is loaded but once."""

    def call(*arguments, cwd):
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(cwd),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            main([*map(str, arguments)])
        return Ended(end.value.code or 0, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def trained_run(call, tmp_path_factory):
    """A folder with a finished ``train resnet8_cifar`` on the digits; tests copy it."""
    folder = tmp_path_factory.mktemp("trained")
    options = ["--epochs", 2, "--batch-size", 128, "--run-dir", "run", "--quiet"]
    assert call("train", "resnet8_cifar", *options, cwd=folder).check().out == ""
    return folder / "run"


@pytest.fixture(scope="session")
def image_folder():
    """Make a folder of class folders with some small pictures each."""
    from PIL import Image

    def image_folder(root, images_of_class):
        for label, count in images_of_class.items():
            (root / label).mkdir(parents=True)
            for index in range(count):
                shade = (40 * index) % 256
                Image.new("RGB", (9, 8), (shade, 255 - shade, 80)).save(
                    root / label / f"{index}.png"
                )
        return root

    return image_folder
