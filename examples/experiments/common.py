"""What the experiments share: scales, trainings that go on where they were, tables, pictures."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from matplotlib.figure import Figure

from keras_resnets.data import load_data
from keras_resnets.data.load import ImageData
from keras_resnets.errors import InputError, RunError
from keras_resnets.files import csv_text, replacing, write_json, write_text
from keras_resnets.models.config import NetworkConfig
from keras_resnets.training import TrainingSettings, train
from keras_resnets.training.fit import prepare_device
from keras_resnets.training.generations import remove_checkpoint

COLORS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")


@dataclass(frozen=True)
class Scale:
    """How large an experiment is.

    Attributes:
        image_size: Side of the images, None for the data set's own.
        images: Training images, None for all.
        epochs: Length of each training, None for the recipe's.
        batch_size: Images a step, None for the recipe's.
        seeds: Trainings of each network.
        all_data: Whether the validation images are trained on too, as the papers do.
        changes: Settings of the recipe to change.
        about: What it takes.
    """

    image_size: int | None = None
    images: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seeds: int = 3
    all_data: bool = False
    changes: dict = dataclasses.field(default_factory=dict)
    about: str = ""


def small_scales(minutes: str, hours: str, published: str, seeds: int = 5) -> dict[str, Scale]:
    """Return the scales of the experiments whose smallest is one training of each network.

    Args:
        minutes: What the smallest takes, but for its images and epochs.
        hours: What 20 epochs of the recipe take.
        published: What the whole recipe takes, on all images.
        seeds: Trainings of each network then.
    """
    return {
        "minutes": Scale(
            image_size=16,
            images=5_000,
            epochs=5,
            batch_size=32,
            seeds=1,
            changes={
                "optimizer.learning_rate": 0.02,
                "schedule.kind": "one_cycle",
                "schedule.milestones": [],
                "warmup": 0,
            },
            about=f"{minutes} on 5,000 images of 16 x 16 pixels, 5 epochs of one cycle, one seed",
        ),
        "hours": Scale(epochs=20, about=hours),
        "published": Scale(seeds=seeds, all_data=True, about=published),
    }


def options(scales: dict[str, Scale], name: str) -> Callable:
    """Give a command the options of every experiment."""
    about = "; ".join(f"{key}: {scale.about}" for key, scale in scales.items())
    added = (
        click.option("--dataset", default="cifar10", show_default=True),
        click.option("--data-dir", type=click.Path(), help="Where TensorFlow Datasets keeps it."),
        click.option(
            "--scale",
            default=next(iter(scales)),
            show_default=True,
            type=click.Choice(list(scales)),
            help=f"{about}.",
        ),
        click.option("--seeds", type=click.IntRange(1), help="Trainings of each network."),
        click.option(
            "--out",
            default=f"runs/experiments/{name}",
            show_default=True,
            type=click.Path(),
            help="Folder for trainings, table and figure.",
        ),
    )

    def give(function):
        for option in reversed(added):
            function = option(function)
        return click.command(help=function.__doc__)(function)

    return give


def run(command: click.Command) -> None:
    """Run an experiment; wrong input is one line."""
    try:
        command.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from error
    except (InputError, RunError) as error:
        click.echo(f"{command.name}: {error}", err=True)
        raise SystemExit(2) from error
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command resumes where it was", err=True)
        raise SystemExit(130) from None


class Bench:
    """The trainings of one experiment, in one folder, each done once.

    Args:
        name: Name of the experiment.
        scale: Its size.
        recipe: Recipe that all networks are trained by.
        dataset: Data set.
        data_dir: Where it lies.
        seeds: Trainings of each network, instead of the scale's.
        out: The folder.
    """

    def __init__(self, name, scale: Scale, recipe: str, dataset, data_dir, seeds, out):
        self.scale = scale
        self.seeds = range(seeds or scale.seeds)
        self.out = Path(out)
        self.settings = TrainingSettings(
            recipe=recipe,
            epochs=scale.epochs,
            batch_size=scale.batch_size,
            all_data=scale.all_data,
        ).set(**scale.changes)
        data = load_data(dataset, data_dir=data_dir, image_size=scale.image_size)
        self.data = data if scale.images is None else first_images(data, scale.images)
        self.out.mkdir(parents=True, exist_ok=True)
        self._pin(name, dataset)
        prepare_device(self.settings)

    def _pin(self, name, dataset) -> None:
        """Refuse a folder of another experiment or scale."""
        identity = json.loads(
            json.dumps(
                {
                    "experiment": name,
                    "data": dataset,
                    **self.settings.to_dict(),
                    "scale": dataclasses.asdict(self.scale),
                }
            )
        )
        file = self.out / "experiment.json"
        if not file.is_file():
            write_json(file, identity)
        elif json.loads(file.read_text()) != identity:
            raise InputError(
                f"folder {str(self.out)!r} holds this experiment at another scale or on other "
                "data: use another --out"
            )

    def train(self, label: str, config: NetworkConfig, *, measure=None, **changes) -> list[dict]:
        """Train a network for every seed; return a dict of each training, read if it is done.

        Args:
            label: Its name.
            config: Its configuration; adapted to the data here.
            measure: Function from the trained model to a dict of more to keep.
            **changes: Settings to change.

        Returns:
            Dicts with ``history``, ``test_error`` in percent, ``seconds``, ``params`` and what was
            measured.
        """
        return [self._train(label, config, seed, measure, changes) for seed in self.seeds]

    def _train(self, label, config, seed, measure, changes) -> dict:
        file = self.out / f"{label}-seed{seed}.json"
        if file.is_file():
            return json.loads(file.read_text())
        settings = self.settings.replace(seed=seed, **changes)
        checkpoint = file.with_suffix(".checkpoint.keras")
        click.echo(f"{label}, seed {seed}")
        began = time.monotonic()
        result = train(
            self.data.adapt(config),
            self.data,
            settings,
            checkpoint=checkpoint,
            on_epoch=lambda row, history: click.echo(
                f"  epoch {row['epoch']}  loss {row['loss']:.4f}  "
                f"accuracy {row['accuracy']:.2%}  {row['seconds']:.0f} s"
            ),
        )
        if result.diverged:
            raise RunError(f"{label}, seed {seed} diverged: {result.divergence}")
        row = {
            "label": label,
            "seed": seed,
            "params": result.model.count_params(),
            "history": result.history,
            "test_error": 100 * (1 - _accuracy(result.model, self.data)),
            "seconds": result.seconds,
            **(measure(result.model) if measure else {}),
        }
        click.echo(f"  test error {row['test_error']:.2f} %, {time.monotonic() - began:.0f} s")
        write_json(file, row)
        remove_checkpoint(checkpoint)
        return row

    def write(self, name: str, rows: list[dict], figure: Figure) -> None:
        """Write the table and the figure by this name, and print the table."""
        text = csv_text(rows, list(rows[0]))
        table, picture = self.out / f"{name}.csv", self.out / f"{name}.png"
        write_text(table, text)
        with replacing(picture) as beside:
            figure.savefig(beside, dpi=110, format="png")
        click.echo("\n" + text)
        click.echo(f"wrote {table} and {picture}")


def _accuracy(model, data: ImageData) -> float:
    from keras_resnets.training.results import accuracy

    return accuracy(model, data, "test")


def first_images(data: ImageData, count: int) -> ImageData:
    """Return a data set with the first training images only."""
    read = data.read
    return dataclasses.replace(
        data,
        sizes={**data.sizes, "train": min(count, data.sizes["train"])},
        read=lambda split: read(split).take(count) if split == "train" else read(split),
    )


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half the range of some numbers, rounded to four places."""
    values = np.asarray(values)
    return round(float(values.mean()), 4), round(float(np.ptp(values) / 2), 4)


def panels(count: int, width: float = 4.2, height: float = 3.2):
    """Return a figure and its axes, without ornaments."""
    figure = Figure(figsize=(width * count, height), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, count))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(color="#e6e6e6", linewidth=0.8)
    return figure, axes
