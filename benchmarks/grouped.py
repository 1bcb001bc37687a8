"""Milliseconds of a grouped convolution on a CPU, forward and backward, as ResNeXt-50 has it.

``keras.ops.conv`` on TensorFlow compiles each grouped convolution with XLA on its own; this package
calls oneDNN where it is there, or convolves densely with a block-diagonal kernel. Sides are
interleaved; the table shows medians, spread and ratios. Run ``python -m benchmarks.grouped``.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

from keras_resnets.layers import backend

GROUPS = 32


def step(convolve):
    """Return a compiled function of one forward and backward pass."""

    @tf.function
    def run(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            loss = tf.reduce_sum(convolve(x, kernel) ** 2)
        return tape.gradient(loss, [x, kernel])

    return run


def dense(x, kernel):
    """Convolve with the block-diagonal kernel."""
    return keras.ops.conv(x, backend._block_diagonal(kernel, GROUPS), padding="same")


SIDES = {
    "keras-resnets": lambda x, k: backend.convolve(x, k, 1, "same", 1, "channels_last"),
    "keras-resnets, no oneDNN": dense,
    "keras.ops.conv": lambda x, k: keras.ops.conv(x, k, padding="same"),
}


def main():
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch", type=int, default=8)
    arguments = parser.parse_args()
    x = tf.random.normal((arguments.batch, 28, 28, 128))
    kernel = tf.random.normal((3, 3, 128 // GROUPS, 128))
    steps = {side: step(convolve) for side, convolve in SIDES.items()}
    times = {side: [] for side in SIDES}
    for repeat in range(arguments.repeats + 1):
        for side, run in steps.items():
            began = time.perf_counter()
            [gradient.numpy() for gradient in run(x, kernel)]
            if repeat:  # the first round compiles
                times[side].append(1000 * (time.perf_counter() - began))
    ours = statistics.median(times["keras-resnets"])
    print(f"{arguments.batch} x 28 x 28 x 128, {GROUPS} groups; TensorFlow {tf.__version__}")
    print(f"{'side':26} {'median ms':>10} {'least':>8} {'most':>8} {'x ours':>7}")
    for side, found in times.items():
        median = statistics.median(found)
        print(f"{side:26} {median:10.2f} {min(found):8.2f} {max(found):8.2f} {median / ours:7.1f}")


if __name__ == "__main__":
    main()
