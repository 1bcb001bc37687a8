"""Where the time of a training step goes, by kind of operation, on the networks of `speed`.

Times of operations are added over the threads that ran them. Run ``python -m benchmarks.profile``.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_resnets as kr
from benchmarks.grid import NETWORKS, find_network
from keras_resnets.files import csv_text, write_text
from keras_resnets.training.profiling import operation_times

STEPS = 5
FIELDS = ("network", "kind", "operation", "milliseconds", "calls", "share")


def measure(name: str) -> list[dict]:
    """Return a row for each type of operation."""
    keras.utils.clear_session()
    network = find_network(name)
    model = kr.create_model(name, weight_decay=0.0)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    kr.compile_for(model, optimizer, "sparse_categorical_crossentropy", print_fn=None)
    shape = (network.batch, *model.input_shape[1:])
    images = np.random.default_rng(0).standard_normal(shape, "float32")
    labels = np.zeros(network.batch, int)

    def steps():
        for _ in range(STEPS):
            model.train_on_batch(images, labels)

    steps()
    return [{"network": name, **vars(row)} for row in operation_times(steps, STEPS)]


def main() -> None:
    """Measure all networks, print the shares of the kinds, write all operations."""
    rows = []
    for name in NETWORKS:
        found = measure(name)
        rows += found
        kinds = {}
        for row in found:
            kinds[row["kind"]] = kinds.get(row["kind"], 0) + row["share"]
        text = ", ".join(f"{kind} {share:.1%}" for kind, share in kinds.items())
        print(f"{name}: {text}", flush=True)
    path = Path(__file__).parent / "results" / "profile-cpu.csv"
    write_text(path, csv_text(rows, FIELDS))


if __name__ == "__main__":
    main()
