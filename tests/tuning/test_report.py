"""The page about a search: on a telephone, on a dark background, with numbers that agree."""

import re
import sys
import xml.etree.ElementTree as ET

import pytest

from keras_resnets import DenseNetConfig, ResNetConfig
from keras_resnets.analysis import draw_network, plot_candidates, plot_history
from keras_resnets.analysis.inline import inline_svg, theme
from keras_resnets.tuning.report import trial_line, trials_table, write_report

SCREEN, PADDING = 390, 16
"""Width of a telephone's screen, and of the page's margin, in CSS pixels."""


def trial(number, **changes):
    return {
        "id": f"{number}",
        "block": "bottleneck" if number % 2 else "basic",
        "activation_order": "pre",
        "depth": 110,
        "width": 160,
        "final_survival": 0.85,
        "learning_rate": 0.123,
        "params": 12_345_678 + number,
        "macs": 1_234_567_890 + number,
        "val_accuracy": 0.9 - number / 100,
        "seconds": 1234.5,
        "status": "ok",
        "message": "",
        "epochs": 1,
    } | changes


def summary(trials=1, epochs=1, **changes):
    config = ResNetConfig(blocks=(1, 5, 2), widths=(8, 16, 32), input_shape=(8, 8, 1))
    settings = {"tuner": "random", "seed": 0, "max_params": None, "max_macs": None}
    return {
        "data": {
            "name": "写真/<b>猫</b>",
            "class_names": ["cat"],
            "image_shape": [8, 8, 1],
            "images": {"train": 1, "validation": 1200, "test": 1},
        },
        "settings": {**settings, "epochs": epochs, "final_epochs": epochs, **changes},
        "trials": [trial(number) for number in range(trials)],
        "refused": 1,
        "seconds": 3725.2,
        "winner": {
            "trial": "0",
            "config": config.to_dict(),
            "params": 1,
            "macs": 1_234,
            "test_accuracy": 0.98765,
        },
        "exports": [
            {
                "path": "model.tflite",
                "bytes": 12_345,
                "images": 1,
                "largest_difference": 2.4e-7,
                "agreement": 1.0,
            }
        ],
    }


def history(epochs):
    row = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5)
    return [{"epoch": epoch, **row} for epoch in range(1, epochs + 1)]


@pytest.fixture
def page(tmp_path):
    write_report(tmp_path / "report.html", summary(), history(1))
    return (tmp_path / "report.html").read_text("utf-8")


def svgs(page):
    return re.findall(r"<svg.*?</svg>", page, re.DOTALL)


def smallest_letters(svg, displayed):
    """Return the size in points of the smallest text of an SVG shown so many pixels wide."""
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
    texts = re.findall(r"<text([^>]*)>", svg)
    sizes = [float(re.search(r"font(?:-size)?:[^;\"]*?([\d.]+)px", text)[1]) for text in texts]
    assert sizes
    return min(sizes) * displayed / width * 72 / 96


def test_no_letter_of_a_figure_is_below_nine_points_on_a_telephone(page):
    assert f"padding: 0 {PADDING // 16}rem" in page
    assert re.search(r"svg \{[^}]* width: 100%", page)
    pictures = svgs(page)
    assert len(pictures) == 3
    for svg in pictures:
        assert smallest_letters(svg, SCREEN - 2 * PADDING) >= 9
        assert 'width="' not in svg[: svg.index(">")]  # as wide as the page, by the style


@pytest.mark.parametrize("kind", ["dropping", "dense", "long"])
def test_no_label_of_a_narrow_network_leaves_it(kind):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    shape = {"input_shape": (224, 224, 3), "classes": 1000}
    config = {
        "dropping": ResNetConfig(final_survival=0.5, block="bottleneck", **shape),
        "dense": DenseNetConfig(**shape),
        "long": ResNetConfig(blocks=(100,) * 4, widths=(64, 128, 256, 512), **shape),
    }[kind]
    figure = draw_network(config, narrow=True)
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    assert not [1 for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_every_colour_of_a_figure_follows_the_reader(page):
    for svg in svgs(page):
        assert not re.findall(r"[:\"\s]#[0-9a-fA-F]{3,8}\b", svg)
        assert "var(--ink)" in svg
    for name in set(re.findall(r"var\((--\w+)\)", page)):
        assert page.count(f"{name}: #") == 2, name  # a light and a dark value
    assert "prefers-color-scheme: dark" in page


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_colours_stand_out_from_the_page(dark):
    """WCAG 2.1: 4.5 for text, 3 for graphics."""
    colors = dict(re.findall(r"--(\w+): (#\w+)", theme(dark)))

    def contrast(name):
        a, b = sorted((luminance(colors[name]), luminance(colors["page"])))
        return (b + 0.05) / (a + 0.05)

    assert contrast("ink") >= 7
    assert all(contrast(name) >= 3 for name in colors if name.startswith("color"))


def test_an_unknown_colour_is_an_error():
    figure = plot_history(history(2))
    figure.axes[0].lines[0].set_color("#123456")
    with pytest.raises(ValueError, match="#123456"):
        inline_svg(figure, "name", "label")


def test_an_inlined_figure_is_one_element_with_ids_of_its_own():
    figures = [inline_svg(plot_history(history(3)), name, 'a "b" <c>') for name in ("one", "two")]
    assert figures[0] == inline_svg(plot_history(history(3)), "one", 'a "b" <c>')
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in figures]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip(figures, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own
        ET.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
        assert "<style" not in svg


def test_counts_agree_with_their_nouns(page):
    words = " ".join(re.sub("<[^>]+>", " ", page).split())
    for text in (
        "1 parameter and 1,234 multiply-adds",
        "1 class,",
        "1 to train, 1,200 to validate",
        "1 trial of 1 epoch, then 1 epoch for the winner",
        "1:02:05 in all",
        "1 proposal refused",
    ):
        assert text in words
    assert not re.search(r"\b1 (\w+[^s]s|classes)\b", words)


def test_many_of_each_are_plural_too(tmp_path):
    many = summary(trials=3, epochs=40, max_params=500_000, max_macs=10**6) | {"refused": 2}
    write_report(tmp_path / "report.html", many, history(40))
    words = " ".join(re.sub("<[^>]+>", " ", (tmp_path / "report.html").read_text()).split())
    assert "3 trials of 40 epochs, then 40 epochs for the winner" in words
    assert "at most 500,000 parameters, at most 1,000,000 multiply-adds; 2 proposals" in words


def test_differences_are_powers_of_ten_and_tables_scroll(page):
    assert "2.4 &times; 10<sup>&minus;7</sup>" in page
    for start in (match.start() for match in re.finditer("<table", page)):
        assert page[:start].endswith('<div class="scroll">')
    assert "<b>猫</b>" not in page
    assert "写真" in page


def test_the_page_is_small_and_needs_nothing_else(page):
    assert len(page) < 200_000
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_a_wide_table_gives_up_digits_rather_than_columns():
    rows = [trial(number) for number in range(12)]
    lines = trials_table(rows).splitlines()
    assert max(map(len, lines)) <= 80
    assert "12.3M" in lines[1]
    small = trials_table([trial(0, params=5094, macs=49_568)])
    assert "5,094 49,568" in small


@pytest.mark.parametrize("planned", [1, 99, 100, 10_000])
@pytest.mark.parametrize("seconds", [1, 3599, 10**6])
@pytest.mark.parametrize("status", ["ok", "failed", "diverged"])
def test_trial_lines_fit_80_columns(planned, seconds, status):
    row = trial(1, status=status, message="it died " * 50 * (status != "ok"))
    line = trial_line(row, [row], planned, seconds)
    assert max(map(len, line.splitlines())) <= 80
    if planned <= 99 and seconds <= 3599 and status == "ok":
        assert "\n" not in line


def test_narrow_and_wide_figures_show_the_same():
    trials = [trial(number) for number in range(3)]
    for wide, narrow in (
        (plot_history(history(3)), plot_history(history(3), width=3.6)),
        (plot_candidates(trials, "0"), plot_candidates(trials, "0", width=3.6)),
    ):
        assert narrow.get_figwidth() == 3.6
        for a, b in zip(wide.axes, narrow.axes, strict=True):
            assert [line.get_xydata().tolist() for line in a.lines] == [
                line.get_xydata().tolist() for line in b.lines
            ]


def test_writing_a_page_needs_no_pyplot(page):
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
