"""Writes docs/papers.md: every network of tests/data/papers.csv, published and counted.

Run ``python docs/tables.py`` after changing a network or a fact, ``--check`` to see whether the
page is up to date (exit code 1 if it is not).
"""

import csv
import sys
from pathlib import Path

import keras_resnets as kr
from keras_resnets.models import published

HERE = Path(__file__).parent
PAGE = HERE / "papers.md"
FACTS = HERE.parent / "tests" / "data" / "papers.csv"

EXPLAINED = {
    "preact_resnet1001_cifar": "published without batch normalisation (10.2 M)",
    "resnext101_64x4d": "the paper rounds up (83.6 M)",
}
"""Why a printed number of parameters is not the counted one, rounded."""

HEAD = """# The papers' networks, counted

Made by `python docs/tables.py`; the tests check that it is up to date. Parameters are the trainable
ones, batch normalisation included; multiply-adds are those of convolutions and dense layers for one
image. "Exact" are the numbers of the paper's network counted independently of this package (from
the authors' descriptions and code, torchvision or timm), "ours" what `complexity(name)` says, which
the tests find equal to the built model's (those that build every network at full size are `slow`).

"""


def explanation(name, printed, counted):
    """Return what to say about a printed number of millions, or fail."""
    if not printed:
        return ""
    digits = len(printed.partition(".")[2])
    # Papers cut as well as round: the last printed digit may be one off.
    if abs(float(printed) - counted / 1e6) <= 10**-digits:
        return ""
    return EXPLAINED[name]


def cost_table():
    """Return the table of parameters and multiply-adds."""
    lines = [
        "| network | classes | source | printed | exact parameters | ours "
        "| exact MACs | ours | note |",
        "|---|--:|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in csv.DictReader(FACTS.open(encoding="utf-8")):
        cost = kr.complexity(kr.model_config(row["name"], classes=int(row["classes"])))
        exact = int(row["trainable_params"])
        macs = int(row["macs"]) if row["macs"] else None
        if cost.trainable_params != exact or macs not in (None, cost.macs):
            raise SystemExit(f"{row['name']}: {cost} is not {exact} parameters, {macs} MACs")
        printed = row["published_millions"]
        cells = [
            f"`{row['name']}`",
            row["classes"],
            row["source"],
            f"{printed} M" if printed else "",
            f"{exact:,}",
            f"{cost.trainable_params:,}",
            "" if macs is None else f"{macs:,}",
            f"{cost.macs:,}",
            explanation(row["name"], printed, cost.trainable_params),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def zoo_table():
    """Return the table of all listed networks."""
    lines = [
        "| network | input | parameters | MACs | activations | receptive field | published error |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for name in kr.list_models():
        config, cost, said = kr.model_config(name), kr.complexity(name), published(name)
        errors = said.errors if said else {}
        cells = [
            f"`{name}`",
            " x ".join(map(str, config.input_shape)),
            f"{cost.trainable_params:,}",
            f"{cost.macs:,}",
            f"{cost.total_activation_bytes / 1e6:.1f} MB",
            f"{cost.receptive_field} px",
            ", ".join(f"{value:g} % ({key})" for key, value in list(errors.items())[:2]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments):
    """Write the page, or check it."""
    page = HEAD + cost_table() + "\n\n## Every listed network\n\n" + zoo_table() + "\n"
    if "--check" in arguments:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page:
            raise SystemExit("docs/papers.md is out of date: run python docs/tables.py")
        return
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
