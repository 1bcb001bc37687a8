"""Runs many commands in one process that has imported nothing heavy, and says what each did.

Usage: python answers.py FOLDER, with a JSON list of argument lists on standard input.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path

from keras_resnets.cli import main

HEAVY = ("keras", "keras_tuner", "matplotlib", "tensorflow", "tensorflow_datasets")


def answer(arguments):
    """Run a command; return what it wrote, its exit code, CPU seconds, and what it imported."""
    out, err = io.StringIO(), io.StringIO()
    began = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    return {
        "out": out.getvalue(),
        "err": err.getvalue(),
        "code": code,
        "seconds": time.process_time() - began,
        "heavy": sorted({*HEAVY} & sys.modules.keys()),
        "tree": sorted(str(path) for path in Path(".").rglob("*")),
    }


if __name__ == "__main__":
    with contextlib.chdir(sys.argv[1]):
        answers = [answer(arguments) for arguments in json.load(sys.stdin)]
    print(json.dumps(answers))
