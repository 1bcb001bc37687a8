"""Memory and time of training with and without rematerialisation.

Each row is a process of its own that builds a network, trains three steps and says the most memory
that it ever had, less what it had after importing TensorFlow, and the time of its last step. Run
``python -m benchmarks.remat``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click

from keras_resnets.files import csv_text, write_text

CASES = {
    "preact_resnet164_cifar": 32,
    "preact_resnet1001_cifar": 8,
    "densenet_bc_250_24_cifar": 4,
}
"""Networks, and the images of a step that everything is compared with."""

FIELDS = ("network", "remat", "batch", "peak_mb", "step_seconds", "first_step_seconds")

CHILD = """
import json, os, sys, time
import numpy as np, tensorflow as tf
import keras_resnets as kr
def memory(field):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1e3
name, remat, batch = json.loads(sys.argv[1])
before = memory("VmRSS")
model = kr.create_model(name, remat=remat, weight_decay=0.0)
kr.compile_for(model, "sgd", "sparse_categorical_crossentropy", print_fn=None)
images = np.random.default_rng(0).standard_normal((batch, *model.input_shape[1:]), "float32")
seconds = []
for _ in range(4):
    began = time.perf_counter()
    model.train_on_batch(images, np.zeros(batch, int))
    seconds.append(time.perf_counter() - began)
print(json.dumps([memory("VmHWM") - before, min(seconds[1:]), seconds[0]]))
"""


def measure(name: str, remat: str | None, batch: int) -> dict:
    """Return a row of the table."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps([name, remat, batch])],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "MALLOC_ARENA_MAX": "1"},
    )
    if done.returncode:
        raise click.ClickException(done.stderr.strip().splitlines()[-1])
    peak, step, first = json.loads(done.stdout.splitlines()[-1])
    values = (name, remat or "none", batch, round(peak), round(step, 3), round(first, 1))
    return dict(zip(FIELDS, values, strict=True))


@click.command(help=__doc__.splitlines()[0])
@click.option("--network", "networks", multiple=True, type=click.Choice(list(CASES)))
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(__file__).parent / "results" / "remat-cpu.csv",
)
def cli(networks, out):
    """Measure, print a table, write it as CSV."""
    rows = []
    for name in networks or CASES:
        batch = CASES[name]
        for remat, size in (
            (None, batch),
            (None, 2 * batch),
            ("block", 2 * batch),
            ("stage", 2 * batch),
        ):
            rows.append(measure(name, remat, size))
            click.echo("  ".join(f"{key} {value}" for key, value in rows[-1].items()))
    write_text(out, csv_text(rows, FIELDS))


if __name__ == "__main__":
    cli()
