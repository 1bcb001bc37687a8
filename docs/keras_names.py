"""Writes the tables of layer names into docs/from-keras-applications.md.

Run ``python docs/keras_names.py`` after changing a name, ``--check`` to see whether the page is up
to date (exit code 1 if it is not).
"""

import re
import sys
from pathlib import Path

from keras_resnets.applications import keras_layer_paths

PAGE = Path(__file__).parent / "from-keras-applications.md"
NETWORKS = {
    "ResNet50, 101, 152": ("ResNet50", "ResNet101", "ResNet152"),
    "ResNet50V2, 101V2, 152V2": ("ResNet50V2", "ResNet101V2", "ResNet152V2"),
    "DenseNet121, 169, 201": ("DenseNet121", "DenseNet169", "DenseNet201"),
}


def rules(name: str) -> dict[str, list[str]]:
    """Return Keras' names by path here, with S and B for the numbers of stage and block."""
    found = {}
    for theirs, ours in keras_layer_paths(name).items():
        block = re.fullmatch(r"conv([2-5])_block([0-9]+)_(\w+)", theirs)
        pool = re.fullmatch(r"pool([2-4])_(\w+)", theirs)
        if block and ours.startswith("stage"):
            stage, number, part = int(block[1]) - 1, block[2], block[3]
            theirs = f"conv(S+1)_blockB_{part}"
            ours = re.sub(rf"^stage{stage}_block{number}(?=/|$)", "stageS_blockB", ours)
        elif pool:
            theirs = f"pool(S+1)_{pool[2]}"
            ours = re.sub(rf"^transition{int(pool[1]) - 1}(?=/|$)", "transitionS", ours)
        if theirs not in found.setdefault(ours, []):
            found[ours].append(theirs)
    return found


def table() -> str:
    """Return the table of all networks."""
    lines = ["| networks | keras.applications | here |", "|---|---|---|"]
    for title, names in NETWORKS.items():
        one, *others = [rules(name) for name in names]
        if any(other != one for other in others):
            raise SystemExit(f"{title} follow different rules")
        for ours, theirs in one.items():
            joined = ", ".join(f"`{name}`" for name in theirs)
            lines.append(f"| {title} | {joined} | `{ours}` |")
            title = ""
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page with its table made anew."""
    parts = r"(<!-- names -->\n).*?(<!-- /names -->)"
    return re.sub(parts, lambda m: f"{m[1]}{table()}\n{m[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    now = PAGE.read_text("utf-8")
    if "--check" in sys.argv:
        sys.exit(0 if page(now) == now else f"{PAGE.name} is not up to date: run {sys.argv[0]}")
    PAGE.write_text(page(now), "utf-8")
