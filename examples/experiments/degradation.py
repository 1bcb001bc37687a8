"""Degradation: deeper plain nets fit worse, deeper residual nets do not (He 2015, figure 6).

python examples/experiments/degradation.py --data-dir DATA --scale minutes
"""

from __future__ import annotations

import contextlib

import keras
import numpy as np
from common import COLORS, Bench, Scale, mean_and_spread, options, panels, run

import keras_resnets as kr

SCALES = {
    # A rate that rises first: 1,560 steps leave the deep nets no time for a slow start.
    "minutes": Scale(
        image_size=16,
        images=5_000,
        epochs=10,
        batch_size=32,
        changes={
            "optimizer.learning_rate": 0.02,
            "schedule.kind": "one_cycle",
            "schedule.milestones": [],
            "crop": "none",
            "flip": False,
        },
        about="5,000 images of 16 x 16 pixels without augmentation, 10 epochs of one cycle",
    ),
    "hours": Scale(epochs=20, about="20 epochs of the paper's recipe"),
    "published": Scale(seeds=5, all_data=True, about="64,000 steps each, for a GPU"),
}
NETWORKS = ("plain20_cifar", "plain56_cifar", "resnet20_cifar", "resnet56_cifar")


@options(SCALES, "degradation")
def main(dataset, data_dir, scale, seeds, out):
    """Train plain and residual nets of 20 and 56 layers, and compare their training errors."""
    bench = Bench("degradation", SCALES[scale], "he2015-cifar", dataset, data_dir, seeds, out)
    results = trainings(bench)
    rows = []
    for name, runs in results.items():
        last = [run["history"][-1] for run in runs]
        loss = mean_and_spread([row["loss"] for row in last])
        error = mean_and_spread([100 * (1 - row["accuracy"]) for row in last])
        test = mean_and_spread([run["test_error"] for run in runs])
        rows.append(
            {
                "network": name,
                "training_loss": loss[0],
                "loss_spread": loss[1],
                "training_error": error[0],
                "error_spread": error[1],
                "test_error": test[0],
                "test_spread": test[1],
                "seeds": len(runs),
            }
        )
    bench.write("degradation", rows, draw(results))


def trainings(bench: Bench) -> dict[str, list[dict]]:
    """Return the trainings of every network, with the responses of its layers."""

    def measure(model):
        images, _ = bench.data.images("test", 1000)
        return {"responses": layer_responses(model, images)}

    return {name: bench.train(name, kr.model_config(name), measure=measure) for name in NETWORKS}


def layer_responses(model, images) -> list[float]:
    """Return the standard deviation of each 3x3 layer's output: after BN, before ReLU or addition.

    In the order of the layers, over images, places and channels (He 2015, figure 7).
    """
    seen: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                stack.enter_context(_recording(layer, seen))
        model(images, training=False)
    return list(seen.values())


@contextlib.contextmanager
def _recording(layer, seen: dict[str, float]):
    call = layer.call

    def recording(inputs, *args, **kwargs):
        outputs = call(inputs, *args, **kwargs)
        seen[layer.path] = round(float(np.std(outputs)), 4)
        return outputs

    layer.call = recording
    try:
        yield
    finally:
        layer.call = call


def draw(results):
    """Draw training loss and training error over epochs: a line a network, a band the seeds."""
    figure, axes = panels(2)
    names = list(results)  # a shallow and a deep plain net, then two residual ones
    for pair, axis in zip((names[:2], names[2:]), axes, strict=True):
        for name, color in zip(pair, (COLORS[5], COLORS[1]), strict=True):
            curves = np.array([[r["loss"] for r in run["history"]] for run in results[name]])
            epochs = np.arange(1, curves.shape[1] + 1)
            axis.fill_between(epochs, curves.min(0), curves.max(0), color=color, alpha=0.2)
            axis.plot(epochs, curves.mean(0), color=color, label=name.removesuffix("_cifar"))
        axis.set(xlabel="epoch", ylabel="training loss")
        axis.legend(frameon=False)
    low = min(axis.get_ylim()[0] for axis in axes)
    high = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(low, high)
    return figure


if __name__ == "__main__":
    run(main)
