"""Seconds to build a network: this package against keras.applications and a flat graph of ours.

The flat graph has the same convolutions, normalisations, ReLUs and additions as separate nodes of
the functional API. All sides are built in one process, one after another, several times; the table
shows medians, spread and ratios. Run ``python -m benchmarks.build``.
"""

import argparse
import csv
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import keras_resnets as kr
from keras_resnets.layers.convolution import SymmetricConv2D
from keras_resnets.layers.geometry import ConvSpec


def flat_resnet(name):
    """Build a post-activation ResNet as a flat functional graph."""
    config = kr.model_config(name)

    def conv_bn(x, spec, prefix, relu=True):
        x = SymmetricConv2D(spec.filters, spec.kernel_size, spec.strides, name=f"{prefix}_conv")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{prefix}_bn")(x)
        return keras.layers.ReLU(name=f"{prefix}_relu")(x) if relu else x

    inputs = keras.Input(config.input_shape)
    x = conv_bn(inputs, ConvSpec(7, 64, 2), "stem")
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for spec in config.block_specs():
        branch = config.branch(spec)
        y = x
        for i, conv in enumerate(branch, start=1):
            y = conv_bn(y, conv, f"{spec.name}_{i}", relu=i < len(branch))
        if spec.shortcut == "projection":
            projection = ConvSpec(1, spec.out_width, spec.strides)
            x = conv_bn(x, projection, f"{spec.name}_shortcut", relu=False)
        x = keras.layers.Add(name=f"{spec.name}_add")([x, y])
        x = keras.layers.ReLU(name=f"{spec.name}_relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    return keras.Model(inputs, keras.layers.Dense(1000, activation="softmax", name="head")(x))


CASES = {
    "resnet152": {
        "keras-resnets": lambda: kr.ResNet152(weight_decay=0.0),
        "with weight decay": kr.ResNet152,
        "keras.applications": lambda: keras.applications.ResNet152(weights=None),
        "flat graph": lambda: flat_resnet("resnet152"),
    },
    "densenet201": {
        "keras-resnets": lambda: kr.DenseNet201(weight_decay=0.0),
        "with weight decay": kr.DenseNet201,
        "keras.applications": lambda: keras.applications.DenseNet201(weights=None),
    },
}


def measure(repeats):
    """Return rows of network, side, median, least, most and ratio to ours."""
    rows = []
    for network, sides in CASES.items():
        times = {side: [] for side in sides}
        for repeat in range(repeats + 1):
            for side, build in sides.items():
                keras.utils.clear_session()
                began = time.perf_counter()
                build()
                if repeat:  # the first round warms up
                    times[side].append(time.perf_counter() - began)
        ours = statistics.median(times["keras-resnets"])
        for side, seconds in times.items():
            median = statistics.median(seconds)
            rows.append((network, side, median, min(seconds), max(seconds), median / ours))
    return rows


def main():
    """Measure, print the table, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--csv", type=Path, help="also write the table there")
    arguments = parser.parse_args()
    rows = measure(arguments.repeats)
    print(f"Keras {keras.__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    print(f"{'network':12} {'side':20} {'median s':>9} {'least':>7} {'most':>7} {'x ours':>7}")
    for network, side, median, least, most, ratio in rows:
        print(f"{network:12} {side:20} {median:9.3f} {least:7.3f} {most:7.3f} {ratio:7.2f}")
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("network", "side", "median_s", "min_s", "max_s", "ratio_to_ours"))
            writer.writerows(rows)


if __name__ == "__main__":
    main()
