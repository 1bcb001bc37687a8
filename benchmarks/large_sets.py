"""Large data sets: 30,000 small files in 1,500 classes, and 1.28 million records of ImageNet.

    python -m benchmarks.large_sets files    # check-data, an epoch, evaluate: time and memory
    python -m benchmarks.large_sets records  # the time to the first training step

The files are made here, of noise. The records are TensorFlow Datasets' mock of ImageNet: its
metadata, and images drawn on demand; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLASSES, IMAGES = 1500, 20
RECORDS = 1_281_167


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["files", "records", "step"])
    kind = parser.parse_args().kind
    {"files": run_files, "records": run_records, "step": first_step}[kind]()


def run_files() -> None:
    """Make the folder and time the commands on it."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "photos"
        _make_files(root)
        train = ["train", "resnet8_cifar", "--dataset", root, "--epochs", 1, "--run-dir", "run"]
        _time("check-data", ["check-data", root, "--json"], place)
        _time("train, 1 epoch", train, place)
        _time("evaluate", ["evaluate", "run/model.keras", "--json"], place)


def _make_files(root: Path) -> None:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        folder = root / f"class{label:04d}"
        folder.mkdir(parents=True)
        for index in range(IMAGES):
            pixels = rng.integers(0, 256, (4, 4, 3), np.uint8)
            image = Image.fromarray(pixels).resize((40 + index, 36), Image.Resampling.BICUBIC)
            image.save(folder / f"{label}-{index}.jpg")


def _time(name: str, arguments, place) -> None:
    began = time.monotonic()
    command = [sys.executable, "-m", "keras_resnets", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with contextlib.suppress(ProcessLookupError):
        process = subprocess.Popen(
            command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    code = os.waitstatus_to_exitcode(status)
    print(f"{name}: {seconds:.1f} s, {usage.ru_maxrss / 1024:,.0f} MiB, exit {code}", flush=True)
    if code:
        print(process.stderr.read().decode())


def run_records() -> None:
    """Time from the process' start to the first training step on mocked records."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.large_sets", "step"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    print(f"in all {time.monotonic() - began:.1f} s: {done.stdout.strip().splitlines()[-1]}")


def first_step() -> None:
    """Train a ResNet-18 on mocked ImageNet up to its first step; print what took how long."""
    began = time.monotonic()
    import keras
    import tensorflow_datasets as tfds

    from keras_resnets.data import load_data
    from keras_resnets.models import model_config
    from keras_resnets.training import TrainingSettings, train

    class Done(Exception):
        pass

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            times["first step"] = time.monotonic() - began
            raise Done

    times = {"imports": time.monotonic() - began}
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        _write_metadata(tfds, place)
        stack.enter_context(tfds.testing.mock_data(num_examples=RECORDS, data_dir=place))
        stack.enter_context(contextlib.suppress(Done))
        data = load_data("imagenet2012", data_dir=place, network_size=(224, 224))
        times["opened"] = time.monotonic() - began
        config = data.adapt(model_config("resnet18"))
        times["statistics"] = time.monotonic() - began
        settings = TrainingSettings(recipe="fb-resnet-torch", batch_size=32)
        train(config, data, settings, callbacks=[Stop()])
    times = {name: round(seconds, 1) for name, seconds in times.items()}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**times, "MiB": round(memory), "images": data.sizes}))


def _write_metadata(tfds, place) -> None:
    """Write what a prepared ImageNet says of itself."""
    builder = tfds.builder("imagenet2012", data_dir=place)
    splits = {"train": RECORDS, "validation": 50_000}
    infos = [
        tfds.core.SplitInfo(name=name, shard_lengths=[count], num_bytes=count * 110_000)
        for name, count in splits.items()
    ]
    builder.info.set_splits(tfds.core.splits.SplitDict(infos))
    Path(builder.data_path).mkdir(parents=True)
    builder.info.write_to_directory(builder.data_path)


if __name__ == "__main__":
    main()
