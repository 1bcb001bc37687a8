"""``keras-resnets search``."""

from __future__ import annotations

import click

from keras_resnets.cli.options import (
    Count,
    class_weights_option,
    data_options,
    dry_run_option,
    quiet_option,
    slug,
    take_data_settings,
)
from keras_resnets.errors import InputError

__all__ = ["search"]


@click.command()
@data_options
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Images a training step.  [default: 64, less for few images]",
)
@class_weights_option
@click.option(
    "--trials",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Candidates to train; hyperband derives its own number from the epochs.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Per trial.  [default: 12, more for few images]",
)
@click.option(
    "--final-epochs",
    type=click.IntRange(1),
    help="Of the winner's training.  [default: 40, more for few images]",
)
@click.option(
    "--tuner",
    default="random",
    show_default=True,
    type=click.Choice(["random", "hyperband", "bayesian"]),
    help="How candidates are proposed.",
)
@click.option("--max-params", type=Count(), help="Most parameters of a candidate: 500k.")
@click.option("--max-macs", type=Count(), help="Most multiply-adds for one image: 20M.")
@click.option("--blocks", "blocks_per_stage", type=str, help="Blocks per stage to try: 1,2,3.")
@click.option("--widths", type=str, help="First-stage widths to try: 8,16,32,48.")
@click.option(
    "--trial-timeout",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Without a training step, end a candidate's process.  [default: 10 epochs, 10 minutes at "
    "least]",
)
@click.option("--run-dir", type=click.Path(), help="Folder for the results.")
@dry_run_option
@quiet_option
def search(run_dir, blocks_per_stage, widths, trial_timeout, dry_run, verbose, **options):
    """Search depth and width, train the winner, export and verify it.

    Without options: on the embedded handwritten digits, in a few minutes on two cores. Interrupted,
    the same command resumes where it was.
    """
    from keras_resnets.tuning.checks import check_search
    from keras_resnets.tuning.settings import SearchSettings
    from keras_resnets.tuning.space import SearchSpace

    space = {"blocks_per_stage": blocks_per_stage, "widths": widths}
    space = {name: _numbers(name, text) for name, text in space.items() if text is not None}
    data = vars(take_data_settings(options))
    settings = SearchSettings(space=SearchSpace(**space), **data, **options)
    run_dir = run_dir or f"runs/search-{slug(settings.dataset)}-seed{settings.seed}"
    check_search(settings, run_dir)
    from keras_resnets.tuning.search import search as run  # after the checks: TensorFlow is slow

    run(
        settings,
        run_dir,
        print_fn=click.echo,
        verbose=verbose,
        dry_run=dry_run,
        trial_timeout=trial_timeout,
    )


def _numbers(name: str, text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) if part.strip().isdecimal() else 0 for part in text.split(","))
    if not all(numbers):
        option = "--blocks" if name == "blocks_per_stage" else "--widths"
        raise InputError(
            f"`{option}` must be positive integers with commas, 1,2,3. Received: {text}"
        )
    return numbers
