"""Training in a process of its own, for one job after another.

TensorFlow's resident memory grows with every model it has trained, and a crash of a native kernel
ends the process it happens in. A search therefore trains in a worker that is replaced after some
jobs, and whose death costs one trial.

The two sides talk in lines of JSON: a job goes in on standard input, and a line for each epoch and
one for the result come out on standard output. `main` is the inner side. Its process takes this
very package from where it lies, and nothing from the current folder.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_resnets.errors import RunError

__all__ = ["Worker", "WorkerError", "main"]

_JOBS = 8
"""Jobs after which a worker is replaced: about 150 MB of growth."""


_PROGRAM = """
import importlib.util as util, os, sys
init = sys.argv[1]
place = {"submodule_search_locations": [os.path.dirname(init)]}
spec = util.spec_from_file_location("keras_resnets", init, **place)
package = sys.modules["keras_resnets"] = util.module_from_spec(spec)
spec.loader.exec_module(package)
from keras_resnets.tuning.worker import main
main()
"""
"""The inner side, given the package's ``__init__.py``: a search path with the folder that holds it
would put whatever else lies there (a checkout's files, all installed packages) before Python's own
modules."""


class WorkerError(RunError):
    """A job failed, or the process that ran it died."""


class Worker:
    """Runs training jobs in another process. Use as a context manager.

    Args:
        log: File to which the process' messages are appended.

    Example:
        >>> with Worker("worker.log") as worker:
        ...     result = worker.run(job)
    """

    def __init__(self, log: str | Path):
        self._log = Path(log)
        self._process: subprocess.Popen | None = None
        self._jobs = 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def start(self) -> None:
        """Start the process, which takes seconds, ahead of the first job."""
        # TensorFlow writes to standard error before its log level counts: into the log with it.
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, _package()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
                text=True,
            )
        self._jobs = 0

    def close(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def run(
        self, job: dict[str, Any], on_epoch: Callable[[dict], None] | None = None
    ) -> dict[str, Any]:
        """Run a job to its end.

        Args:
            job: Keyword arguments of `run_job`, as JSON-ready values.
            on_epoch: Called with the history's row after every epoch.

        Returns:
            What `run_job` returns.

        Raises:
            WorkerError: The job failed (the message is the error's) or its process died.
        """
        if self._jobs >= _JOBS or (self._process and self._process.poll() is not None):
            self.close()
        if self._process is None:
            self.start()
        self._jobs += 1
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process is dead; reading says so below
        for line in self._process.stdout:
            message = json.loads(line)
            if "result" in message:
                return message["result"]
            if "error" in message:
                raise WorkerError(message["error"])
            if on_epoch is not None:
                on_epoch(message["epoch"])
        code = self._process.wait()
        self.close()
        cause = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
        raise WorkerError(f"the training process died of {cause}; see {self._log}")


def _package() -> str:
    """Return this very package's ``__init__.py``, also when it runs from a checkout."""
    import keras_resnets

    return str(Path(keras_resnets.__file__).resolve())


def _environment() -> dict[str, str]:
    """Return the environment of a process that looks for no module in the current folder."""
    # Empty parts of the variable, "/opt/lib:", mean the current folder to Python.
    parts = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    path = os.pathsep.join(filter(None, parts))
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PYTHONSAFEPATH": "1", **({"PYTHONPATH": path} if path else {})}


def run_job(
    config: dict, data: dict, settings: dict, checkpoint=None, start=None, until=None, emit=None
) -> dict[str, Any]:
    """Train one network; the work of a job.

    Args:
        config: The configuration, `NetworkConfig.to_dict`.
        data: Arguments of `load_data`.
        settings: Arguments of `TrainingSettings`.
        checkpoint: Checkpoint to keep and to go on from.
        start: Checkpoint to begin with where there is none yet at `checkpoint`.
        until: Epoch after which to stop.
        emit: Called with the history's row after every epoch.

    Returns:
        ``history``, a list of rows, and ``diverged``.
    """
    import shutil

    import keras

    from keras_resnets.data.load import load_data
    from keras_resnets.models.config import config_from_dict
    from keras_resnets.training.fit import prepare_device, train
    from keras_resnets.training.settings import TrainingSettings

    settings = TrainingSettings(**settings)
    prepare_device(settings)
    keras.utils.clear_session()
    if start is not None and not Path(checkpoint).is_file():
        shutil.copy(Path(start).with_suffix(".json"), Path(checkpoint).with_suffix(".json"))
        shutil.copy(start, f"{checkpoint}.tmp")
        os.replace(f"{checkpoint}.tmp", checkpoint)
    result = train(
        config_from_dict(config),
        load_data(**data),
        settings,
        checkpoint=checkpoint,
        until=until,
        on_epoch=lambda row, _: emit(row),
    )
    return {"history": result.history, "diverged": result.diverged}


def main() -> None:
    """Serve jobs until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _die_with_parent()
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**message):
        answers.write(json.dumps(message) + "\n")

    for line in sys.stdin:
        try:
            result = run_job(**json.loads(line), emit=lambda row: answer(epoch=row))
        except Exception as error:  # the parent decides what a failed job means
            import traceback

            traceback.print_exc()
            answer(error=f"{type(error).__name__}: {error}".splitlines()[0][:500])
        else:
            answer(result=result)


def _die_with_parent() -> None:
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
