"""Axes that read plainly: whole epochs, and logarithms labelled 100 k, 1 M, 10 M."""

from __future__ import annotations

import math

from matplotlib import ticker

__all__ = ["plain_log_scale", "plain_number", "whole_epochs"]

_STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
"""Multiples of a power of ten that may be labelled, from the coarsest."""

_FEWEST, _LARGEST = 2, 6
"""Labels of a logarithmic axis."""

_SUFFIXES = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))


def whole_epochs(ax) -> None:
    """Label the x-axis of a curve over epochs with whole numbers, were there only one epoch.

    Args:
        ax: The `matplotlib.axes.Axes`.
    """
    ax.xaxis.set_major_locator(ticker.MaxNLocator("auto", integer=True, min_n_ticks=1))


def plain_log_scale(ax, which: str = "x") -> None:
    """Give an axis a logarithmic scale with at least two labels, each a plain number.

    Args:
        ax: The `matplotlib.axes.Axes`.
        which: ``"x"`` or ``"y"``.

    Example:
        >>> plain_log_scale(ax)  # 100 k, 1 M, 10 M
    """
    ax.set(**{f"{which}scale": "log"})
    axis = ax.xaxis if which == "x" else ax.yaxis
    axis.set_major_locator(_PlainLogLocator())
    axis.set_major_formatter(_PlainFormatter())
    axis.set_minor_formatter(ticker.NullFormatter())


class _PlainLogLocator(ticker.LogLocator):
    """Powers of ten where the data span several; else as few of their multiples as are needed."""

    def tick_values(self, vmin, vmax):
        """Return the labelled values from `vmin` to `vmax`."""
        low, high = sorted((vmin, vmax))
        if not 0 < low < high < math.inf:
            return [value for value in (low, high) if value > 0]
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for steps in _STEPS:
            values = [step * 10.0**decade for decade in decades for step in steps]
            values = [value for value in values if low <= value <= high]
            if len(values) >= _FEWEST:
                return values[:: math.ceil(len(values) / _LARGEST)]
        linear = ticker.MaxNLocator(_LARGEST - 2).tick_values(low, high)
        return [value for value in linear if low <= value <= high] or [low, high]

    def __call__(self):
        """Return the labelled values of the axis."""
        return self.tick_values(*self.axis.get_view_interval())


class _PlainFormatter(ticker.Formatter):
    """Writes the ticks with as few digits as tell them apart."""

    def __call__(self, x, pos=None):
        """Return the label of a tick by itself."""
        return plain_number(x)

    def format_ticks(self, values):
        """Return the labels of all ticks."""
        digits = 3
        while digits < 12 and len({plain_number(v, digits) for v in values}) < len(set(values)):
            digits += 1
        return [plain_number(value, digits) for value in values]


def plain_number(value: float, digits: int = 3) -> str:
    """Return a number as ``0.01``, ``20``, ``100 k``, ``1.5 M``.

    Args:
        value: The number.
        digits: Most significant digits.
    """
    for size, suffix in _SUFFIXES:
        if abs(value) >= size * (1 - 1e-9):
            return f"{value / size:.{digits}g}{suffix}"
    return f"{value:.{digits}g}"
