"""``keras-resnets show-data``."""

from __future__ import annotations

from pathlib import Path

import click

from keras_resnets.cli.completion import complete_recipes, complete_settings
from keras_resnets.cli.options import (
    check_output,
    dataset_options,
    quiet_option,
    take_data_settings,
)
from keras_resnets.errors import ConfigError, InputError
from keras_resnets.words import printable, wrap

__all__ = ["show_data"]

_DPI = 100


@click.command("show-data")
@dataset_options
@click.option(
    "--recipe",
    shell_complete=complete_recipes,
    help="Augment as this recipe does: a name, or a TOML file.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    shell_complete=complete_settings,
    help="Change a setting of the augmentation: --set mixup=0.2 --set flip=false.",
)
@click.option("--images", default=6, show_default=True, type=click.IntRange(1, 100), help="Rows.")
@click.option(
    "--versions",
    default=7,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Augmented versions of each image.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**31 - 2),
    help="Fixes the augmentation.",
)
@click.option("-o", "--output", default="data.png", show_default=True, type=click.Path())
@quiet_option
def show_data(recipe, changes, images, versions, seed, output, verbose, **options):
    """Draw training images and what augmentation makes of them.

    A row holds an image and its versions in the first epochs. Without --recipe and --set: shifted
    and mirrored, unless the classes are digits or letters.
    """
    from keras_resnets.data.options import check_data
    from keras_resnets.verbosity import Printer

    path = Path(output)
    if path.suffix != ".png":
        raise InputError(f"`--output` must end in .png. Received: {output}")
    check_output(output)
    augmentation = _augmentation(recipe, changes)
    data = take_data_settings(options).arguments
    check_data(data)
    from keras_resnets.data.load import load_data  # after the checks: TensorFlow is slow
    from keras_resnets.data.pictures import draw_augmentation
    from keras_resnets.files import replacing
    from keras_resnets.fonts import missing_letters_note

    print_fn = Printer(click.echo, verbose)
    pictures = load_data(**data, print_fn=print_fn)
    figure = draw_augmentation(pictures, augmentation, images=images, versions=versions, seed=seed)
    with replacing(path) as beside:
        figure.savefig(beside, dpi=_DPI)
    print_fn(printable(f"wrote {output}"))
    if note := missing_letters_note(pictures.class_names):
        print_fn(wrap(note))


def _augmentation(recipe, changes):
    from keras_resnets.data.augmentation import Augmentation
    from keras_resnets.training.recipes import load_recipe
    from keras_resnets.training.recipes.names import parse_settings

    base = Augmentation() if recipe is None else load_recipe(recipe).augmentation
    settings = {}
    for name, value in parse_settings(changes).items():
        table, _, field = name.partition(".")
        if table != "augmentation":
            raise ConfigError(f"`{name}` is not a setting of the augmentation")
        settings[field] = value
    return Augmentation.parse(base.to_dict() | settings, "augmentation")
