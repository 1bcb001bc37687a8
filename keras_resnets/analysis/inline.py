"""Figures as SVG inside a page: text stays text, and colours follow a light or a dark page."""

from __future__ import annotations

import html
import io
import re

import matplotlib as mpl
from matplotlib.figure import Figure

from keras_resnets.analysis.figures import GRAY, GRID, INK, PALETTE

__all__ = ["inline_svg", "theme"]

_THEME = {
    INK: ("ink", "#e3e2dd"),
    "#000000": ("ink", "#e3e2dd"),
    GRID: ("grid", "#3b3b3b"),
    GRAY: ("gray", "#8f8f8f"),
    "#ffffff": ("page", "#191919"),
    "#f1f1ef": ("pale", "#2d2d2d"),
    "#dddddd": ("soft", "#4a4a4a"),
    **{
        light: (f"color{number}", dark)
        for number, (light, dark) in enumerate(
            zip(
                PALETTE,
                ("#529cca", "#ffa344", "#8fbf4d", "#e06c9f", "#a79be0", "#c9a66b"),
                strict=True,
            )
        )
    },
}
"""Colours of our figures: the name as a variable of CSS, and what a dark page shows instead."""


def theme(dark: bool = False) -> str:
    """Return the colours as CSS declarations, for a light or a dark page.

    Example:
        >>> theme()[:15]
        '--ink: #37352f;'
    """
    colors = {name: other if dark else own for own, (name, other) in reversed(_THEME.items())}
    return " ".join(f"--{name}: {color};" for name, color in reversed(colors.items()))


def inline_svg(figure: Figure, name: str, label: str) -> str:
    """Return a figure as an ``<svg>`` element that an HTML page can hold.

    It has no size of its own and no background; a colour is a variable of `theme`, a text a text.

    Args:
        figure: The figure, in colours of our palette.
        name: Begins every id inside, which must differ between the figures of a page.
        label: What the figure shows, for those who do not see it.

    Raises:
        ValueError: The figure has a colour that `theme` does not know.
    """
    for patch in (figure.patch, *(ax.patch for ax in figure.axes)):
        patch.set_visible(False)
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for unneeded in ("<metadata>.*?</metadata>", "<style.*?</style>", "<!--.*?-->"):
        svg = re.sub(unneeded, "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"(?<=[ :])#[0-9a-fA-F]{6}\b", lambda match: _variable(match[0]), svg)
    head, body = svg.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)[0]
    return f'<svg {box} role="img" aria-label="{html.escape(label)}">{body.strip()}'


def _variable(color: str) -> str:
    if color.lower() not in _THEME:
        raise ValueError(f"the colour {color} of a figure is not one of the theme's")
    return f"var(--{_THEME[color.lower()][0]})"
