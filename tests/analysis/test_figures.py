import io
import itertools
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from keras_resnets import ResNetConfig, model_config
from keras_resnets.analysis import draw_network, plot_candidates, plot_history
from keras_resnets.analysis.figures import PALETTE

KINDS = tuple(itertools.product(("basic", "bottleneck"), ("post", "pre")))


def candidate(trial_id, macs, accuracy, kind=KINDS[0]):
    block, order = kind
    return {
        "id": trial_id,
        "macs": macs,
        "val_accuracy": accuracy,
        "block": block,
        "activation_order": order,
    }


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def saves(figure, kind="png"):
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind)
    return buffer.getvalue()


def test_history_curves_show_every_epoch():
    history = [
        {"epoch": e, "loss": 2 / e, "val_loss": 3 / e, "accuracy": e / 10, "val_accuracy": e / 20}
        for e in range(1, 6)
    ]
    figure = plot_history(history)
    loss, accuracy = figure.axes
    for ax, keys, scale in (
        (loss, ("loss", "val_loss"), 1),
        (accuracy, ("accuracy", "val_accuracy"), 100),
    ):
        for line, key in zip(ax.lines, keys, strict=True):
            assert list(line.get_xdata()) == [1, 2, 3, 4, 5]
            assert list(line.get_ydata()) == [scale * row[key] for row in history]
        assert legend(ax) == ["training", "validation"]
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy (%)")


def test_a_single_epoch_is_visible():
    row = {"epoch": 1, "loss": 2.0, "val_loss": 2.1, "accuracy": 0.2, "val_accuracy": 0.3}
    for ax in plot_history([row]).axes:
        assert all(line.get_marker() == "o" for line in ax.lines)


@given(
    st.lists(
        st.tuples(st.integers(10_000, 10**9), st.none() | st.floats(0, 1), st.sampled_from(KINDS)),
        max_size=12,
    )
)
def test_candidates_and_the_best_for_each_cost(points):
    trials = [candidate(str(i), *point) for i, point in enumerate(points)]
    scored = [trial for trial in trials if trial["val_accuracy"] is not None]
    figure = plot_candidates(trials)
    (ax,) = figure.axes
    drawn = sorted(tuple(xy) for group in ax.collections for xy in group.get_offsets().tolist())
    assert drawn == sorted((t["macs"], 100 * t["val_accuracy"]) for t in scored)
    (front,) = ax.lines
    assert front.get_drawstyle() == "steps-post"
    steps = list(zip(front.get_xdata(), front.get_ydata(), strict=True))
    assert bool(steps) == bool(scored)
    for trial in scored:  # the line at a cost is the best of what costs no more
        reached = [accuracy for macs, accuracy in steps if macs <= trial["macs"]][-1]
        assert reached == max(100 * t["val_accuracy"] for t in scored if t["macs"] <= trial["macs"])


def test_candidates_are_told_apart_and_the_winner_is_ringed():
    trials = [candidate(str(i), 1000 * (i + 1), 0.5, kind) for i, kind in enumerate(KINDS)]
    (ax,) = plot_candidates(trials, winner="2").axes
    labels = [f"{block}, {order}-activation" for block, order in KINDS]
    assert legend(ax) == [*labels, "best at most this cost", "winner"]
    colors = {tuple(group.get_facecolor()[0]) for group in ax.collections[:4]}
    assert colors == {to_rgba(color) for color in PALETTE[:4]}
    assert ax.collections[-1].get_offsets().tolist() == [[3000, 50]]
    assert ax.get_xscale() == "log"


NETWORKS = {
    "residual": model_config("resnet20_cifar"),
    "long": model_config("preact_resnet164_cifar"),
    "plain": model_config("plain20_cifar"),
    "dropping": model_config("stochastic_depth_resnet110_cifar"),
    "one block": ResNetConfig(blocks=(1,), widths=(8,), stem_width=8, input_shape=(8, 8, 1)),
    "headless": ResNetConfig(include_top=False),
}


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_a_network_is_drawn_by_stages(config):
    figure = draw_network(config)
    words = "\n".join(texts(figure))
    for stage, count in enumerate(config.blocks, start=1):
        assert f"stage {stage}: {count} x {config.block}" in words
    assert " x ".join(map(str, config.input_shape)) in words
    assert ("classes" in words) == config.include_top
    assert ("survival" in words) == (config.final_survival < 1)
    boxes = [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    shown = sum(min(count, 3 if count > 4 else 4) for count in config.blocks)
    assert len(boxes) == 3 + shown  # image, stem, head
    assert texts(figure).count("...") == sum(count > 4 for count in config.blocks)
    assert len([p for p in figure.axes[0].patches if isinstance(p, FancyArrowPatch)]) > shown


def bypasses(config):
    return [line for line in draw_network(config).axes[0].lines if len(line.get_xdata()) == 4]


def test_shortcuts_are_drawn_dashed_where_the_shape_changes():
    assert bypasses(NETWORKS["plain"]) == []
    styles = [line.get_linestyle() for line in bypasses(NETWORKS["residual"])]
    assert styles == ["-", "-", "-", "--", "-", "-", "--", "-", "-"]


def test_no_label_hides_another():
    figure = draw_network(model_config("resnet110_cifar"))
    figure.canvas.draw()
    boxes = [t.get_window_extent() for ax in figure.axes for t in ax.texts if t.get_text().strip()]
    assert not [1 for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]


def test_pictures_are_whole_files_and_touch_no_global_state():
    assert saves(draw_network(NETWORKS["residual"])).startswith(b"\x89PNG")
    assert b"<svg" in saves(draw_network(NETWORKS["residual"]), "svg")
    assert saves(plot_candidates([candidate("0", 1000, 0.5)], "0")).startswith(b"\x89PNG")
    assert saves(plot_candidates([])).startswith(b"\x89PNG")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
