"""The command ``keras-resnets``: a thin shell over the package's functions.

Nothing heavy is imported until a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from pathlib import Path

import click

from keras_resnets._version import __version__
from keras_resnets.errors import InputError, RunError, nearest

__all__ = ["cli", "main"]


class _Count(click.ParamType):
    """A positive count, plain or with k, M or G: ``500k``, ``1.5M``."""

    name = "number"

    def convert(self, value, param, ctx):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMgG]?)", str(value).replace("_", ""))
        factor = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
        number = round(float(match[1]) * factor[match[2].lower()]) if match else 0
        if number < 1:
            self.fail(f"must be a positive number such as 500k or 1.5M. Received: {value}", param)
        return number


class _Shape(click.ParamType):
    """An image shape: ``64x64x3``."""

    name = "HxWxC"

    def convert(self, value, param, ctx):
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", str(value))
        if not match:
            self.fail(f"must be height x width x channels, 64x64x3. Received: {value}", param)
        return tuple(int(part) for part in match.groups())


class _Group(click.Group):
    """A group that names the nearest command to an unknown one, and may be interrupted."""

    def resolve_command(self, ctx, args):
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            names = self.list_commands(ctx)
            known = nearest(args[0], names) or f"; commands: {', '.join(names)}"
            raise click.UsageError(f"no command is named {args[0]!r}{known}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # click would add an empty line
            raise click.Abort() from None


_DATA_OPTIONS = (
    click.option(
        "--dataset",
        default="keras_resnets_digits",
        show_default=True,
        help="TensorFlow Datasets name, or a folder of images in class folders.",
    ),
    click.option("--data-dir", type=click.Path(), help="Where TensorFlow Datasets keeps its data."),
    click.option(
        "--image-size",
        type=click.IntRange(1),
        help="Resize images to this many pixels.  [default: their own size, 64 if they differ]",
    ),
    click.option(
        "--flip/--no-flip",
        default=None,
        help="Mirror training images.  [default: yes, but not digits and letters]",
    ),
    click.option(
        "--batch-size",
        default=64,
        show_default=True,
        type=click.IntRange(1),
        help="Images a training step.",
    ),
    click.option(
        "--precision",
        default="auto",
        show_default=True,
        type=click.Choice(["auto", "float32", "mixed_bfloat16", "mixed_float16"]),
        help="Dtype policy of training; auto takes what is fastest on the device.",
    ),
    click.option(
        "--xla/--no-xla",
        default=None,
        help="Compile training by XLA.  [default: what is fastest on the device]",
    ),
    click.option(
        "--seed",
        default=0,
        show_default=True,
        type=click.IntRange(0, 2**31 - 2),
        help="Fixes weights, data order and proposals.",
    ),
)


def _data_options(function):
    for option in reversed(_DATA_OPTIONS):
        function = option(function)
    return function


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="keras-resnets")
@click.option("--verbose", is_flag=True, help="Show the messages of TensorFlow and its friends.")
@click.pass_context
def cli(context, verbose):
    """Search, train, describe and export residual networks."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
    elif not verbose:
        _silence_libraries()


@cli.command()
@_data_options
@click.option(
    "--trials",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Candidates to train; hyperband derives its own number from the epochs.",
)
@click.option("--epochs", default=12, show_default=True, type=click.IntRange(1), help="Per trial.")
@click.option(
    "--final-epochs",
    default=40,
    show_default=True,
    type=click.IntRange(1),
    help="Of the winner's training.",
)
@click.option(
    "--tuner",
    default="random",
    show_default=True,
    type=click.Choice(["random", "hyperband", "bayesian"]),
    help="How candidates are proposed.",
)
@click.option("--max-params", type=_Count(), help="Most parameters of a candidate: 500k.")
@click.option("--max-macs", type=_Count(), help="Most multiply-adds for one image: 20M.")
@click.option("--blocks", "blocks_per_stage", type=str, help="Blocks per stage to try: 1,2,3.")
@click.option("--widths", type=str, help="First-stage widths to try: 8,16,32,48.")
@click.option("--run-dir", type=click.Path(), help="Folder for the results.")
def search(dataset, run_dir, blocks_per_stage, widths, seed, **options):
    """Search depth and width, train the winner, export and verify it.

    Without options: on the embedded handwritten digits, in a few minutes on two cores. Interrupted,
    the same command goes on where it was.
    """
    from keras_resnets.tuning.settings import SearchSettings
    from keras_resnets.tuning.space import SearchSpace

    space = {"blocks_per_stage": blocks_per_stage, "widths": widths}
    space = {name: _numbers(name, text) for name, text in space.items() if text is not None}
    settings = SearchSettings(dataset=dataset, seed=seed, space=SearchSpace(**space), **options)
    from keras_resnets.tuning.search import search as run  # after the checks: TensorFlow is slow

    run(settings, run_dir or f"runs/search-{_slug(dataset)}-seed{seed}", say=click.echo)


@cli.command()
@click.argument("model")
@_data_options
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
    run_dir = run_dir or f"runs/train-{_slug(model)}-{_slug(dataset)}-seed{settings.seed}"
    from keras_resnets.training.program import run_training  # after the checks: TensorFlow is slow

    run_training(model, data, settings, run_dir, say=click.echo, profile=profile)


@cli.command("list")
@click.argument("pattern", default="*")
@click.option(
    "--sort",
    default="name",
    show_default=True,
    type=click.Choice(["name", "params", "macs", "error"]),
    help="Column to sort by; errors within each measurement.",
)
@click.option(
    "--format",
    "form",
    default="table",
    show_default=True,
    type=click.Choice(["table", "csv", "json"]),
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("-o", "--output", type=click.Path(), help="Write into this file instead.")
def list_(pattern, sort, form, as_json, output):
    """List the papers' networks whose name fits PATTERN, "*wrn*".

    With parameters and multiply-adds of the network, and the error that its paper gives.
    """
    from keras_resnets.analysis.description import catalog_rows
    from keras_resnets.files import csv_text
    from keras_resnets.models.catalog import list_models

    names = list_models(pattern)
    if not names:
        raise InputError(f"no model fits {pattern!r}{nearest(pattern.strip('*'), list_models())}")
    rows = catalog_rows(names, sort)
    if as_json or form == "json":
        text = json.dumps(rows, indent=2)
    elif form == "csv":
        text = csv_text(rows, list(rows[0])).rstrip("\n")
    else:
        text = _models_table(rows)
    _deliver(text, output)


def _models_table(rows) -> str:
    errors = ["" if r["error"] is None else f"{r['error']:g} % {r['measure']}" for r in rows]
    table = _table(
        ["name", "input", "params", "MACs"],
        [[r["name"], r["input"], _n(r["params"]), _n(r["macs"])] for r in rows],
        text_columns=2,
    )
    lines = [
        f"{line}  {error}".rstrip() for line, error in zip(table, ["error", *errors], strict=True)
    ]
    return "\n".join([*lines, "", "Any other legal depth or width resolves too: resnet38_cifar."])


def _deliver(text: str, output: str | None) -> None:
    if output is None:
        click.echo(text)
        return
    from keras_resnets.files import write_text

    path = Path(output)
    if not path.parent.is_dir() or path.is_dir():
        raise InputError(f"`--output` must be a file in an existing folder. Received: {output}")
    write_text(path, text + "\n")


@cli.command()
@click.argument("name")
@click.option("--input-shape", type=_Shape(), help="Image shape.  [default: the paper's]")
@click.option("--classes", type=click.IntRange(1), help="Number of classes.")
@click.option("--json", "as_json", is_flag=True, help="Print the configuration as JSON.")
@click.option("--picture", type=click.Path(), help="Also draw the network into this PNG or SVG.")
def describe(name, input_shape, classes, as_json, picture):
    """Say what the network NAME is made of and what it costs, without building it.

    Beside the numbers of its paper, where there are any.
    """
    from keras_resnets.analysis.description import part_rows, published_lines, sketch, summarize
    from keras_resnets.models.catalog import model_config
    from keras_resnets.models.cost import complexity

    given = {"input_shape": input_shape, "classes": classes}
    config = model_config(name, **{k: v for k, v in given.items() if v is not None})
    if picture is not None:
        _draw(config, Path(picture))
    if as_json:
        click.echo(config.to_json())
        return
    cost = complexity(config)
    rows = [
        [
            row["part"],
            row["blocks"],
            row["output"],
            _n(row["params"]),
            _n(row["macs"]),
            f"{row['total_activation_bytes'] / 1e6:.2f}",
            _n(row["receptive_field"]),
        ]
        for row in part_rows(config)
    ]
    total = [
        _n(cost.trainable_params),
        _n(cost.macs),
        f"{cost.total_activation_bytes / 1e6:.2f}",
        "",
    ]
    headings = ["part", "blocks", "output", "params", "MACs", "MB", "field"]
    click.echo(f"{name}: {summarize(config)}\n\n{sketch(config)}\n")
    click.echo("\n".join(_table(headings, [*rows, ["total", "", "", *total]], text_columns=2)))
    click.echo(
        f"\n{_n(cost.total_params)} parameters with moving statistics; {_n(cost.all_macs)} "
        f"multiply-adds\nof all layers; {cost.peak_activation_bytes / 1e6:.2f} MB at once in "
        "inference (float32, one image)"
    )
    lines = published_lines(name, cost.trainable_params)
    if lines:
        click.echo("\n" + "\n".join(lines))


@cli.command()
@click.argument("model", type=click.Path())
@click.option(
    "--to",
    "formats",
    multiple=True,
    type=click.Choice(["saved_model", "tflite"]),
    help="Format, may be repeated.  [default: both]",
)
@click.option("-o", "--output", type=click.Path(), help="Folder.  [default: the model's own]")
@click.option("--dataset", help="Images to verify on.  [default: those it was trained on]")
@click.option("--data-dir", type=click.Path(), help="Where TensorFlow Datasets keeps its data.")
def export(model, formats, output, dataset, data_dir):
    """Export MODEL, a .keras file, and verify each export on real images."""
    path, data = _model_and_data(model, dataset, data_dir)
    from keras_resnets.export.program import run_export

    run_export(path, formats or ("saved_model", "tflite"), output or path.parent, data, click.echo)


@cli.command()
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
@click.option("--dataset", help="Images to compare on.  [default: those it was trained on]")
@click.option("--data-dir", type=click.Path(), help="Where TensorFlow Datasets keeps its data.")
def convert(model, to, output, recalibrate, dataset, data_dir):
    """Convert MODEL, a .keras file, to a network of the same function.

    Prints parameters and multiply-adds before and after, and how the two compare on real images.
    """
    path, data = _model_and_data(model, dataset, data_dir)
    if Path(output).suffix != ".keras":  # before TensorFlow, which is slow
        raise InputError(f"`--output` must end in .keras. Received: {output}")
    from keras_resnets.surgery.program import run_convert

    run_convert(path, to, output, data, click.echo, recalibrate=recalibrate)


def _model_and_data(model, dataset, data_dir) -> tuple[Path, dict]:
    """Return a model's path, checked, and which images to try it on."""
    path = Path(model)
    if not path.is_file() or path.suffix != ".keras":
        raise InputError(f"`MODEL` must be an existing .keras file. Received: {model}")
    data = _training_data(path) if dataset is None else {"name": dataset}
    if data_dir is not None:
        data["data_dir"] = data_dir
    return path, data


def _training_data(path: Path) -> dict:
    summary = path.parent / "summary.json"
    if not summary.is_file():
        raise InputError(
            f"there is no summary.json beside {str(path)!r} that says what it was trained on: give "
            "--dataset, the images to compare on"
        )
    data = json.loads(summary.read_text())["data"]
    return {name: data[name] for name in ("name", "data_dir", "image_size", "flip")}


def _draw(config, path: Path) -> None:
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"`--picture` must end in .png or .svg. Received: {path}")
    if not path.parent.is_dir():
        raise InputError(f"`--picture` must lie in an existing folder. Received: {path}")
    from keras_resnets.analysis.drawing import draw_network
    from keras_resnets.files import replacing

    with replacing(path) as beside:
        draw_network(config).savefig(beside, dpi=150)


def _numbers(name: str, text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) if part.strip().isdecimal() else 0 for part in text.split(","))
    if not all(numbers):
        option = "--blocks" if name == "blocks_per_stage" else "--widths"
        raise InputError(
            f"`{option}` must be positive integers with commas, 1,2,3. Received: {text}"
        )
    return numbers


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", Path(name).name).strip("-") or "data"


def _n(number: int) -> str:
    return f"{number:,}"


def _table(headings, rows, text_columns=1) -> list[str]:
    """Return the lines of columns of text, then of numbers."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = []
    for row in [headings, *rows]:
        cells = [
            cell.ljust(width) if i < text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _silence_libraries() -> None:
    """Keep TensorFlow's messages off the terminal; ours, and Python's errors, stay.

    TensorFlow writes to file descriptor 2 before its own log level counts.
    """
    import logging

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        terminal = os.dup(2)
    except OSError:
        return  # started without a standard error: there is nothing to keep clean
    sys.stderr.flush()
    sys.stderr = os.fdopen(terminal, "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def main(args: list[str] | None = None) -> None:
    """Run the command; wrong input is one line on standard error and exit code 2."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # for a terminal that knows no squares
    try:
        code = cli.main(args=args, prog_name="keras-resnets", standalone_mode=False)
    except click.Abort:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # the terminal wrote ^C
        _complain("interrupted; the same command goes on where it was")
        code = 130
    except (click.ClickException, InputError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        _complain(message)
        code = 2
    except (RunError, OSError) as error:
        _complain(str(error))
        code = 1
    sys.exit(code)


def _complain(message: str) -> None:
    print("keras-resnets: " + " ".join(message.split()), file=sys.stderr)


if __name__ == "__main__":
    main()
