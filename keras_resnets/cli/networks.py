"""``keras-resnets list`` and ``describe``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from keras_resnets.cli.completion import complete_models
from keras_resnets.cli.options import Shape, deliver, table, thousands
from keras_resnets.errors import InputError, nearest

__all__ = ["describe", "list_"]


@click.command("list")
@click.argument("pattern", default="*", shell_complete=complete_models)
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
    type=click.Choice(["table", "csv", "json"]),
    help="[default: table]",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("-o", "--output", type=click.Path(), help="Write into this file instead.")
def list_(pattern, sort, form, as_json, output):
    """List the papers' networks whose name fits PATTERN, "*wrn*".

    With parameters and multiply-adds of the network, and the error that its paper gives.
    """
    from keras_resnets.analysis.description import catalog_rows
    from keras_resnets.files import csv_text
    from keras_resnets.models.catalog import canonical_name, list_models

    if as_json and form not in (None, "json"):
        raise InputError(f"`--json` and `--format {form}` contradict each other: give one of them")
    names = list_models(pattern)
    if not names and not set(pattern) & set("*?["):
        names = [canonical_name(pattern)]  # says what the name may have meant
    if not names:
        raise InputError(f"no model fits {pattern!r}{nearest(pattern.strip('*'), list_models())}")
    rows = catalog_rows(names, sort)
    if as_json or form == "json":
        text = json.dumps(rows, indent=2)
    elif form == "csv":
        text = csv_text(rows, list(rows[0])).rstrip("\n")
    else:
        text = _models_table(rows)
    deliver(text, output)


def _models_table(rows) -> str:
    errors = ["" if r["error"] is None else f"{r['error']:g} % {r['measure']}" for r in rows]
    lines = table(
        ["name", "input", "params", "MACs"],
        [[r["name"], r["input"], thousands(r["params"]), thousands(r["macs"])] for r in rows],
        text_columns=2,
    )
    lines = [
        f"{line}  {error}".rstrip() for line, error in zip(lines, ["error", *errors], strict=True)
    ]
    return "\n".join([*lines, "", "Any other legal depth or width resolves too: resnet38_cifar."])


@click.command()
@click.argument("name", shell_complete=complete_models)
@click.option("--input-shape", type=Shape(), help="Image shape.  [default: the paper's]")
@click.option("--classes", type=click.IntRange(1), help="Number of classes.")
@click.option("--json", "as_json", is_flag=True, help="Print the configuration as JSON.")
@click.option("--picture", type=click.Path(), help="Also draw the network into this PNG or SVG.")
def describe(name, input_shape, classes, as_json, picture):
    """Say what the network NAME is made of and what it costs, without building it.

    Beside the numbers of its paper, where there are any.
    """
    from keras_resnets.analysis.description import part_rows, published_lines, sketch, summarize
    from keras_resnets.models.catalog import canonical_name, model_config
    from keras_resnets.models.cost import complexity

    name = canonical_name(name)
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
            thousands(row["params"]),
            thousands(row["macs"]),
            f"{row['total_activation_bytes'] / 1e6:.2f}",
            thousands(row["receptive_field"]),
        ]
        for row in part_rows(config)
    ]
    total = [
        thousands(cost.trainable_params),
        thousands(cost.macs),
        f"{cost.total_activation_bytes / 1e6:.2f}",
        "",
    ]
    headings = ["part", "blocks", "output", "params", "MACs", "MB", "field"]
    click.echo(f"{name}: {summarize(config)}\n\n{sketch(config)}\n")
    click.echo("\n".join(table(headings, [*rows, ["total", "", "", *total]], text_columns=2)))
    click.echo(
        f"\n{thousands(cost.total_params)} parameters with moving statistics; "
        f"{thousands(cost.all_macs)} multiply-adds\nof all layers; "
        f"{cost.peak_activation_bytes / 1e6:.2f} MB at once in inference (float32, one image)"
    )
    lines = published_lines(name, cost.trainable_params)
    if lines:
        click.echo("\n" + "\n".join(lines))


def _draw(config, path: Path) -> None:
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"`--picture` must end in .png or .svg. Received: {path}")
    if not path.parent.is_dir():
        raise InputError(f"`--picture` must lie in an existing folder. Received: {path}")
    from keras_resnets.analysis.drawing import draw_network
    from keras_resnets.files import replacing

    with replacing(path) as beside:
        draw_network(config).savefig(beside, dpi=150)
