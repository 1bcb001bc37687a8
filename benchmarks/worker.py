"""A process for each side of each network, and how it is asked.

The process reads a request a line (``{"measure": "step"}``) and answers a line: ``{"value": ...,
"note": ...}`` or ``{"error": ...}``. Run as ``python -m benchmarks.worker JOB``.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras_resnets as kr
from benchmarks.grid import Network
from benchmarks.side import UnsupportedError
from benchmarks.sides import SIDES

ROOT = Path(__file__).resolve().parents[1]
AT_LEAST = 0.05
"""Seconds of a sample: shorter operations are repeated."""
PATIENCE = 1800
"""Seconds after which a worker that does not answer is given up."""


class Worker:
    """A side in a process of its own.

    Args:
        side: Its name.
        network: Keyword arguments of a `benchmarks.grid.Network`.
        threads: Threads of a CPU to use.
        precision: ``"float32"`` or ``"mixed_bfloat16"``.
    """

    def __init__(self, side: str, network: dict, threads: int, precision: str):
        job = {"side": side, "network": network, "threads": threads, "precision": precision}
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=os.environ | _environment(threads),
        )

    def ask(self, measure: str) -> dict:
        """Return a sample of a measure, in seconds or bytes: a dict of value and note, or error."""
        try:
            print(json.dumps({"measure": measure}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            return self._died()
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            self._process.kill()
            return {"error": f"no answer in {PATIENCE} s"}
        line = self._process.stdout.readline()
        return json.loads(line) if line else self._died()

    def _died(self) -> dict:
        code = self._process.wait()
        self._errors.seek(0)
        last = (self._errors.read().strip().splitlines() or [""])[-1]
        return {"error": f"the process ended with code {code}. {last}".strip()}

    def stop(self) -> None:
        """End the process, which removes its files."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def _environment(threads: int) -> dict[str, str]:
    return {
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",  # a first step is to be the first
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # the GPU is shared
    }


class Bench:
    """Measures one side, inside the worker.

    Args:
        side: The side.
        parameters: Trainable parameters that it must have.
    """

    def __init__(self, side, parameters: int | None):
        self.side, self.parameters = side, parameters
        self.file = side.folder / f"model{side.suffix}"
        self.counts: dict[str, int] = {}
        self.state: dict = {}
        self.resting: int | None = None

    def sample(self, measure: str) -> dict:
        """Return one sample of a measure; the first, which compiles, finds the repetitions."""
        self.note = ""
        if measure != "device":
            self._start()
        if measure in ("start", "device", "memory", "first_step"):
            return {"value": getattr(self, measure)(), "note": self.note}
        name, count = ("infer", int(measure[5:])) if measure[5:].isdigit() else (measure, None)
        take = getattr(self, name) if count is None else lambda n: self.infer(n, count)
        if measure not in self.counts:
            self.state.clear()  # an earlier measure's models
            self.side.tidy()
            take(1)
            self.counts[measure] = max(1, math.ceil(AT_LEAST / take(1)))
        times = self.counts[measure]
        return {"value": take(times) / times, "note": self.note}

    def start(self) -> int:
        """Import the libraries, and check that the network is the same."""
        self._start()
        found = self.side.parameters(self.side.build())
        if self.side.exact and self.parameters not in (None, found):
            raise UnsupportedError(f"{found:,} trainable parameters, ours {self.parameters:,}")
        return found

    def device(self) -> str | None:
        """Return the name of the GPU, None without one."""
        self._start()
        return self.side.gpu()

    def _start(self) -> None:
        if self.resting is None:
            self.side.start()
            self.resting = _memory("VmRSS")

    def memory(self) -> int:
        """Return the bytes that building and three steps take; for a process that did nothing."""
        self._start()
        side = self.side
        side.train(side.compile(side.build()), 3)
        if side.gpu():
            self.note = "of the GPU"
            return side.gpu_bytes()
        peak = _memory("VmHWM")
        self.note = f"peak {peak / 1e6:.0f} MB, {self.resting / 1e6:.0f} MB after the import"
        return peak - self.resting

    def step(self, times: int) -> float:
        """Return the seconds of training steps."""
        trained = self._kept("trained", lambda: self.side.compile(self.side.build()))
        self.note = self.side.about(trained)
        at_once = self.side.steps_at_once(trained)
        return self.side.train(trained, times * at_once) / at_once

    def infer(self, times: int, images: int) -> float:
        """Return the seconds of answers for a batch."""
        call = self._kept("call", lambda: self.side.predictor(self.side.build(), images))
        self.note = self.side.answering
        began = time.perf_counter()
        for _ in range(times):
            answer = call()
        self.side.wait(answer)
        return time.perf_counter() - began

    def build(self, times: int) -> float:
        """Return the seconds of building the model."""
        return sum(self._timed(self.side.build) for _ in range(times))

    def first_step(self) -> float:
        """Return the seconds from nothing to the loss of the first step."""
        self.state.clear()
        side = self.side
        return self._timed(lambda: side.train(side.compile(side.build()), 1))

    def save(self, times: int) -> float:
        """Return the seconds of writing the model, which was never trained."""
        model = self._kept("model", self.side.build)
        return sum(self._timed(lambda: self.side.save(model, self.file)) for _ in range(times))

    def load(self, times: int) -> float:
        """Return the seconds of reading the model."""
        if not self.file.exists():
            self.side.save(self.side.build(), self.file)
        return sum(self._timed(lambda: self.side.load(self.file)) for _ in range(times))

    def _kept(self, name, make):
        if name not in self.state:
            self.state[name] = make()
        return self.state[name]

    def _timed(self, call) -> float:
        self.side.tidy()
        began = time.perf_counter()
        call()
        return time.perf_counter() - began


def _memory(field: str) -> int:
    """Return a field of the process' status in bytes: ``VmRSS``, or the most ever, ``VmHWM``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise UnsupportedError(f"the system does not tell {field}")


def answer(bench: Bench, measure: str) -> dict:
    """Return a sample, or what went wrong."""
    try:
        return bench.sample(measure)
    except ModuleNotFoundError as error:
        return {"error": f"{error.name} is not installed: pip install 'keras-resnets[bench]'"}
    except UnsupportedError as error:
        return {"error": str(error)}
    except Exception as error:  # whatever it is, it goes into the table, and the others go on
        first = (str(error).strip().splitlines() or [""])[0]
        return {"error": f"{type(error).__name__}: {first}"}


def serve(job: str) -> None:
    """Answer requests until there are no more."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    job = json.loads(job)
    network = Network(**job["network"])
    if hasattr(os, "sched_setaffinity"):  # for thread pools that cannot be told
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job["threads"]])
    side = SIDES[job["side"]](network, job["threads"], job["precision"])
    bench = Bench(side, kr.complexity(network.name).trainable_params)
    for request in sys.stdin:
        print(json.dumps(answer(bench, json.loads(request)["measure"])), file=replies)


if __name__ == "__main__":
    serve(sys.argv[1])
