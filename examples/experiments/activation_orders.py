"""Activation orders: where to put BN and ReLU (He 2016, arXiv:1603.05027, table 2).

python examples/experiments/activation_orders.py --data-dir DATA --scale minutes
"""

from __future__ import annotations

import numpy as np
from common import COLORS, Bench, mean_and_spread, options, panels, run, small_scales

import keras_resnets as kr

SCALES = small_scales(
    "ResNet-56",
    "ResNet-110, 20 epochs of the paper's recipe",
    "64,000 steps each, for a GPU",
)
ORDERS = {
    "post": 6.61,
    "bn_after_addition": 8.17,
    "relu_before_addition": 7.84,
    "relu_only": 6.71,
    "pre": 6.37,
}
"""The test errors that the paper gives for 110 layers, in percent."""


@options(SCALES, "activation_orders")
def main(dataset, data_dir, scale, seeds, out):
    """Train one network with each of the five orders of BN, ReLU and addition."""
    bench = Bench("activation_orders", SCALES[scale], "he2016-cifar", dataset, data_dir, seeds, out)
    name = "resnet56_cifar" if scale == "minutes" else "resnet110_cifar"
    results = {
        order: bench.train(order, kr.model_config(name, activation_order=order)) for order in ORDERS
    }
    rows = []
    for order, runs in results.items():
        loss = mean_and_spread([run["history"][-1]["loss"] for run in runs])
        error = mean_and_spread([run["test_error"] for run in runs])
        rows.append(
            {
                "order": order,
                "network": name,
                "training_loss": loss[0],
                "test_error": error[0],
                "spread": error[1],
                "seeds": len(runs),
                "published_110": ORDERS[order],
            }
        )
    bench.write("activation_orders", rows, draw(results))


def draw(results):
    """Draw training loss over epochs and the test errors."""
    figure, axes = panels(2)
    for (order, runs), color in zip(results.items(), COLORS, strict=False):
        curves = np.array([[row["loss"] for row in run["history"]] for run in runs])
        axes[0].plot(np.arange(1, curves.shape[1] + 1), curves.mean(0), color=color, label=order)
    axes[0].set(xlabel="epoch", ylabel="training loss")
    axes[0].legend(frameon=False, fontsize=8)
    errors = [np.mean([run["test_error"] for run in runs]) for runs in results.values()]
    axes[1].barh(list(results), errors, color=COLORS[: len(results)])
    axes[1].invert_yaxis()
    axes[1].set(xlabel="test error (%)")
    return figure


if __name__ == "__main__":
    run(main)
