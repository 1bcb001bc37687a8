"""``keras-resnets export`` and ``convert``: what becomes of a trained model."""

from __future__ import annotations

import click

from keras_resnets.cli.options import model_and_data, quiet_option, trial_options

__all__ = ["convert", "export"]


@click.command()
@click.argument("model", type=click.Path())
@click.option(
    "--to",
    "formats",
    multiple=True,
    type=click.Choice(["saved_model", "tflite"]),
    help="Format, may be repeated.  [default: both]",
)
@click.option("-o", "--output", type=click.Path(), help="Folder.  [default: the model's own]")
@trial_options("Images to verify on.")
@quiet_option
def export(model, formats, output, verbose, **options):
    """Export MODEL, a .keras file, and verify each export on real images."""
    path, data = model_and_data(model, options)
    from keras_resnets.export.program import run_export

    run_export(
        path,
        formats or ("saved_model", "tflite"),
        output or path.parent,
        data,
        click.echo,
        verbose=verbose,
    )


@click.command()
@click.argument("model", type=click.Path())
@click.option(
    "--to",
    required=True,
    type=click.Choice(["plain", "residual", "folded"]),
    help="plain: without any addition; residual: a plain network with shortcuts; folded: batch "
    "normalisation inside the convolutions.",
)
@click.option("-o", "--output", required=True, type=click.Path(), help="The .keras file to write.")
@click.option(
    "--recalibrate",
    is_flag=True,
    help="With --to residual: measure the branches' statistics on training images.",
)
@trial_options("Images to compare on.")
@quiet_option
def convert(model, to, output, recalibrate, verbose, **options):
    """Convert MODEL, a .keras file, to a network of the same function.

    Prints parameters and multiply-adds before and after, and how the two compare on real images.
    """
    path, data = model_and_data(model, options)
    from keras_resnets.surgery.program import run_convert

    run_convert(path, to, output, data, click.echo, recalibrate=recalibrate, verbose=verbose)
