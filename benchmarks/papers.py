"""The papers' networks by the papers' recipes: errors beside the published ones, and speed.

    python -m benchmarks.papers --data-dir DATA                    # all of it; for a GPU, days
    python -m benchmarks.papers --data-dir DATA --steps 200        # the first steps of each

What is finished is not done again; interrupted, the same command goes on.
"""

from __future__ import annotations

import statistics
import time
from datetime import date
from pathlib import Path

import click
import keras

import keras_resnets as kr
from benchmarks.machine import cpu, peak, versions
from keras_resnets.data import load_data
from keras_resnets.files import csv_text, write_text
from keras_resnets.models.cost import complexity
from keras_resnets.training import TrainingSettings, choose_execution
from keras_resnets.training.fit import (
    build_for_training,
    config_for_training,
    prepare_device,
    training_data,
)
from keras_resnets.training.losses import needs_one_hot
from keras_resnets.training.program import run_training

RESULTS = Path(__file__).parent / "results"

NETWORKS = (
    ("resnet20_cifar", "he2015-cifar", 8.75),
    ("resnet56_cifar", "he2015-cifar", 6.97),
    ("resnet110_cifar", "he2015-cifar-110", 6.61),
    ("wrn16_8_cifar", "wrn-cifar", 4.27),
    ("preact_resnet110_cifar", "he2016-cifar", 6.37),
)
"""Network, recipe, and the test error that the paper gives on CIFAR-10, in percent."""


class _Steps(keras.callbacks.Callback):
    """Takes the time of the steps behind the first ones, which trace."""

    FIRST = 20

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 <= self.FIRST:
            self.began, self.at = time.perf_counter(), batch + 1
        self.last, self.logs = batch + 1, dict(logs)

    @property
    def per_second(self):
        return (self.last - self.at) / (time.perf_counter() - self.began)


def first_steps(config, data, settings, steps: int) -> dict:
    """Train by the first steps of a recipe; return loss, accuracy and images a second."""
    keras.utils.set_random_seed(settings.seed)
    data = training_data(data, settings)
    settings = settings.fit_to(data.sizes["train"])
    model = build_for_training(config, settings, settings.plan(data.sizes["train"]))
    clock = _Steps()
    batches = data.training_batches(
        settings.batch_size,
        settings.seed,
        augmentation=settings.recipe.augmentation,
        one_hot=needs_one_hot(settings.recipe),
    )
    model.fit(batches, steps_per_epoch=steps, epochs=1, callbacks=[clock], shuffle=False, verbose=0)
    return {
        "loss": round(clock.logs["loss"], 4),
        "accuracy": round(clock.logs["accuracy"], 4),
        "images_per_second": round(clock.per_second * settings.batch_size, 1),
    }


@click.command(help=__doc__.splitlines()[0])
@click.option("--dataset", default="cifar10", show_default=True)
@click.option("--data-dir", type=click.Path())
@click.option("--only", multiple=True, help="Networks, all by default; may be repeated.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--epochs", type=click.IntRange(1), help="Shorten every recipe to this.")
@click.option("--steps", type=click.IntRange(30), help="Only the first steps of each.")
@click.option("--run-dir", default="runs/papers", show_default=True)
@click.option("--out", type=click.Path(), help="CSV file.  [default: in benchmarks/results]")
def cli(dataset, data_dir, only, seeds, epochs, steps, run_dir, out):
    """Train everything, write the table."""
    prepare_device()
    data = load_data(dataset, data_dir=data_dir)
    execution = choose_execution()
    rows = []
    for name, recipe, published in NETWORKS:
        if only and name not in only:
            continue
        settings = TrainingSettings(recipe=recipe, epochs=epochs, all_data=True)
        config = config_for_training(data.adapt(kr.model_config(name)), settings)
        row = {"network": name, "recipe": recipe}
        if steps:
            row |= {"steps": steps, **first_steps(config, data, settings, steps)}
        else:
            row |= _train(name, dataset, data_dir, settings, seeds, Path(run_dir))
        row["published_error"] = published
        gpu = None if execution.device == "CPU" else execution.device
        if peak(gpu):
            # Forward, and twice that backward; two operations a multiply-add.
            work = 6 * complexity(config).macs * row["images_per_second"]
            row["share_of_peak"] = round(work / peak(gpu), 4)
        row |= {"device": gpu or cpu(), "date": date.today().isoformat()}
        rows.append(row)
        click.echo(", ".join(f"{key} {value}" for key, value in row.items()))
    device = "cpu" if execution.device == "CPU" else "gpu"
    default = RESULTS / f"papers-{'steps' if steps else 'errors'}-{device}.csv"
    write_text(out or default, csv_text(rows, list(rows[0])))
    click.echo(f"{versions()}\nwrote {out or default}")


def _train(name, dataset, data_dir, settings, seeds, run_dir) -> dict:
    """Train a network for every seed; return the errors and the speed."""
    summaries = [
        run_training(
            name,
            {"name": dataset, "data_dir": data_dir, "image_size": None, "flip": None},
            settings.replace(seed=seed),
            run_dir / f"{name}-seed{seed}",
        )
        for seed in range(seeds)
    ]
    errors = [100 * (1 - summary["test_accuracy"]) for summary in summaries]
    images = [s["epochs"] * s["data"]["images"]["train"] / s["seconds"] for s in summaries]
    return {
        "seeds": seeds,
        "error_median": round(statistics.median(errors), 2),
        "error_best": round(min(errors), 2),
        "error_worst": round(max(errors), 2),
        "images_per_second": round(statistics.median(images), 1),
    }


if __name__ == "__main__":
    cli()
