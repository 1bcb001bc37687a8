"""Numbers, durations and lines in words, as every message of the package has them."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable
from typing import Any

__all__ = [
    "LINE",
    "clock",
    "compact",
    "count",
    "cut",
    "json_text",
    "plural",
    "printable",
    "thousands",
    "wrap",
]

_HARD = ("epoch", "arch")
"""Endings whose ch is a k."""

LINE = 80
"""Columns of a terminal that lines must fit."""

_UNPRINTABLE = (
    "\x00-\x1f\x7f-\x9f"  # what terminals obey: escape sequences, C1 included
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff"  # bytes of file names that are not UTF-8
    "\U000e0000-\U000e007f"
)
"""Characters that change what stands around them, or that nobody sees: controls, directions
(Unicode's annex 9: "Trojan Source", arXiv:2111.00169), invisible spaces and tags. Joiners (U+200C,
U+200D) stay: scripts and emoji need them."""

_IN_NAMES = re.compile(f"[{_UNPRINTABLE}]")
_IN_TEXTS = re.compile(f"(?!\n)[{_UNPRINTABLE}]")
_IN_JSON = re.compile(f"(?![\x00-\x1f])[{_UNPRINTABLE}]")


def cut(items: Iterable[str], most: int) -> tuple[list[str], str]:
    """Return the first items of a list, and what to say of the rest.

    Args:
        items: Names, lines, ...
        most: How many are shown.

    Returns:
        The items that are shown, and ``"and 3 more"``, empty where nothing is left.

    Example:
        >>> cut(["a", "b", "c"], 2)
        (['a', 'b'], 'and 1 more')
    """
    items = list(items)
    left = len(items) - most
    return items[:most], f"and {left:,} more" if left > 0 else ""


def printable(text: str, lines: bool = False) -> str:
    r"""Return a text without characters that a terminal obeys or that hide what it says.

    Everything that is printed and holds names of files, classes or models goes through here.

    Args:
        text: Any text.
        lines: Whether it has lines of its own, whose ends stay.

    Returns:
        The text with such characters as Python writes them.

    Example:
        >>> printable("cat\x1b[2J")
        'cat\\x1b[2J'
    """
    return (_IN_TEXTS if lines else _IN_NAMES).sub(_escaped, text)


def json_text(value: Any, **options) -> str:
    """Return a value as JSON that can be printed on a terminal and reads back as it was."""
    return _IN_JSON.sub(_escaped_in_json, json.dumps(value, **{"indent": 2, **options}))


def _escaped(match: re.Match) -> str:
    return ascii(match[0])[1:-1]


def _escaped_in_json(match: re.Match) -> str:
    return json.dumps(match[0])[1:-1]


def plural(noun: str) -> str:
    """Return a noun's plural: ``images``, ``classes``, ``entries``.

    Example:
        >>> plural("class")
        'classes'
    """
    if noun.endswith(_HARD):
        return f"{noun}s"
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the singular or the plural.

    Args:
        number: How many.
        noun: In the singular; the last word is inflected.

    Example:
        >>> count(1, "image"), count(1200, "image")
        ('1 image', '1,200 images')
    """
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def thousands(number: int) -> str:
    """Return a number with commas."""
    return f"{number:,}"


def compact(number: float) -> str:
    """Return a number of at most four digits and a suffix: ``269.7k``, ``40.6M``, ``1.2G``.

    Example:
        >>> compact(40_551_040)
        '40.6M'
    """
    for suffix in ("", "k", "M", "G", "T"):
        if abs(number) < (1000 if not suffix else 999.95):
            return f"{number:,.0f}" if not suffix else f"{number:.1f}{suffix}"
        number /= 1000
    return f"{number:,.1f}P"


def clock(seconds: float) -> str:
    """Return a duration as ``1:02:03`` or ``2:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def wrap(line: str, indent: int = 2) -> str:
    """Return a line broken at spaces so that it fits the terminal.

    A word that is longer, such as a path, stays whole.

    Args:
        line: The line.
        indent: Spaces before its second part and those after it.
    """
    return textwrap.fill(
        line,
        LINE,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
