"""What is said, and what TensorFlow does not say."""

import io
import os
import subprocess
import sys

import pytest

from keras_resnets.errors import ConfigError
from keras_resnets.verbosity import Printer


class Terminal(io.StringIO):
    """A standard output that someone looks at."""

    def isatty(self):
        return True


@pytest.mark.parametrize(("verbose", "printed"), [(0, []), (1, ["a line"]), (2, ["a line"])])
def test_lines_are_printed_unless_it_is_silent(verbose, printed):
    lines = []
    Printer(lines.append, verbose)("a line")
    assert lines == printed


@pytest.mark.parametrize(("outer", "inner", "verbose"), [(1, 0, 0), (0, 1, 0), (2, 1, 1)])
def test_a_printer_in_a_printer_says_no_more_than_either(outer, inner, verbose):
    lines = []
    printer = Printer(Printer(lines.append, inner), outer)
    assert printer.verbose == verbose
    printer("a line")
    assert len(lines) == bool(verbose)


@pytest.mark.parametrize("verbose", [-1, 3, "auto", None, 1.5])
def test_another_verbosity_is_refused(verbose):
    with pytest.raises(ConfigError, match=r"`verbose` must be 0, 1 or 2\. Received: verbose="):
        Printer(print, verbose)


@pytest.mark.parametrize(
    ("verbose", "out", "shown"),
    [(1, Terminal, True), (0, Terminal, False), (2, Terminal, False), (1, io.StringIO, False)],
)
def test_a_bar_is_for_terminals(monkeypatch, verbose, out, shown):
    monkeypatch.setattr(sys, "stdout", out())
    with Printer(print, verbose).counting("images") as progress:
        assert (progress is not None) is shown
        if shown:
            progress(1, 3)
            progress(3, 3)
    assert bool(sys.stdout.getvalue()) is shown


def _python(program, **environment):
    env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"} | environment
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=env,
        timeout=300,
        check=False,
    )


CREATE = "import keras_resnets as kr; kr.create_model('resnet8_cifar')"


@pytest.mark.tensorflow
@pytest.mark.large
def test_a_plain_use_in_python_writes_no_log_lines():
    done = _python(f"{CREATE}; print('x')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")


@pytest.mark.tensorflow
@pytest.mark.large
def test_who_sets_the_log_level_sees_what_it_says():
    done = _python(
        f"{CREATE}; import os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])",
        **{"TF_CPP_MIN_LOG_LEVEL": "0"},
    )
    assert done.stdout == "0\n"
    assert "oneDNN" in done.stderr


FAKE = """
import os, pathlib, sys, tempfile
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "tensorflow.py").write_text('''
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called\\\\n")
os.write(2, b"I0000 00:00:1795870067.534060   13409 port.cc:153] oneDNN is on\\\\n")
os.write(2, b"libcuda.so: a real complaint\\\\n")
os.write(2, b"E0000 00:00:1795870067.534060   13409 a.cc:1] a real error\\\\n")
{more}
''')
sys.path.insert(0, str(folder))
import keras_resnets
import tensorflow
os.write(2, b"I0000 later\\n")
"""


def test_only_chatter_is_left_out():
    done = _python(FAKE.format(more=""))
    lines = done.stderr.splitlines()
    assert lines == [
        "libcuda.so: a real complaint",
        "E0000 00:00:1795870067.534060   13409 a.cc:1] a real error",
        "I0000 later",
    ]


def test_a_failing_import_shows_what_was_written():
    done = _python(FAKE.format(more="raise ImportError('no AVX')"))
    assert done.returncode == 1
    assert "a real complaint" in done.stderr
    assert done.stderr.endswith("ImportError: no AVX\n")
