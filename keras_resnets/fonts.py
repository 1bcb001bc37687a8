"""Names in any script inside figures: fonts that have their letters, or a clear stand-in."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from rich.cells import cell_len, set_cell_size

__all__ = ["Lettering", "missing_letters_note", "shorten"]

_NOT_FOR_TEXT = ("lastresort", "last resort", "adobe blank")
"""Fonts that have a box, or nothing, for every letter."""

_SHOWN_LETTERS = 8


class Lettering:
    r"""How names are written into a figure.

    Matplotlib takes each letter from the first font of a list that has it. The list is the default
    fonts and, for letters that they lack, installed ones that have them. A name with a letter that
    no font has is written with its number and the letter's code point, ``3: \u732b``, never as
    boxes.

    Args:
        names: The names, of classes for instance.
        numbers: The number of each, which a stand-in begins with, or None; by default from 0.

    Attributes:
        names: The names as they can be written.
        missing: Letters that no installed font has.
        style: Arguments of every matplotlib text that shows one of the names.

    Example:
        >>> lettering = Lettering(["cat", "猫"])
        >>> ax.set_xticks([0, 1], lettering.names, **lettering.style)
    """

    def __init__(self, names: Iterable[str], numbers: Iterable[int | None] | None = None):
        names = [unicodedata.normalize("NFC", str(name)) for name in names]
        letters = {letter for name in names for letter in name}
        families, lacking = _families({c for c in letters if not _is_control(c)})
        unwritten = lacking | {c for c in letters if _is_control(c)}
        numbers = range(len(names)) if numbers is None else numbers
        self.names = tuple(_written(*pair, unwritten) for pair in zip(names, numbers, strict=True))
        self.missing = "".join(sorted(c for c in lacking if not _is_ignorable(c)))
        self.style: dict[str, Any] = {"family": families, "parse_math": False}

    def short(self, longest: int) -> list[str]:
        """Return the names, those wider than `longest` Latin letters cut."""
        return [shorten(name, longest) for name in self.names]


def shorten(name: str, longest: int) -> str:
    """Return a name cut to a width; letters of East Asia are two wide.

    Args:
        name: The name.
        longest: Width in Latin letters.

    Example:
        >>> shorten("a very long name", 8)
        'a very …'
    """
    if cell_len(name) <= longest:
        return name
    return set_cell_size(name, longest - 1).rstrip() + "…"


def missing_letters_note(names: Iterable[str]) -> str | None:
    """Return a line on the letters that no installed font has and what to install; None if none.

    Args:
        names: The names that a figure shows.
    """
    missing = Lettering(names).missing
    if not missing:
        return None
    alone = [c for c in missing if not unicodedata.category(c).startswith("M")]
    shown = alone or list(missing)  # marks that join a letter are unreadable without it
    more = f" and {len(shown) - _SHOWN_LETTERS} more" if len(shown) > _SHOWN_LETTERS else ""
    return (
        f"no installed font has {' '.join(shown[:_SHOWN_LETTERS])}{more}: pictures show such "
        f"names by number and code point; install {_fonts_for(missing)} to see them"
    )


def _fonts_for(letters: str) -> str:
    """Return which fonts have some letters, as one can ask for them."""
    kinds = {unicodedata.name(letter, "").split(" ")[0] for letter in letters}
    if kinds & {"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "FULLWIDTH", "BOPOMOFO"}:
        return "Noto Sans CJK (Debian, Ubuntu: fonts-noto-cjk)"
    if all(unicodedata.category(letter) == "So" for letter in letters):
        return "Symbola or Noto Emoji, not the coloured one (Debian, Ubuntu: fonts-symbola)"
    return "the Noto fonts (Debian, Ubuntu: fonts-noto-core)"


def _is_control(letter: str) -> bool:
    """Whether nothing can be drawn for it: control characters, undecodable bytes of file names."""
    return unicodedata.category(letter) in ("Cc", "Cs")


def _is_ignorable(letter: str) -> bool:
    """Whether it only changes its neighbours: joiners, direction marks, variation selectors."""
    return unicodedata.category(letter) == "Cf" or "\ufe00" <= letter <= "\ufe0f"


def _written(name: str, number: int | None, unwritten: set[str]) -> str:
    if not unwritten.intersection(name):
        return name
    text = "".join(_stand_in(c) if c in unwritten else c for c in name)
    ignorable = all(_is_ignorable(c) for c in unwritten.intersection(name))
    return text if ignorable or number is None else f"{number}: {text}"


def _stand_in(letter: str) -> str:
    if _is_ignorable(letter):
        return ""
    if unicodedata.category(letter) == "So":  # emoji and symbols have telling names
        return f"[{unicodedata.name(letter, 'symbol').lower()}]"
    return letter.encode("ascii", "backslashreplace").decode() if ord(letter) > 126 else "?"


def _families(letters: set[str]) -> tuple[list[str], set[str]]:
    """Return a list of font families for letters, and the letters that none has."""
    default = list(mpl.rcParams["font.family"])
    lacking = _lacking(letters, [_font_of(family) for family in default])
    if not lacking:
        return default, lacking
    found, lacking = _fonts_with(lacking, _installed())
    if lacking and _add_new_fonts():
        more, lacking = _fonts_with(lacking, _installed())
        found += more
    return default + found, lacking


def _fonts_with(letters: set[str], families: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return families that have letters, those with the most first, and the letters left."""
    lacking_in = {}
    for family in families:
        lacking = _lacking(letters, [_font_of(family)])
        if lacking != letters:
            lacking_in[family] = lacking
    region = _region(letters)
    order = sorted(lacking_in, key=lambda family: _preference(family, region))
    found, left = [], set(letters)
    while left and lacking_in:
        best = min(order, key=lambda family: len(left & lacking_in[family]))
        if not left - lacking_in[best]:
            break
        found.append(best)
        left &= lacking_in[best]
    return found, left


def _region(letters: set[str]) -> str:
    """Return whose shapes of the shared Han characters are meant, as font names say it."""
    kinds = {unicodedata.name(letter, "").split(" ")[0] for letter in letters}
    if kinds & {"HIRAGANA", "KATAKANA"}:
        return "JP"
    return "KR" if "HANGUL" in kinds else "SC"


def _preference(family: str, region: str) -> tuple:
    """Return what sorts plain sans-serif families of the region first."""
    words = family.split()
    plain = "Sans" in words and not {"Mono", "Serif", "Display", "UI"} & set(words)
    return not plain, region not in words, not family.startswith("Noto"), family


def _installed() -> list[str]:
    """Return the upright families of normal weight that matplotlib knows."""
    names = {
        entry.name
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, "normal", "regular")
    }
    return sorted(n for n in names if not n.lower().replace(".", "").startswith(_NOT_FOR_TEXT))


def _add_new_fonts() -> bool:
    """Tell matplotlib of fonts installed since it made its list; return whether there are any."""
    known = {str(entry.fname) for entry in font_manager.fontManager.ttflist}
    new = [path for path in font_manager.findSystemFonts() if path not in known]
    for path in new:
        try:
            font_manager.fontManager.addfont(path)
        except (OSError, RuntimeError, NotImplementedError):  # damaged, or of a kind it cannot draw
            continue
    return bool(new)


def _font_of(family: str):
    """Return the family's font, or None where it cannot be read."""
    try:
        return font_manager.get_font(
            font_manager.findfont(font_manager.FontProperties(family=[family]))
        )
    except (OSError, RuntimeError, ValueError):
        return None


def _lacking(letters: set[str], fonts) -> set[str]:
    return {c for c in letters if not any(font and _has(font, c) for font in fonts)}


def _has(font, letter: str) -> bool:
    """Whether a font can draw a letter: fonts of coloured bitmaps name letters without outlines."""
    if not font.get_char_index(ord(letter)):
        return False
    try:
        glyph = font.load_char(ord(letter))
    except RuntimeError:
        return False
    return bool(any(glyph.bbox)) or letter.isspace() or _is_ignorable(letter)
