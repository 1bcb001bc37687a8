"""What the suites share.

Nothing here imports TensorFlow or Keras before a test asks for it: the tests of layers and models
also run on other backends.
"""

import dataclasses
import gc
import os
import shutil
import subprocess
import sys
import tempfile

import hypothesis
import pytest
from tiers import LONG

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

hypothesis.settings.register_profile(
    "keras_resnets", deadline=None, derandomize=True, max_examples=20, print_blob=False
)
hypothesis.settings.load_profile("keras_resnets")


# What TensorFlow and Keras keep is walked over in each full collection: a tenth of the tests' time.
gc.set_threshold(200_000, 20, 100)


def pytest_configure(config):
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # xdist gives out the files in our order
    # Before anything imports TensorFlow Datasets, which reads the variable once.
    config.tfds_dir = tempfile.mkdtemp(prefix="keras_resnets_tfds_")
    os.environ["TFDS_DATA_DIR"] = config.tfds_dir
    # Of the tests' own processes, many of which are killed and leave temporary files.
    config.scratch_dir = tempfile.mkdtemp(prefix="keras_resnets_scratch_")
    os.environ["TMPDIR"] = config.scratch_dir


def pytest_unconfigure(config):
    for folder in (config.tfds_dir, config.scratch_dir):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark all but some cases of the sampled matrices as large, before any are deselected.

    Long files come first, so that at the end no worker is left alone with one.
    """
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
    matrices = {}
    for item in items:
        if item.get_closest_marker("sampled") and not item.get_closest_marker("large"):
            matrices.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in matrices.values():
        (count,) = cases[0].get_closest_marker("sampled").args
        last = len(cases) - 1
        plain = {round(n * last / max(count - 1, 1)) for n in range(count)}
        for number, item in enumerate(cases):
            if number not in plain:
                item.add_marker("large")


@pytest.fixture(scope="session")
def tfds_dir(pytestconfig):
    """The folder where the tests' TensorFlow Datasets are prepared; no test uses the user's."""
    return pytestconfig.tfds_dir


@pytest.fixture(scope="session")
def digits():
    """The embedded data set."""
    from keras_resnets.data import load_data

    return load_data()


@pytest.fixture(scope="session")
def few_digits(digits):
    """The first of the embedded digits, from memory: 96 to train on, 40 to validate and test on."""
    import tensorflow as tf

    sizes = {"train": 96, "validation": 40, "test": 40}
    images = {split: digits.images(split, size) for split, size in sizes.items()}
    return dataclasses.replace(
        digits, sizes=sizes, read=lambda split: tf.data.Dataset.from_tensor_slices(images[split])
    )


@pytest.fixture(scope="session")
def tiny_config(digits):
    """A network of three basic blocks for the digits that takes raw images."""
    from keras_resnets import ResNetConfig

    return digits.adapt(ResNetConfig(blocks=(1, 1, 1), widths=(4, 8, 16), stem_width=4))


@pytest.fixture(scope="session")
def run_python():
    """Run a program in a process of its own; return what it printed, fail if it failed."""

    def run(program, *args, **environment):
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, args)],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr[-4000:]}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def tree():
    """Return a folder's files and their contents, to see that nothing was written."""

    def read(folder):
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
        }

    return read
