"""What a network begun from a smaller, trained one is worth.

Trains ResNet-20, deepens it to 32 layers and widens it to twice its channels (WRN-20-2), trains the
children on, and trains the same networks from scratch for the same extra steps; ResNet-20 itself is
trained on too. Run ``python -m benchmarks.warm_start --dataset cifar10 --data-dir DIR``; finished
trainings are kept, and the same command goes on.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import keras
import numpy as np
from matplotlib.figure import Figure

import keras_resnets as kr
from keras_resnets.analysis.figures import PALETTE
from keras_resnets.data import load_data
from keras_resnets.files import csv_text, replacing, write_json, write_text
from keras_resnets.surgery import deepen, widen
from keras_resnets.training.fit import build_for_training, compile_for_training, prepare_device
from keras_resnets.training.settings import TrainingSettings

RESULTS = Path(__file__).parent / "results"
FIELDS = ("run", "network", "params", "epochs", "begins_right", "ends_right", "of")
RUNS = (
    "ResNet-20",
    "ResNet-20, trained on",
    "ResNet-32 from ResNet-20",
    "WRN-20-2 from ResNet-20",
    "ResNet-32 from scratch",
    "WRN-20-2 from scratch",
)


def right(model, data) -> int:
    """Return how many test images a model classifies right."""
    count = 0
    for images, labels in data.evaluation_batches("test", 500):
        count += int(np.sum(np.argmax(model(images, training=False), -1) == labels.numpy()))
    return count


def train(model, data, settings) -> list[float]:
    """Train a compiled model; return the test accuracy after each epoch."""
    history = model.fit(
        data.training_batches(settings.batch_size, settings.seed),
        epochs=settings.epochs,
        steps_per_epoch=data.steps_per_epoch(settings.batch_size),
        validation_data=data.evaluation_batches("test", 500),
        shuffle=False,
        verbose=2,
    )
    return [float(a) for a in history.history["val_accuracy"]]


def begin(run, parent, data, settings):
    """Return the network of a run, compiled."""
    keras.utils.set_random_seed(settings.seed)
    deep = parent.config.replace(blocks=(5, 5, 5))
    wide = parent.config.replace(stem_width=32, widths=(32, 64, 128))
    plan = settings.plan(data.sizes["train"])
    if "scratch" in run:
        return build_for_training(deep if "32" in run else wide, settings, plan)
    if "ResNet-32" in run:
        model = deepen(parent, to=deep)
    elif "WRN" in run:
        model = widen(parent, to=wide)
    else:
        model = parent
    compile_for_training(model, settings, plan)
    return model


def figure(curves: dict, parent_epochs: int) -> Figure:
    """Draw test accuracy over epochs."""
    drawn = Figure(figsize=(7, 4), layout="constrained")
    ax = drawn.subplots()
    for color, (run, values) in zip(PALETTE, curves.items(), strict=False):
        first = 0 if run == "ResNet-20" else parent_epochs
        style = "--" if "scratch" in run else "-"
        ax.plot(range(first, first + len(values)), [100 * v for v in values], style,
                color=color, label=run, marker="o", markersize=3)  # fmt: skip
    ax.set_xlabel("epoch")
    ax.set_ylabel("test accuracy (%)")
    ax.set_ylim(bottom=40)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color="#e6e6e6", linewidth=0.8)
    ax.legend(frameon=False, fontsize=8)
    return drawn


@click.command(help=__doc__.splitlines()[0])
@click.option("--dataset", default="cifar10", show_default=True)
@click.option("--data-dir", type=click.Path())
@click.option("--epochs", default=6, show_default=True, help="Of the parent.")
@click.option("--extra", default=4, show_default=True, help="Of everything else.")
@click.option("--seed", default=0, show_default=True)
@click.option("--run-dir", default="runs/warm-start", show_default=True)
@click.option("--out", default=str(RESULTS / "warm-start-cpu"), show_default=True)
def cli(dataset, data_dir, epochs, extra, seed, run_dir, out):
    """Train everything that is not trained yet; write table and figure."""
    prepare_device()
    data = load_data(dataset, data_dir=data_dir)
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    settings = TrainingSettings(recipe="search", epochs=epochs, batch_size=128, seed=seed)
    config = data.adapt(kr.model_config("resnet20_cifar"))
    path = run_dir / "parent.keras"
    parent_file = run_dir / "ResNet-20.json"
    if not parent_file.exists():
        keras.utils.set_random_seed(seed)
        model = build_for_training(config, settings, settings.plan(data.sizes["train"]))
        curve = [right(model, data) / data.sizes["test"], *train(model, data, settings)]
        with replacing(path) as beside:
            model.save(beside)
        write_json(parent_file, _row("ResNet-20", model, epochs, curve, data, None))
    for run in RUNS[1:]:
        file = run_dir / f"{run}.json"
        if file.exists():
            continue
        # What learns on begins at half the rate; what learns from scratch, at the parent's.
        rate = 0.1 if "scratch" in run else 0.05
        own = settings.replace(epochs=extra).set(lr=rate)
        model = begin(run, keras.saving.load_model(path, compile=False), data, own)
        before = right(model, data)
        click.echo(f"{run}: begins at {before} right")
        curve = [before / data.sizes["test"], *train(model, data, own)]
        write_json(file, _row(run, model, extra, curve, data, before))
        keras.utils.clear_session()
    rows = [json.loads((run_dir / f"{run}.json").read_text()) for run in RUNS]
    write_text(f"{out}.csv", csv_text(rows, FIELDS))
    with replacing(Path(f"{out}.png")) as beside:
        figure({row["run"]: row["curve"] for row in rows}, epochs).savefig(beside, dpi=120)
    click.echo(csv_text(rows, FIELDS))


def _row(run, model, epochs, curve, data, before):
    return {
        "run": run,
        "network": f"blocks {model.config.blocks}, widths {model.config.widths}",
        "params": model.count_params(),
        "epochs": epochs,
        "begins_right": before,
        "ends_right": right(model, data),
        "of": data.sizes["test"],
        "curve": curve,
    }


if __name__ == "__main__":
    cli()
