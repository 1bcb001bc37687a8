"""``keras-resnets train``."""

from __future__ import annotations

import click

from keras_resnets.cli.options import data_options, slug

__all__ = ["train"]


@click.command()
@click.argument("model")
@data_options
@click.option("--epochs", default=30, show_default=True, type=click.IntRange(1))
@click.option("--lr", "learning_rate", default=0.1, show_default=True, help="Peak learning rate.")
@click.option(
    "--profile", is_flag=True, help="Also write where a training step's time goes, profile.csv."
)
@click.option("--run-dir", type=click.Path(), help="Folder for the results.")
def train(model, dataset, data_dir, image_size, flip, run_dir, profile, **options):
    """Train the network MODEL on a data set.

    Interrupted, the same command goes on where it was.
    """
    from keras_resnets.models.catalog import model_config
    from keras_resnets.training.settings import TrainingSettings

    model_config(model)
    settings = TrainingSettings(**options)
    data = {"name": dataset, "data_dir": data_dir, "image_size": image_size, "flip": flip}
    run_dir = run_dir or f"runs/train-{slug(model)}-{slug(dataset)}-seed{settings.seed}"
    from keras_resnets.training.program import run_training  # after the checks: TensorFlow is slow

    run_training(model, data, settings, run_dir, say=click.echo, profile=profile)
