"""Training, inference and the rest: this package against others, interleaved, in one run.

Each side of each network is a process of its own, so that thread pools do not mix; they are asked
one after another, round by round, and the first round warms up. A side that fails is in the table
with the reason. On a GPU that TensorFlow sees (or JAX, with KERAS_BACKEND=jax) the same runs there.
Run ``python -m benchmarks.speed``.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks import machine, report
from benchmarks.grid import INFERENCE, MEASURES, NETWORKS, Network, find_network
from benchmarks.sides import LIBRARIES, OURS, SIDES
from benchmarks.worker import Worker
from keras_resnets.errors import InputError

RESULTS = Path(__file__).parent / "results"
PAUSE = 0.02
"""Seconds between samples, in which the threads of the last library fall asleep."""


@dataclasses.dataclass
class Run:
    """What a run measures, and how.

    Attributes:
        sides: Names of `SIDES`.
        measures: Names of `MEASURES`.
        repeats: Samples of each.
        threads: Threads of a CPU to use.
        precision: ``"float32"`` or ``"mixed_bfloat16"``.
        start: Starts a worker.
        peak: Operations a second that the device can do, if known.
        tick: Called with a text and a number of samples taken.
    """

    sides: list[str]
    measures: list[str]
    repeats: int
    threads: int
    precision: str
    start: Callable
    peak: float | None = None
    tick: Callable = lambda text, samples: None

    def worker(self, side: str, network: Network):
        """Start a worker."""
        return self.start(side, dataclasses.asdict(network), self.threads, self.precision)

    def samples(self, side: str) -> int:
        """Return how often a side is asked for each network."""
        asked = [m for m in self.measures if m in SIDES[side].measures]
        return sum(len(rounds(measure, self.repeats)) for measure in asked)


class FreshWorker:
    """Answers each request from a new process."""

    def __init__(self, start: Callable):
        self._start = start

    def ask(self, measure: str) -> dict:
        """Return the answer of a worker that did nothing before."""
        worker = self._start()
        try:
            return worker.ask(measure)
        finally:
            worker.stop()


def rounds(measure: str, repeats: int) -> range:
    """Return the rounds: 0 warms up, which is nothing to a process that did nothing before."""
    return range(1 if measure == "memory" else 0, repeats + 1)


def interleave(workers: dict, measure: str, repeats: int, tick: Callable) -> dict:
    """Ask every worker once a round, drop the round that warms up; return each one's samples."""
    found = {side: report.Samples() for side in workers}
    for repeat in rounds(measure, repeats):
        for side, worker in workers.items():
            if not found[side].error:
                time.sleep(PAUSE)
                reply = worker.ask(measure)
                found[side].error = reply.get("error", "")
                found[side].note = reply.get("note", "")
                if repeat:
                    found[side].values.append(reply.get("value"))
            tick(f"{measure}, {side}", 1)
    return found


def measure_network(run: Run, network: Network) -> list[dict]:
    """Measure one network on all sides; return the rows."""
    rows: list[dict] = []
    workers: dict = {}
    trained = False
    try:
        for side in run.sides:
            reason = _start(run, network, side, workers)
            if reason:
                rows.append(report.absent(network, side, reason))
                run.tick(side, run.samples(side))
        for measure in run.measures:
            if trained and measure in INFERENCE:
                # The memory of all sides' trainings together is not given back otherwise.
                _restart(run, network, workers)
                trained = False
            if measure != "memory":
                rows += _measure(run, network, measure, workers)
                trained |= measure not in INFERENCE
    finally:
        for worker in workers.values():
            worker.stop()
    if "memory" in run.measures:
        fresh = {s: FreshWorker(lambda s=s: run.worker(s, network)) for s in workers}
        rows += _measure(run, network, "memory", fresh)
    return rows


def _restart(run, network, workers) -> None:
    for side, worker in workers.items():
        worker.stop()
        workers[side] = run.worker(side, network)


def _start(run, network, side, workers) -> str:
    """Start a worker and add it, or return why it cannot be measured."""
    if not SIDES[side].has(network):
        return "has no such network"
    run.tick(f"start, {side}", 0)
    worker = run.worker(side, network)
    reply = worker.ask("start")
    if "error" in reply:
        worker.stop()
        return reply["error"]
    workers[side] = worker
    return ""


def _measure(run, network, measure, workers) -> list[dict]:
    asked = {side: w for side, w in workers.items() if measure in SIDES[side].measures}

    def tick(text, samples):
        run.tick(f"{network.name}, {text}", samples)

    return report.rows(network, measure, interleave(asked, measure, run.repeats, tick), run.peak)


class _Names(click.ParamType):
    """Names with commas between them; `check` raises `InputError` for an unknown one."""

    name = "names"

    def __init__(self, check: Callable):
        self._check = check

    def convert(self, value, param, ctx):
        """Return the names, or refuse the first that is unknown."""
        names = tuple(name.strip() for name in value.split(","))
        try:
            for name in names:
                self._check(name)
        except InputError as error:
            self.fail(str(error), param, ctx)
        return tuple(dict.fromkeys(names))


def _one_of(known) -> Callable:
    def check(name):
        if name not in known:
            raise InputError(f"expected some of {', '.join(known)}. Received: {name}")

    return check


def _device(run: Run, network: Network) -> str | None:
    """Return the name of the GPU, None without one."""
    reply = FreshWorker(lambda: run.worker(OURS, network)).ask("device")
    if "error" in reply:
        raise click.ClickException(reply["error"])
    return reply["value"]


def _about(run: Run, device: str) -> dict[str, str]:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return {
        "date": f"{datetime.date.today():%Y-%m-%d}",
        "device": device,
        "threads": str(run.threads),
        "precision": run.precision,
        "backend of Keras": backend,
        "versions": machine.versions(),
        "samples": f"{run.repeats} of each, sides interleaved, after a round that warms up",
    }


@click.command(help=__doc__.splitlines()[0])
@click.option(
    "--networks", type=_Names(find_network), default=",".join(NETWORKS), show_default=True
)
@click.option(
    "--measures", type=_Names(_one_of(MEASURES)), default=",".join(MEASURES), show_default=True
)
@click.option("--sides", type=_Names(_one_of(LIBRARIES)), help="Libraries.  [default: all]")
@click.option("--repeats", type=click.IntRange(5), default=7, show_default=True)
@click.option("--batch", type=click.IntRange(1), help="Images of a training step.")
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count(), show_default=True)
@click.option("--precision", type=click.Choice(("float32", "mixed_bfloat16")), default="float32")
@click.option("--peak-tflops", type=click.FloatRange(0, min_open=True), help="Of the device.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=RESULTS)
def cli(networks, measures, sides, repeats, batch, threads, precision, peak_tflops, out):
    """Measure, print the table, write CSV, table and figure."""
    networks = [find_network(name, batch) for name in networks]
    run = Run([], list(measures), repeats, threads, precision, Worker)
    gpu = _device(run, networks[0])
    run.peak = 1e12 * peak_tflops if peak_tflops else machine.peak(gpu)
    run.sides = [
        name
        for name, side in SIDES.items()
        if (side.library in sides if sides else side.on_gpu or not gpu)
    ]
    about = _about(run, gpu or machine.cpu())
    backend = "" if about["backend of Keras"] == "tensorflow" else f"-{about['backend of Keras']}"
    name = "speed-" + re.sub(r"[^a-z0-9]+", "-", (gpu or "cpu").lower()) + backend
    rows: list[dict] = []
    others = machine.Others()
    with _progress(run, networks):
        for number, network in enumerate(networks, start=1):
            rows += measure_network(run, network)
            about["other processes"] = str(others)
            text = report.write(out, name, rows, networks[:number], about)
    click.echo(text)
    click.echo(f"Written: {out / name}.csv, .md, .png", err=True)


def _progress(run: Run, networks) -> Progress:
    """Return a progress bar with the time left, on standard error, moved by the run."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    progress = Progress(
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        speed_estimate_period=3600,
    )
    task = progress.add_task("start", total=len(networks) * sum(map(run.samples, run.sides)))
    run.tick = lambda text, n: progress.update(task, advance=n, description=text)
    return progress


def main(args: list[str] | None = None) -> None:
    """Run the program; wrong input is one line on standard error and exit code 2."""
    try:
        cli.main(args, prog_name="benchmarks.speed", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        print("benchmarks.speed:", " ".join(error.format_message().split()), file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, click.UsageError) else 1)


if __name__ == "__main__":
    main()
