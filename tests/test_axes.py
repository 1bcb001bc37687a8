"""Axes: whole epochs, and logarithms with plain numbers."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from keras_resnets.analysis import plot_candidates, plot_history
from keras_resnets.axes import plain_log_scale, whole_epochs
from keras_resnets.training.curves import draw_curves


def labelled(axis):
    """Return the labelled ticks that are seen: value by label."""
    axis.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_majorticklabels(), axis.get_majorticklocs(), strict=True)
    return {t.get_text(): v for t, v in ticks if low <= v <= high and t.get_text()}


def history(epochs):
    keys = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    return [{"epoch": e, **dict.fromkeys(keys, 0.5 / e)} for e in range(1, epochs + 1)]


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 7, 18, 300, 1000])
@pytest.mark.parametrize("draw", [plot_history, draw_curves])
@pytest.mark.sampled(3)
def test_epochs_are_whole_in_every_curve(draw, epochs):
    for ax in draw(history(epochs)).axes:
        ticks = labelled(ax.xaxis)
        assert len(ticks) >= min(epochs, 2)
        assert all(re.fullmatch(r"\d+", label) for label in ticks), ticks
        assert all(float(value).is_integer() for value in ticks.values())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_any_span_of_epochs_is_labelled_whole(start, length):
    ax = Figure().subplots()
    ax.plot([start, start + length], [0, 1])
    whole_epochs(ax)
    assert all(float(v).is_integer() for v in ax.xaxis.get_majorticklocs())


SUFFIX = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-6, 1e12), st.floats(1, 1e9))
def test_a_logarithmic_axis_has_some_plain_labels(low, ratio):
    ax = Figure(figsize=(3.6, 4)).subplots()
    ax.plot([low, low * ratio], [0, 1])
    plain_log_scale(ax)
    ticks = labelled(ax.xaxis)
    assert 2 <= len(ticks) <= 6
    for label, value in ticks.items():
        assert "^" not in label
        number, _, suffix = label.partition(" ")
        assert float(number) * SUFFIX[suffix] == pytest.approx(value, rel=0.006)


def test_costs_are_labelled_where_readers_expect():
    trials = [
        {"id": str(macs), "macs": macs, "val_accuracy": 0.5, "block": "b", "activation_order": "p"}
        for macs in (90_000, 11_000_000)
    ]
    (ax,) = plot_candidates(trials).axes
    assert list(labelled(ax.xaxis)) == ["100 k", "1 M", "10 M"]
    (ax,) = plot_candidates([{**t, "macs": t["macs"] // 100 + 10**6} for t in trials]).axes
    assert len(labelled(ax.xaxis)) >= 2


def test_a_y_axis_can_be_logarithmic_too():
    ax = Figure().subplots()
    ax.plot([1, 2], [0.001, 0.1])
    plain_log_scale(ax, "y")
    assert list(labelled(ax.yaxis)) == ["0.001", "0.01", "0.1"]
