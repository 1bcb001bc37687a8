"""Width against depth: wide and shallow learns as well, and faster (Zagoruyko 2016, section 3).

python examples/experiments/width_and_depth.py --data-dir DATA --scale minutes
"""

from __future__ import annotations

from common import COLORS, Bench, mean_and_spread, options, panels, run, small_scales

import keras_resnets as kr

SCALES = small_scales(
    "nets of about 0.6 million parameters",
    "the same nets, 20 epochs of the paper's recipe",
    "the paper's nets and epochs, for a GPU",
)
SMALL = ("wrn40_1_cifar", "wrn16_2_cifar", "wrn10_3_cifar")
PUBLISHED = {"wrn40_4_cifar": 4.53, "wrn28_10_cifar": 4.00, "wrn16_8_cifar": 4.27}
"""Test errors that the paper gives on CIFAR-10, in percent."""


@options(SCALES, "width_and_depth")
def main(dataset, data_dir, scale, seeds, out):
    """Train nets from thin and deep to wide and shallow; compare error and speed."""
    bench = Bench("width_and_depth", SCALES[scale], "wrn-cifar", dataset, data_dir, seeds, out)
    names = tuple(PUBLISHED) if scale == "published" else SMALL
    rows = []
    for name in names:
        config = kr.model_config(name)
        runs = bench.train(name, config)
        cost = kr.complexity(bench.data.adapt(config))
        error = mean_and_spread([run["test_error"] for run in runs])
        # The first epoch traces the training step.
        epoch = mean_and_spread([r["history"][-1]["seconds"] for r in runs])
        rows.append(
            {
                "network": name,
                "params": cost.trainable_params,
                "macs": cost.macs,
                "test_error": error[0],
                "spread": error[1],
                "images_per_second": round(bench.data.sizes["train"] / epoch[0]),
                "seeds": len(runs),
                "published": PUBLISHED.get(name, ""),
            }
        )
    bench.write("width_and_depth", rows, draw(rows))


def draw(rows):
    """Draw error over parameters, and speed."""
    figure, axes = panels(2)
    for row, color in zip(rows, COLORS, strict=False):
        label = row["network"].removesuffix("_cifar")
        axes[0].plot(row["params"] / 1e6, row["test_error"], "o", color=color, label=label)
        axes[1].plot(row["macs"] / 1e6, row["images_per_second"], "o", color=color, label=label)
    axes[0].set(xlabel="million parameters", ylabel="test error (%)")
    axes[1].set(xlabel="million multiply-adds", ylabel="training images/s")
    for axis in axes:
        axis.legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    run(main)
