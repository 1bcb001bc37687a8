"""``keras-resnets train`` and ``recipes``."""

from __future__ import annotations

import json

import click

from keras_resnets.cli.completion import (
    complete_models,
    complete_recipes,
    complete_settings,
)
from keras_resnets.cli.options import (
    class_weights_option,
    data_options,
    deliver,
    dry_run_option,
    quiet_option,
    slug,
    table,
    take_data_settings,
)
from keras_resnets.cli.settings import recipe_changes

__all__ = ["recipes", "train"]


@click.command()
@click.argument("model", shell_complete=complete_models)
@data_options
@click.option(
    "--recipe",
    default="quick",
    show_default=True,
    shell_complete=complete_recipes,
    help="How to train: a name of `keras-resnets recipes`, or a TOML file.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Length, to which the recipe's schedule is scaled.  [default: the recipe's, more for few "
    "images]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Images a training step, over all devices.  [default: the recipe's, less for few images]",
)
@click.option("--lr", "learning_rate", type=float, help="The same as --set lr=LR.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    shell_complete=complete_settings,
    help="Change a setting of the recipe: --set mixup=0.2 --set schedule.kind=cosine.",
)
@click.option(
    "--lr-rule",
    type=click.Choice(["none", "linear", "sqrt"]),
    help="How the learning rate follows --batch-size.  [default: the recipe's]",
)
@click.option(
    "--accumulate",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Compute each batch in this many parts, to save memory.",
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="Stop after this many epochs without a better validation accuracy.",
)
@class_weights_option
@click.option("--all-data", is_flag=True, help="Train on the validation images too.")
@click.option("--init", type=click.Path(), help="A .keras file to begin with the weights of.")
@click.option(
    "--strategy",
    default="none",
    show_default=True,
    type=click.Choice(["none", "auto", "mirrored", "multiworker", "tpu"]),
    help="Share the work between devices.",
)
@click.option("--sync-bn", is_flag=True, help="Batch normalisation over all devices' images.")
@click.option(
    "--profile", is_flag=True, help="Also write where a training step's time goes, profile.csv."
)
@click.option("--tensorboard", is_flag=True, help="Also write logs for TensorBoard.")
@click.option("--run-dir", type=click.Path(), help="Folder for the results.")
@dry_run_option
@quiet_option
def train(model, run_dir, profile, tensorboard, dry_run, verbose, **options):
    """Train the network MODEL on a data set.

    Interrupted, the same command resumes where it was.
    """
    from keras_resnets.models.catalog import canonical_name
    from keras_resnets.training.checks import check_training

    model = canonical_name(model)
    data = take_data_settings(options)
    settings = _settings(**options)
    run_dir = run_dir or f"runs/train-{slug(model)}-{slug(data.dataset)}-seed{settings.seed}"
    check_training(model, data.arguments, settings, run_dir)
    from keras_resnets.training.program import run_training  # after the checks: TensorFlow is slow

    run_training(
        model,
        data.arguments,
        settings,
        run_dir,
        print_fn=click.echo,
        profile=profile,
        tensorboard=tensorboard,
        verbose=verbose,
        dry_run=dry_run,
    )


def _settings(recipe, changes, learning_rate, lr_rule, sync_bn, **options):
    """Return the settings of a training, from the command's options."""
    from keras_resnets.training.recipes import load_recipe
    from keras_resnets.training.settings import TrainingSettings

    given = {"--lr": learning_rate, "--lr-rule": lr_rule}
    given |= {"--epochs": options["epochs"], "--batch-size": options["batch_size"]}
    values = recipe_changes(changes, given)
    recipe = load_recipe(recipe).set(**values)
    return TrainingSettings(recipe=recipe, sync_batch_norm=sync_bn, **options)


@click.command()
@click.argument("name", required=False, shell_complete=complete_recipes)
@click.option("--json", "as_json", is_flag=True, help="Print what the recipe comes to, as JSON.")
@click.option("-o", "--output", type=click.Path(), help="Write into this file instead.")
def recipes(name, as_json, output):
    """List the recipes, or print the recipe NAME (or a file's).

    A file of one's own builds on another by extends = "quick".
    """
    from keras_resnets.training.recipes import load_recipe, recipe_names, recipe_toml

    if name is not None:
        recipe = load_recipe(name)
        text = json.dumps(recipe.to_dict(), indent=2) if as_json else recipe_toml(name).rstrip()
        deliver(text, output)
        return
    rows = [load_recipe(known) for known in recipe_names()]
    if as_json:
        deliver(json.dumps([recipe.to_dict() for recipe in rows], indent=2), output)
        return
    cells = [
        [r.name, r.optimizer.name, r.schedule.kind, f"{r.length:,} {r.unit}", f"{r.batch_size:,}"]
        for r in rows
    ]
    lines = table(["name", "optimizer", "schedule", "length", "batch"], cells, text_columns=3)
    texts = ["description", *(recipe.description for recipe in rows)]
    deliver("\n".join(f"{a}  {b}" for a, b in zip(lines, texts, strict=True)), output)
