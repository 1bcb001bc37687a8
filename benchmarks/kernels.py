"""Operations of this package's layers against what they replace, on a CPU.

Forward and backward pass of each in a graph, in turns; medians and ratios. Run
``python -m benchmarks.kernels``.
"""

from __future__ import annotations

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from keras_resnets.layers import BatchNormalization
from keras_resnets.layers.resampling import subsample

ROUNDS = 15
_Stock = keras.layers.BatchNormalization


def cases():
    """Yield name, shape, dtype, ours and the other."""
    for dtype in ("float32", "bfloat16"):
        for shape in ((128, 32, 32, 16), (64, 32, 32, 60), (16, 56, 56, 256)):
            policy = dtype if dtype == "float32" else f"mixed_{dtype}"
            layers = [kind(dtype=policy) for kind in (BatchNormalization, _Stock)]
            for layer in layers:
                layer.build(shape)
            ours, stock = (lambda x, layer=layer: layer(x, training=True) for layer in layers)
            yield "batch normalisation", shape, dtype, ours, stock
        for shape in ((128, 32, 32, 16), (16, 56, 56, 256)):
            yield (
                "every other pixel",
                shape,
                dtype,
                lambda x: subsample(x, 2, "channels_last"),
                lambda x: x[:, ::2, ::2],
            )


def step(function, x):
    """Return a graph of the forward and the backward pass."""

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = function(x)
            loss = tf.reduce_sum(outputs)
        return outputs, tape.gradient(loss, x)

    return run


def main() -> None:
    """Measure and print."""
    for name, shape, dtype, ours, other in cases():
        x = tf.random.normal(shape, dtype=dtype)
        runs = [step(function, x) for function in (ours, other)]
        seconds = [[], []]
        for number in range(ROUNDS + 2):
            for run, taken in zip(runs, seconds, strict=True):
                began = time.perf_counter()
                run()
                if number >= 2:
                    taken.append(1e3 * (time.perf_counter() - began))
        fast, slow = map(statistics.median, seconds)
        size = "x".join(map(str, shape))
        print(f"{name:20} {size:14} {dtype:9} {fast:7.2f} ms {slow:7.2f} ms {slow / fast:5.1f}x")


if __name__ == "__main__":
    main()
