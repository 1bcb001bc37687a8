"""``keras-resnets train``'s program: a run folder that survives, and one line for wrong input."""

import csv
import json
import random
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from tiers import matrix

from keras_resnets import config_from_dict, model_config
from keras_resnets.errors import ConfigError, DataError, InputError, RunFolderError
from keras_resnets.state import read_state
from keras_resnets.training import TrainingSettings, choose_execution
from keras_resnets.training.fit import HISTORY
from keras_resnets.training.program import clock, run_training
from keras_resnets.training.recipes import Recipe

MODEL = "stochastic_depth_resnet8_cifar"
DATA = {"name": "keras_resnets_digits", "data_dir": None, "image_size": None, "flip": None}
SETTINGS = TrainingSettings(recipe="search", epochs=6, batch_size=128)


def _run(folder, model=MODEL, data=DATA, settings=SETTINGS, lines=None):
    print_fn = lines.append if lines is not None else lambda line: None
    return run_training(model, data, settings, folder, print_fn)


def _numbers(summary):
    return {name: value for name, value in summary.items() if name != "seconds"}


def _history(folder):
    with (folder / "history.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """An undisturbed run: its folder, its summary and what it said."""
    folder, lines = tmp_path_factory.mktemp("runs") / "whole", []
    return folder, _run(folder, lines=lines), lines


def test_the_folder_holds_the_results_and_nothing_else(finished):
    folder, summary, _ = finished
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    assert names == [
        "best.keras",
        "config.json",
        "curves.png",
        "history.csv",
        "model.keras",
        "recipe.json",
        "run.json",
        "summary.json",
    ]
    assert read_state(folder / "summary.json") == json.loads(json.dumps(summary))


def test_the_files_agree_with_each_other(finished, digits):
    folder, summary, _ = finished
    model = keras.saving.load_model(folder / "model.keras")
    config = config_from_dict(json.loads((folder / "config.json").read_text()))
    # Decay is the settings' in a training, not the configuration's.
    assert model.config == config == digits.adapt(model_config(MODEL, weight_decay=0.0))
    assert summary["params"] == sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    images, labels = digits.images("test")
    answers = np.asarray(model(images, training=False)).argmax(-1)
    assert summary["test_accuracy"] == pytest.approx((answers == labels).mean())
    assert summary["data"]["images"] == digits.sizes
    assert summary["data"]["classes"] == list(digits.class_names)
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HISTORY
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert float(rows[-1]["val_accuracy"]) == summary["val_accuracy"]
    best = keras.saving.load_model(folder / "best.keras")
    _, accuracy = best.evaluate(digits.evaluation_batches("validation", 256), verbose=0)
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert accuracy == pytest.approx(max(accuracies), abs=1e-6)
    assert summary["best_epoch"]["epoch"] == accuracies.index(max(accuracies)) + 1
    assert Recipe.parse(json.loads((folder / "recipe.json").read_text())) == SETTINGS.recipe
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_it_learns(finished):
    assert finished[1]["test_accuracy"] > 0.5


@pytest.mark.large
def test_logs_for_tensorboard_on_request(tmp_path):
    settings = SETTINGS.replace(epochs=1, all_data=True)
    summary = run_training("resnet8_cifar", DATA, settings, tmp_path / "run", str, tensorboard=True)
    assert list((tmp_path / "run" / "tensorboard").rglob("*tfevents*"))
    assert summary["best_epoch"] is summary["val_accuracy"] is None
    assert not (tmp_path / "run" / "best.keras").exists()


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_run_goes_on(finished, tmp_path):
    """The system refuses files above a size, as a full disk would: the real error of its writes."""
    program = """
import json, resource, signal, sys
from keras_resnets.errors import RunError
from keras_resnets.training import TrainingSettings
from keras_resnets.training.program import run_training
model, data, settings, folder = sys.argv[1:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def print_fn(line):
    if line.startswith("epoch 2"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    settings = TrainingSettings(**json.loads(settings))
    run_training(model, json.loads(data), settings, folder, print_fn)
except (RunError, OSError) as error:
    print(type(error).__name__, error)
"""
    folder = tmp_path / "run"
    arguments = [MODEL, json.dumps(DATA), json.dumps(SETTINGS.to_dict()), str(folder)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=300
    )
    assert "cannot be written after epoch" in done.stdout, done.stdout + done.stderr[-2000:]
    assert not [path for path in folder.iterdir() if ".tmp" in path.name]
    assert _numbers(_run(folder)) == _numbers(finished[1])
    assert _history(folder) == _history(finished[0])


def test_it_says_what_it_does(finished):
    folder, summary, lines = finished
    assert len(lines) == 5 + SETTINGS.epochs + 1
    for part in (
        MODEL,
        f"{summary['params']:,} parameters",
        "keras_resnets_digits",
        "6 epochs",
        "recipe search",
    ):
        assert part in lines[0]
    assert lines[1] == "plan    6 epochs of 9 steps, batch 128, learning rate 0.1"
    assert lines[2].startswith("warning: 54 steps in all")
    assert lines[4] == f"on {choose_execution()}"
    for number, line in enumerate(lines[5:-1], start=1):
        assert line.startswith(f"epoch {number}/6  loss ")
        assert line.endswith(" left")
    assert f"{summary['test_accuracy']:.2%}" in lines[-1]
    assert str(folder / "model.keras") in lines[-1]
    long = [line for line in "\n".join(lines).splitlines() if len(line) > 80]
    assert all(line.strip().startswith(str(folder)) for line in long)  # a word that is no shorter


def test_a_finished_run_is_only_read(finished, tree):
    folder, summary, _ = finished
    before, lines = tree(folder), []
    assert _run(folder, lines=lines) == json.loads(json.dumps(summary))
    assert lines == [f"{folder} is finished"]
    assert tree(folder) == before


@pytest.mark.parametrize("kills", matrix([1, 5], [], gate=[1]))
def test_killed_at_random_moments_it_ends_with_the_same_numbers(kills, finished, tmp_path):
    """SIGKILL: as soon as there is an epoch, and anywhere from the next one on."""
    program = """
import json, sys
from keras_resnets.training import TrainingSettings
from keras_resnets.training.program import run_training
model, data, settings, folder = sys.argv[1:]
run_training(model, json.loads(data), TrainingSettings(**json.loads(settings)), folder,
    lambda line: print(line, flush=True))
"""
    folder = tmp_path / "run"
    arguments = [MODEL, json.dumps(DATA), json.dumps(SETTINGS.to_dict()), str(folder)]
    seed = time.time_ns()
    print(f"seed of the moment: {seed}")  # pytest shows it when the test fails
    moments = [0, *(random.Random(seed).uniform(0, 1.5) for _ in range(kills - 1))]
    seen = []
    for moment in moments:
        with subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            for line in process.stdout:
                if line.startswith("epoch "):
                    seen.append(int(line.split()[1].split("/")[0]))
                    break
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
    assert seen[0] == 1
    summary = _run(folder)
    whole, expected, _ = finished
    assert _numbers(summary) == _numbers(expected)
    assert _history(folder) == _history(whole)
    assert (folder / "config.json").read_text() == (whole / "config.json").read_text()
    ours, theirs = (keras.saving.load_model(f / "model.keras") for f in (folder, whole))
    for weight, same in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "resnet21_cifar"}, ConfigError, "nearest legal"),
        ({"model": "resnt20_cifar"}, ConfigError, "nearest: resnet20_cifar"),
        ({"data": {**DATA, "name": "keras_resnets_digit"}}, DataError, "keras_resnets_digits"),
        ({"data": {**DATA, "name": "./no/photos"}}, DataError, "does not exist"),
    ],
)
def test_wrong_names_write_nothing(changes, error, message, tmp_path, tree):
    with pytest.raises(error, match=message):
        _run(tmp_path / "run", **changes)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet8_cifar"}, f"there model='{MODEL}', here model='resnet8_cifar'"),
        ({"settings": SETTINGS.replace(seed=1)}, "there seed=0, here seed=1"),
        (
            {"settings": SETTINGS.set(lr=0.2)},
            "there recipe.optimizer.learning_rate=0.1, here recipe.optimizer.learning_rate=0.2",
        ),
        ({"data": {**DATA, "image_size": 16}}, "there image_size=None, here image_size=16"),
    ],
)
def test_a_folder_of_another_run_is_refused(changes, message, finished, tree):
    folder, before = finished[0], tree(finished[0])
    with pytest.raises(RunFolderError, match=message):
        _run(folder, **changes)
    assert tree(folder) == before


def test_the_data_may_move(finished, tfds_dir):
    """The folder of the data is not part of what a run is."""
    assert _run(finished[0], data={**DATA, "data_dir": tfds_dir})["model"] == MODEL


@pytest.mark.large
def test_a_divergence_names_the_learning_rate(tmp_path):
    settings = SETTINGS.replace(epochs=2, batch_size=512).set(lr=1e30, warmup=0)
    with pytest.raises(
        InputError,
        match=r"diverged: .* at step \d .epoch 1., at a learning rate of .e\+.*; there is no",
    ):
        _run(tmp_path / "run", model="resnet8_cifar", settings=settings)
    assert not (tmp_path / "run" / "summary.json").exists()
    assert not (tmp_path / "run" / "model.keras").exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3723, "1:02:03")],
)
def test_clock(seconds, text):
    assert clock(seconds) == text
