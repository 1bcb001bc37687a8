"""Latency of networks as they are, folded, and as plain networks, in TensorFlow and in LiteRT.

All variants of a network in turns, in one process: the median of several rounds, each of as many
calls as take a tenth of a second. Run ``python -m benchmarks.surgery``.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import click
import numpy as np

import keras_resnets as kr
from keras_resnets.files import csv_text, write_text
from keras_resnets.surgery import fold_batch_norm, to_plain

NETWORKS = ("resnet20_cifar", "resnet56_cifar", "resnet18", "resnet50", "preact_resnet20_cifar")
RUNTIMES = ("graph", "frozen", "litert")
FIELDS = ("network", "variant", "params", "macs", *(f"{runtime}_ms" for runtime in RUNTIMES))


def variants(name: str) -> dict:
    """Return a network and what it becomes."""
    model = kr.create_model(name)
    return {
        "as trained": model,
        "folded": fold_batch_norm(model, print_fn=None),
        "plain": fold_batch_norm(to_plain(model, print_fn=None), print_fn=None),
    }


def measure(functions: dict, images, rounds: int) -> dict:
    """Return the median milliseconds of a call of each function."""
    calls, times = {}, {key: [] for key in functions}
    for key, function in functions.items():
        function(images)
        began = time.perf_counter()
        function(images)
        calls[key] = max(1, int(0.1 / (time.perf_counter() - began)))
    for _ in range(rounds):
        for key, function in functions.items():
            began = time.perf_counter()
            for _ in range(calls[key]):
                np.asarray(function(images))
            times[key].append((time.perf_counter() - began) / calls[key])
    return {key: 1e3 * statistics.median(values) for key, values in times.items()}


@click.command(help=__doc__.splitlines()[0])
@click.option("--network", "networks", multiple=True, default=NETWORKS)
@click.option("--batch-size", default=1, show_default=True)
@click.option("--rounds", default=9, show_default=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(__file__).parent / "results" / "surgery-cpu.csv",
)
def cli(networks, batch_size, rounds, out):
    """Measure, print a table, write it as CSV."""
    rows = []
    for name in networks:
        models = variants(name)
        functions = {
            (variant, runtime): kr.inference_function(model, batch_size, runtime=runtime)
            for variant, model in models.items()
            for runtime in RUNTIMES
        }
        shape = (batch_size, *models["plain"].input_shape[1:])
        images = np.random.default_rng(0).standard_normal(shape).astype("float32")
        found = measure(functions, images, rounds)
        for variant, model in models.items():
            cost = kr.complexity(model.config)
            times = {f"{r}_ms": round(found[variant, r], 2) for r in RUNTIMES}
            rows.append(
                {
                    "network": name,
                    "variant": variant,
                    "params": cost.trainable_params,
                    "macs": cost.macs,
                    **times,
                }
            )
            click.echo("  ".join(str(rows[-1][field]) for field in FIELDS))
    write_text(out, csv_text(rows, FIELDS))


if __name__ == "__main__":
    cli()
