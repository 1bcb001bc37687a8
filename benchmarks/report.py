"""From samples to rows, and from rows to the table, the CSV and the figure."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Patch

import keras_resnets as kr
from benchmarks.grid import MEASURES, Network
from benchmarks.sides import OURS, SIDES
from keras_resnets.analysis.figures import INK, PALETTE
from keras_resnets.files import csv_text, replacing, write_text

COLUMNS = (
    "network",
    "measure",
    "side",
    "unit",
    "median",
    "min",
    "max",
    "n",
    "ratio_to_ours",
    "note",
)
PANELS = ("step", "infer1", "infer32", "first_step")
BEST = " (best)"
_FINE = (0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5)
"""Marks of a narrow scale."""
_GREY = "#8c8c8c"
_COLORS = {
    "keras-resnets": PALETTE[0],
    "floor": _GREY,
    "keras.applications": PALETTE[1],
    "keras-hub": PALETTE[2],
    "PyTorch": PALETTE[3],
    "plain Keras": PALETTE[4],
    "ONNX Runtime": PALETTE[5],
    "LiteRT": "#3b8f86",
}


@dataclasses.dataclass
class Samples:
    """What one side answered for one measure: values in seconds or bytes, or why there are none."""

    values: list[float] = dataclasses.field(default_factory=list)
    note: str = ""
    error: str = ""


def absent(network: Network, side: str, reason: str) -> dict:
    """Return the row of a side that a network cannot be measured on."""
    return _row(network, "all", side, Samples(error=reason), None)


def rows(
    network: Network, measure: str, samples: dict[str, Samples], peak: float | None
) -> list[dict]:
    """Return a row for each side, and one for the faster setting of keras.applications.

    Args:
        network: The network.
        measure: A name of `MEASURES`.
        samples: What each side answered.
        peak: Operations a second that the device can do, if known.
    """
    median = {side: statistics.median(s.values) for side, s in samples.items() if not s.error}
    found = []
    for side, sample in samples.items():
        if not sample.error:
            rate = _rate(network, measure, median[side], peak)
            notes = ", ".join(filter(None, (sample.note, rate)))
            sample = dataclasses.replace(sample, note=notes)
        found.append(_row(network, measure, side, sample, median.get(OURS)))
    return found + _best(found)


def _row(network, measure, side, sample, ours) -> dict:
    row = dict.fromkeys(COLUMNS, "")
    row |= {"network": network.name, "measure": measure, "side": side, "n": 0, "note": sample.error}
    if sample.error or not sample.values:
        return row
    unit = MEASURES[measure]
    values = [unit.scale * value for value in sample.values]
    median = statistics.median(values)
    row |= {"unit": unit.unit, "n": len(values), "note": sample.note}
    row |= {"median": _rounded(median), "min": _rounded(min(values)), "max": _rounded(max(values))}
    if ours:
        row["ratio_to_ours"] = _rounded(median / (unit.scale * ours))
    return row


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _rate(network, measure, seconds, peak) -> str:
    """Return images a second and the part of the device's peak, where its peak is known."""
    passes = MEASURES[measure].passes
    if not (passes and peak):
        return ""
    images = network.images(measure) / seconds
    operations = 2 * kr.complexity(network.name).macs * passes * images
    return f"{images:.0f} images/s, {100 * operations / peak:.1f}% of peak"


def _best(found: list[dict]) -> list[dict]:
    """Return the faster of two settings of keras.applications as a row of its own."""
    library = "keras.applications"
    both = [row for row in found if row["side"] in SIDES and row["n"]]
    both = [row for row in both if SIDES[row["side"]].library == library]
    if len(both) < 2:
        return []
    best = min(both, key=lambda row: row["median"])
    setting = f": {best['note']}" if best["note"] else ""
    return [best | {"side": library + BEST, "note": f"is {best['side']}{setting}"}]


def markdown(found: list[dict], networks: list[Network], about: dict[str, str]) -> str:
    """Return the tables of a run, and what is not the same on all sides."""
    lines = [f"# Speed, {about['date']}, {about['device']}", ""]
    lines += [f"- {name}: {text}" for name, text in about.items()]
    lines += ["", "A ratio above 1 is slower, or more memory, than keras-resnets."]
    for network in networks:
        lines += ["", f"## {network.name}, {network.size}x{network.size}"]
        for measure, unit in MEASURES.items():
            part = [r for r in found if (r["network"], r["measure"]) == (network.name, measure)]
            batch = f", batch {network.batch}" if measure == "step" else ""
            if part:
                lines += ["", f"{unit.title[:1].upper()}{unit.title[1:]}{batch} ({unit.unit}):", ""]
                lines += _table(part)
        missing = [r for r in found if (r["network"], r["measure"]) == (network.name, "all")]
        lines += [""] * bool(missing) + [f"- {r['side']}: {r['note']}" for r in missing]
    return "\n".join([*lines, "", *_notes(found), ""])


def _table(part: list[dict]) -> list[str]:
    head = ("side", "median", "min", "max", "n", "x ours", "note")
    keys = ("side", "median", "min", "max", "n", "ratio_to_ours", "note")
    cells = [head, *([_cell(row[key]) for key in keys] for row in part)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:-1]), "-" * widths[-1]]
    aligned = [[_aligned(*cell) for cell in zip(keys, line, widths, strict=True)] for line in cells]
    return [f"| {' | '.join(line)} |" for line in (aligned[0], rule, *aligned[1:])]


def _cell(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) and value < 1e4 else str(value)


def _aligned(key: str, cell: str, width: int) -> str:
    return cell.ljust(width) if key in ("side", "note") else cell.rjust(width)


def _notes(found) -> list[str]:
    names = dict.fromkeys(row["side"] for row in found)
    notes = [f"- {n}: {SIDES[n].note}." for n in names if n in SIDES and SIDES[n].note]
    return ["Not the same on all sides:", "", *notes] if notes else []


def figure(found: list[dict], title: str) -> Figure:
    """Draw each side's time relative to ours, a panel for each of four measures."""
    panels = [[r for r in found if r["measure"] == measure and _drawn(r)] for measure in PANELS]
    lines = max(8, *(len(part) + len({r["network"] for r in part}) for part in panels))
    drawing = Figure(figsize=(14, 2.4 + 0.34 * lines), layout="constrained")
    drawing.get_layout_engine().set(hspace=0.05, wspace=0.04)
    for ax, measure, part in zip(drawing.subplots(2, 2).flat, PANELS, panels, strict=True):
        _panel(ax, MEASURES[measure].title, part)
    drawing.suptitle(title, color=INK, fontsize=13)
    shown = {r["side"] for part in panels for r in part}
    patches = [Patch(label=side, **_style(side)) for side in SIDES if side in shown]
    drawing.legend(handles=patches, loc="outside lower center", ncols=5, frameon=False)
    return drawing


def _drawn(row) -> bool:
    return (
        bool(row["n"] and row["ratio_to_ours"]) and row["side"] != OURS and BEST not in row["side"]
    )


def _style(side: str) -> dict:
    library = SIDES[side].library
    return {"color": _COLORS.get(library, _GREY), "alpha": 1 if side == library else 0.5}


def _panel(ax, title, part) -> None:
    """Draw bars from 1 to each ratio, on a logarithmic scale, networks one below another."""
    line, ticks = 0, {}
    for network in dict.fromkeys(row["network"] for row in part):
        own = [row for row in part if row["network"] == network]
        for number, row in enumerate(own):
            _bar(ax, line + number, row)
        ticks[network] = line + (len(own) - 1) / 2
        line += len(own) + 1
    if not part:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", color=_GREY)
    ax.axvline(1, color=INK, linewidth=1.2 if part else 0)
    _scale(ax, [end for row in part for end in _ends(row)])
    ax.set_yticks(list(ticks.values()), list(ticks), color=INK)
    ax.set_ylim(max(line - 1.3, 0.7), -0.7)
    ax.set_title(title, color=INK, loc="left", fontsize=11)
    ax.set_xlabel(
        "time relative to keras-resnets (right: slower; thin lines: least to most)", color=INK
    )
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    ax.tick_params(axis="y", length=0)
    ax.set_axisbelow(True)


def _scale(ax, ends: list[float]) -> None:
    """Set a logarithmic scale with room for the numbers, and marks at powers of 2."""
    low, high = min([0.8, *ends]), max([1.3, *ends])
    room = (high / low) ** 0.12
    ax.set_xscale("log", base=2)
    ax.set_xlim(low / room, high * room)
    wide = high / low
    marks = _FINE if wide < 5 else [2.0**n for n in range(-12, 13, 1 if wide < 100 else 2)]
    marks = [mark for mark in marks if low / room < mark < high * room]
    ax.minorticks_off()
    ax.set_xticks(marks, [f"{mark:g}x" for mark in marks], color=INK)


def _ends(row) -> list[float]:
    """Return the least and the most, relative to ours."""
    return [row["ratio_to_ours"] * row[key] / row["median"] for key in ("min", "max")]


def _bar(ax, line, row) -> None:
    """Draw a bar with its number beyond the line from the least to the most."""
    ratio, style = row["ratio_to_ours"], _style(row["side"])
    ax.barh(line, ratio - 1, left=1, height=0.82, linewidth=0, **style)
    ends = _ends(row)
    ax.plot(ends, [line, line], color=INK, linewidth=0.8, solid_capstyle="butt")
    slower = ratio >= 1
    ax.annotate(
        f"{ratio:.2f}",
        (ends[1] if slower else ends[0], line),
        xytext=(4 if slower else -4, 0),
        textcoords="offset points",
        va="center",
        ha="left" if slower else "right",
        fontsize=8,
        color=INK,
    )


def write(folder: Path, name: str, found, networks, about) -> str:
    """Write the CSV, the table and the figure; return the table."""
    text = markdown(found, networks, about)
    write_text(folder / f"{name}.csv", csv_text(found, COLUMNS))
    write_text(folder / f"{name}.md", text)
    title = f"Time relative to keras-resnets: {about['device']}, {about['threads']} threads"
    with replacing(folder / f"{name}.png") as beside:
        figure(found, title).savefig(beside, dpi=150)
    return text
