"""Training in a process of its own, for one job after another.

TensorFlow's resident memory grows with every model it has trained, and a crash of a native kernel
ends the process it happens in. A search therefore trains in a worker that is replaced after some
jobs, and whose death costs one trial.

The two sides talk in lines of JSON: a job goes in on standard input; a line for each epoch, one a
second as long as steps are made, and one for the result come out on standard output.
`main` is the inner side. Its process takes this very package from where it lies, and nothing from
the current folder.

Three things can go wrong. The job's own error is its result. What the machine does to the process
is not: the job is given out again. A disk that is full, or data that is gone, stops the search.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_resnets.errors import DataError, MachineError, RunError
from keras_resnets.machine import machine_failure
from keras_resnets.run_folder import SCRATCH, while_there

__all__ = ["ATTEMPTS", "Worker", "WorkerDied", "WorkerError", "main", "run_again"]

_JOBS = 8
"""Jobs after which a worker is replaced: about 150 MB of growth."""

ATTEMPTS = 3
"""How often a job is given out whose process dies."""

_LEAST_TIMEOUT, _EPOCHS_OF_TIMEOUT = 600, 10
"""Seconds, and longest epochs, without a step after which a process hangs."""

_SLICE = 5
"""Seconds of one wait: a machine that was asleep has not waited longer."""

_OF_MEMORY = ("MemoryError", "ResourceExhaustedError", "XlaRuntimeError")


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
    """A job failed, by an error of its own."""


class WorkerDied(WorkerError):
    """The process of a job died or hung: another one may do the job."""


class Worker:
    """Runs training jobs in another process. Use as a context manager.

    Args:
        log: File to which the process' messages are appended; its temporary files go beside it.
        timeout: Seconds without a training step after which the process is ended. By default ten
            times the longest epoch so far, and ten minutes at least, which a job has in any case
            to begin: imports, images, compilation.
        print_fn: Called with lines on what the process finds damaged.

    Example:
        >>> with Worker("worker.log") as worker:
        ...     result = worker.run(job)
    """

    def __init__(
        self,
        log: str | Path,
        timeout: float | None = None,
        print_fn: Callable[[str], None] = lambda line: None,
    ):
        self._log = Path(log)
        self._timeout = timeout
        self._print_fn = print_fn
        self._process: subprocess.Popen | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._jobs = 0
        self._longest_epoch = 0.0

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
                env={**_environment(), "TMPDIR": self._scratch()},
                text=True,
            )
        self._lines = queue.Queue()
        arguments = (self._process.stdout, self._lines)
        threading.Thread(target=_read_lines, args=arguments, daemon=True).start()
        self._jobs = 0

    def _scratch(self) -> str:
        """Return an empty folder for the process' temporary files, which a killed one leaves."""
        folder = self._log.absolute().parent / SCRATCH / "worker"
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        return str(folder)

    def close(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process = None
        shutil.rmtree(self._log.absolute().parent / SCRATCH / "worker", ignore_errors=True)

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
            WorkerError: The job failed; the message is the error's.
            WorkerDied: Its process died, or made no step for too long.
            MachineError: The process could not read or write its files.
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
        makes_steps = False
        while (line := self._next_line(self._limit(makes_steps))) is not None:
            message = json.loads(line)
            makes_steps = makes_steps or "step" in message
            if "result" in message:
                return message["result"]
            if "error" in message:
                self._fail(message)
            if "damage" in message:
                self._print_fn(message["damage"])
            if "epoch" in message:
                self._longest_epoch = max(self._longest_epoch, message["epoch"]["seconds"])
                if on_epoch is not None:
                    on_epoch(message["epoch"])
        code = self._process.wait()
        self.close()
        cause = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
        raise WorkerDied(f"the training process died of {cause}; see {self._log}")

    def _limit(self, makes_steps: bool) -> float:
        """Return the seconds that the process may be silent."""
        usual = max(_LEAST_TIMEOUT, _EPOCHS_OF_TIMEOUT * self._longest_epoch)
        if self._timeout is None:
            return usual
        return self._timeout if makes_steps else max(self._timeout, _LEAST_TIMEOUT)

    def _next_line(self, limit: float) -> str | None:
        """Return the process' next line, None at its end."""
        waited = 0.0
        while waited < limit:
            began = time.monotonic()
            try:
                return self._lines.get(timeout=min(_SLICE, limit - waited))
            except queue.Empty:
                waited += min(_SLICE, time.monotonic() - began)
        self.close()
        raise WorkerDied(
            f"the training process made no step for {limit:.0f} s (`trial_timeout`) and was ended; "
            f"see {self._log}"
        )

    def _fail(self, message: dict[str, Any]) -> None:
        if message["kind"] == "machine":
            raise MachineError(f"{message['error']}; see {self._log}")
        if message["kind"] == "memory":
            self.close()  # what it holds of the memory goes with it
        raise WorkerError(message["error"])


def run_again(
    worker: Worker,
    job: dict[str, Any],
    name: str,
    print_fn: Callable[[str], None],
    on_epoch: Callable[[dict], None] | None = None,
) -> dict[str, Any]:
    """Run a job, and again where its process dies: twice at most.

    Args:
        worker: Where to run it.
        job: The job.
        name: What it is called in a line about that.
        print_fn: Called with such a line.
        on_epoch: As for `Worker.run`.

    Raises:
        WorkerError: As for `Worker.run`; of a process that died each time, the last one's.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return worker.run(job, on_epoch)
        except WorkerDied as error:
            print_fn(f"{name}: {error}; given out again ({attempt} of {ATTEMPTS - 1})")
    try:
        return worker.run(job, on_epoch)
    except WorkerDied as error:
        raise WorkerDied(f"{error} ({ATTEMPTS} attempts)") from error


def _read_lines(stream, lines: queue.Queue) -> None:
    """Put the whole lines of a process into a queue, and None at its end."""
    with stream:
        for line in stream:
            if line.endswith("\n"):
                lines.put(line)
    lines.put(None)


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
    config: dict,
    data: dict,
    settings: dict,
    checkpoint=None,
    start=None,
    until=None,
    run_dir=None,
    answer: Callable[..., None] = lambda **message: None,
) -> dict[str, Any]:
    """Train one network; the work of a job.

    Args:
        config: The configuration, `NetworkConfig.to_dict`.
        data: Arguments of `load_data`.
        settings: Arguments of `TrainingSettings`.
        checkpoint: Checkpoint to keep and to go on from.
        start: Checkpoint to begin with where there is none yet at `checkpoint`.
        until: Epoch after which to stop.
        run_dir: Run folder that is not made anew where it is deleted.
        answer: Called with ``epoch``, the history's row, after every epoch, with ``damage``, a
            line about a checkpoint, and with ``file`` or ``step`` as long as something moves.

    Returns:
        ``history``, a list of rows, and ``diverged``.
    """
    import keras

    from keras_resnets.data.load import load_data
    from keras_resnets.models.config import config_from_dict
    from keras_resnets.training.fit import prepare_device, train
    from keras_resnets.training.generations import begin_from
    from keras_resnets.training.settings import TrainingSettings

    settings = TrainingSettings(**settings)
    prepare_device(settings)
    keras.utils.clear_session()
    tell = lambda line: answer(damage=line)  # noqa: E731
    with contextlib.nullcontext() if run_dir is None else while_there(run_dir):
        if start is not None and (line := begin_from(Path(start), Path(checkpoint))) is not None:
            tell(line)
        result = train(
            config_from_dict(config),
            load_data(**data, progress=_Pulse(answer, "file")),
            settings,
            checkpoint=checkpoint,
            until=until,
            on_epoch=lambda row, _: answer(epoch=row),
            callbacks=[_pulse_callback(_Pulse(answer, "step"))],
            on_damage=tell,
        )
    return {"history": result.history, "diverged": result.diverged}


class _Pulse:
    """Answers that something moves, once a second at most."""

    def __init__(self, answer: Callable[..., None], what: str):
        self._answer = answer
        self._what = what
        self._last = -math.inf

    def __call__(self, *_, **__) -> None:
        now = time.monotonic()
        if now - self._last >= 1:
            self._last = now
            self._answer(**{self._what: True})


def _pulse_callback(pulse: _Pulse):
    import keras

    class Pulse(keras.callbacks.Callback):
        """Tells of every step."""

        def on_train_batch_end(self, batch, logs=None):
            pulse()

        def on_test_batch_end(self, batch, logs=None):
            pulse()

    return Pulse()


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
            result = run_job(**json.loads(line), answer=answer)
        except Exception as error:  # the parent decides what a failed job means
            import traceback

            traceback.print_exc()
            kind, reason = _kind_of(error)
            answer(error=reason, kind=kind)
        else:
            answer(result=result)


def _kind_of(error: Exception) -> tuple[str, str]:
    """Return whose failure an error is (``"machine"``, ``"memory"``, ``"job"``), and its reason."""
    name = type(error).__name__
    reason = f"{name}: {error}".splitlines()[0][:500]
    failure = machine_failure(error)
    if failure is not None:
        return "machine", failure
    if isinstance(error, DataError):  # of all jobs: they have the data in common
        return "machine", reason
    return ("memory" if name in _OF_MEMORY else "job"), reason


def _die_with_parent() -> None:
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
