"""Runs commands and readers, one for each line of JSON, in one process that a test may have to end.

A line is ``{"cwd": FOLDER, "argv": [...]}`` for a command, or ``{"cwd": FOLDER, "call": NAME,
"path": FILE}`` for a function below. The answer is a line of ``code``, ``out`` and ``err``.
"""

import contextlib
import io
import json
import os
import sys
import traceback

from keras_resnets.cli import main
from keras_resnets.errors import InputError, RunError


def weights_h5(path):
    import numpy as np

    import keras_resnets as kr

    config = kr.ResNetConfig(
        input_shape=(8, 8, 3), classes=3, blocks=(1, 1, 1), widths=(4, 8, 16), stem_width=4
    )
    model = kr.create_model(config, weights=path)
    return np.asarray(model(np.ones((1, 8, 8, 3), np.float32))).tolist()


def class_weights(path):
    from keras_resnets.training.class_weights import read_class_weights

    return read_class_weights(path)


def evaluation(path):
    from keras_resnets.evaluation import read_evaluation

    found = read_evaluation(path)
    return [found["class_names"], found["confusion"].tolist()]


def begun(path):
    """A training that ended before its summary, as a killed one does."""
    from keras_resnets.training import program

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    written, program.write_model = program.write_model, stop
    try:
        main(["train", "resnet8_cifar", "--epochs", "2", "--run-dir", path, "-q"])
    except SystemExit as end:
        return end.code
    finally:
        program.write_model = written


def _call(name, path):
    try:
        return 0, json.dumps(globals()[name](path)), ""
    except (InputError, RunError) as error:
        return 2, "", f"{error}\n"
    except Exception:
        return 70, "", traceback.format_exc()


def _command(argv):
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(argv)
        except SystemExit as end:
            code = end.code or 0
    return code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what native libraries print must not mix with the answers
    for line in sys.stdin:
        task = json.loads(line)
        with contextlib.chdir(task["cwd"]):
            if "argv" in task:
                code, out, err = _command(task["argv"])
            else:
                code, out, err = _call(task["call"], task["path"])
        answers.write(json.dumps({"code": code, "out": out, "err": err}) + "\n")
