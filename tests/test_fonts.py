"""Class names in any script: a font that has the letters, or a stand-in, never boxes."""

import unicodedata
import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from keras_resnets.analysis.comparison import plot_runs
from keras_resnets.analysis.runs import Run
from keras_resnets.evaluation.figures import plot_confusion
from keras_resnets.evaluation.sheets import contact_sheet
from keras_resnets.fonts import Lettering, missing_letters_note, shorten
from keras_resnets.training.curves import draw_curves

LATIN = ["cat", "dog's", "$x^2$", "a_b", "éclair", "100 %", "\\alpha"]
IN_DEJAVU = ["кошка", "γάτα", "קאט", "ქათამი"]
FOREIGN = ["猫", "고양이", "बिल्ली", "🦜", "แมว", "a猫"]
ODD = ["tab\there", "line\nbreak", "\udcff\udcfe", "\u200d", "e\u0301", ""]


@pytest.fixture
def only_dejavu(monkeypatch):
    """Matplotlib as if its own DejaVu were all that is installed."""
    manager = font_manager.fontManager
    own = [font for font in manager.ttflist if font.name.startswith("DejaVu")]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [])


def make_font(path, family, letters, outlines=True):
    """Write a font in which every letter is a square, or has no outline."""
    names = [".notdef", *(f"u{ord(letter):04x}" for letter in letters)]
    pen = TTGlyphPen(None)
    if outlines:
        pen.moveTo((100, 0))
        for corner in ((100, 700), (800, 700), (800, 0)):
            pen.lineTo(corner)
        pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): n for c, n in zip(letters, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(path)
    return str(path)


def drawn(figure):
    """Draw a figure, any warning an error, and return its texts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FigureCanvasAgg(figure).draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def write(names):
    lettering = Lettering(names)
    figure = Figure(figsize=(2, 1))
    for name in lettering.names:
        figure.text(0.5, 0.5, name, **lettering.style)
    return lettering, figure


def test_names_that_the_default_font_has_are_written_as_they_are(only_dejavu):
    lettering, figure = write(LATIN + IN_DEJAVU)
    assert list(lettering.names) == LATIN + IN_DEJAVU
    assert lettering.missing == ""
    assert missing_letters_note(LATIN + IN_DEJAVU) is None
    drawn(figure)


def test_names_that_no_font_has_are_numbers_and_code_points(only_dejavu):
    lettering, figure = write(["cat", *FOREIGN])
    assert lettering.names[:2] == ("cat", "1: \\u732b")
    assert lettering.names[4] == "4: [parrot]"
    assert lettering.names[6] == "6: a\\u732b"
    drawn(figure)


@pytest.mark.parametrize(
    ("names", "letters", "package"),
    [
        (["猫", "犬"], "犬 猫", "fonts-noto-cjk"),
        (["고양이"], "고", "fonts-noto-cjk"),
        (["बिल्ली"], "ब ल", "fonts-noto-core"),
        (["🦜"], "🦜", "fonts-symbola"),
        ([chr(0x4E00 + i) for i in range(20)], "and 12 more", "fonts-noto-cjk"),
    ],
)
def test_one_line_says_what_is_missing_and_how_to_get_it(only_dejavu, names, letters, package):
    note = missing_letters_note(names)
    assert letters in note
    assert package in note
    assert "\n" not in note


def test_a_letter_is_taken_from_the_installed_font_that_has_it(only_dejavu, tmp_path):
    manager = font_manager.fontManager
    manager.addfont(make_font(tmp_path / "a.ttf", "Letters A", "猫"))
    manager.addfont(make_font(tmp_path / "b.ttf", "Letters B", "犬猫"))
    lettering, figure = write(["猫", "犬", "魚"])
    assert lettering.names == ("猫", "犬", "2: \\u9b5a")
    assert lettering.style["family"][1:] == ["Letters B"]
    drawn(figure)


def test_a_font_installed_since_matplotlib_looked_is_found(only_dejavu, monkeypatch, tmp_path):
    path = make_font(tmp_path / "new.ttf", "New Letters", "猫")
    (tmp_path / "bad.ttf").write_bytes(b"not a font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "bad.ttf"), path])
    lettering, figure = write(["猫"])
    assert lettering.names == ("猫",)
    drawn(figure)


@pytest.mark.parametrize(
    ("family", "outlines"), [("Colour Emoji", False), ("LastResort", True), (".LastResort", True)]
)
def test_a_font_of_blanks_or_boxes_is_not_taken(only_dejavu, tmp_path, family, outlines):
    path = make_font(tmp_path / "blank.ttf", family, "🦜", outlines)
    font_manager.fontManager.addfont(path)
    assert Lettering(["🦜"]).names == ("0: [parrot]",)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=4))
def test_no_name_ever_is_a_box_or_a_warning(only_dejavu, names):
    lettering, figure = write(names)
    assert len(lettering.names) == len(names)
    assert "\n" not in "".join(lettering.names)
    drawn(figure)


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_drawn_is_told(only_dejavu, name):
    lettering, figure = write([name])
    assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in lettering.names[0])
    drawn(figure)


@given(st.text(max_size=40), st.integers(2, 20))
def test_a_cut_name_is_as_wide_as_asked(name, longest):
    from rich.cells import cell_len

    assert cell_len(shorten(name, longest)) <= max(longest, 0)
    if cell_len(name) <= longest:
        assert shorten(name, longest) == name


NAMES = ["кошка", "猫", "$x_1$", "🦜"]


def confusion():
    return plot_confusion(np.eye(4, dtype=int) * 3, NAMES)


def many_confusions():
    names = [f"{NAMES[i % 4]}{i}" for i in range(60)]
    return plot_confusion(np.arange(3600).reshape(60, 60), names)


def sheet():
    image = np.zeros((4, 4, 3), np.uint8)
    rows = [
        {"label": i, "class": n, "probability": 0.5, "true": NAMES[0]} for i, n in enumerate(NAMES)
    ]
    return contact_sheet([image] * 4, rows)


def curves():
    row = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"), 0.5)
    return draw_curves([{"epoch": 1, **row}], f"network on {' '.join(NAMES)}")


def runs():
    history = [{"epoch": 1, "val_loss": 1.0, "val_accuracy": 0.5}]
    values = {"path": None, "command": "train", "finished": True, "settings": {}, "model": ""}
    values |= {"params": 1, "macs": 1, "planned_epochs": 1, "test_accuracy": 0.5, "seconds": 1}
    return plot_runs([Run(label=name, history=history, **values) for name in NAMES])


PICTURES = [confusion, many_confusions, sheet, curves, runs]


@pytest.mark.parametrize("draw", PICTURES)
def test_every_picture_writes_what_it_can_and_stands_in_for_the_rest(only_dejavu, draw):
    text = "\n".join(drawn(draw()))
    assert "кошка" in text
    assert "$x_1$" in text
    assert "猫" not in text
    assert "\\u732b" in text


@pytest.mark.parametrize("draw", PICTURES)
def test_every_picture_uses_a_font_that_is_found(only_dejavu, tmp_path, draw):
    font_manager.fontManager.addfont(make_font(tmp_path / "cat.ttf", "Cats", "猫"))
    assert "猫" in "\n".join(drawn(draw()))
