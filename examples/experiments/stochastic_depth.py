"""Stochastic depth: a quarter of the work is saved, and the error falls (Huang 2016, section 4).

python examples/experiments/stochastic_depth.py --data-dir DATA --scale minutes
"""

from __future__ import annotations

import numpy as np
from common import COLORS, Bench, mean_and_spread, options, panels, run, small_scales

import keras_resnets as kr

SCALES = small_scales(
    "ResNet-56",
    "ResNet-110, 20 epochs of the paper's recipe",
    "ResNet-110 for 500 epochs, for a GPU",
    seeds=3,
)
PUBLISHED = {"constant": 6.41, "stochastic": 5.25}
"""Test errors that the paper gives for ResNet-110 on CIFAR-10, in percent."""


@options(SCALES, "stochastic_depth")
def main(dataset, data_dir, scale, seeds, out):
    """Train a network at constant and at stochastic depth; compare time and error."""
    settings = SCALES[scale]
    bench = Bench("stochastic_depth", settings, "stochdepth-cifar", dataset, data_dir, seeds, out)
    depth = 56 if scale == "minutes" else 110
    config = kr.model_config(f"stochastic_depth_resnet{depth}_cifar")
    recipe = bench.settings.recipe
    rows, results = [], {}
    for label, survival in (("constant", 1.0), ("stochastic", 0.5)):
        network = {"final_survival": survival}
        runs = bench.train(label, config, recipe=recipe.replace(network=network))
        results[label] = runs
        error = mean_and_spread([run["test_error"] for run in runs])
        blocks = sum(config.blocks)
        # The first epoch traces the training step.
        epochs = [[row["seconds"] for row in r["history"][1:]] for r in runs]
        epoch = mean_and_spread([np.mean(seconds) for seconds in epochs])
        rows.append(
            {
                "depth": label,
                "layers": depth,
                "expected_blocks": sum(
                    1 - (number + 1) / blocks * (1 - survival) for number in range(blocks)
                ),
                "of_blocks": blocks,
                "seconds_an_epoch": epoch[0],
                "training_loss": mean_and_spread([r["history"][-1]["loss"] for r in runs])[0],
                "test_error": error[0],
                "spread": error[1],
                "seeds": len(runs),
                "published": PUBLISHED[label],
            }
        )
    saved = 1 - rows[1]["seconds_an_epoch"] / rows[0]["seconds_an_epoch"]
    print(
        f"saved {saved:.1%} of the time; {1 - rows[1]['expected_blocks'] / blocks:.1%} of the "
        "blocks are dropped; the paper saves 24 to 27 % of the time with ResNet-110"
    )
    bench.write("stochastic_depth", rows, draw(results))


def draw(results):
    """Draw validation error over training time."""
    figure, axes = panels(1, width=5)
    for (label, runs), color in zip(results.items(), COLORS, strict=False):
        for training in runs:
            seconds = np.cumsum([row["seconds"] for row in training["history"]])
            losses = [row["loss"] for row in training["history"]]
            axes[0].plot(seconds, losses, ".-", color=color, label=label)
    axes[0].set(xlabel="seconds of training", ylabel="training loss")
    handles, labels = axes[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes[0].legend(unique.values(), unique.keys(), frameon=False)
    return figure


if __name__ == "__main__":
    run(main)
