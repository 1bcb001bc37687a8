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

from keras_resnets import config_from_dict, model_config
from keras_resnets.errors import ConfigError, DataError, InputError, RunFolderError
from keras_resnets.training import TrainingSettings, choose_execution
from keras_resnets.training.fit import HISTORY
from keras_resnets.training.program import clock, run_training

MODEL = "stochastic_depth_resnet8_cifar"
DATA = {"name": "keras_resnets_digits", "data_dir": None, "image_size": None, "flip": None}
SETTINGS = TrainingSettings(epochs=6, batch_size=128)


def _run(folder, model=MODEL, data=DATA, settings=SETTINGS, lines=None):
    say = lines.append if lines is not None else lambda line: None
    return run_training(model, data, settings, folder, say)


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
    assert names == ["config.json", "history.csv", "model.keras", "run.json", "summary.json"]
    assert json.loads((folder / "summary.json").read_text()) == json.loads(json.dumps(summary))


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


def test_it_learns(finished):
    assert finished[1]["test_accuracy"] > 0.5


def test_it_says_what_it_does(finished):
    folder, summary, lines = finished
    assert len(lines) == 2 + SETTINGS.epochs + 1
    for part in (MODEL, f"{summary['params']:,} parameters", "keras_resnets_digits", "6 epochs"):
        assert part in lines[0]
    assert lines[1] == f"on {choose_execution()}"
    for number, line in enumerate(lines[2:-1], start=1):
        assert line.startswith(f"epoch {number}/6  loss ")
        assert line.endswith(" left")
    assert f"{summary['test_accuracy']:.2%}" in lines[-1]
    assert str(folder / "model.keras") in lines[-1]


def test_a_finished_run_is_only_read(finished, tree):
    folder, summary, _ = finished
    before, lines = tree(folder), []
    assert _run(folder, lines=lines) == json.loads(json.dumps(summary))
    assert lines == [f"{folder} is finished"]
    assert tree(folder) == before


def test_killed_at_random_moments_it_ends_with_the_same_numbers(finished, tmp_path):
    """SIGKILL twice: anywhere from the first epoch on, and as soon as a checkpoint is there."""
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
    moments = [random.Random(seed).uniform(0, 1.5), 0]
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
    lines = []
    summary = _run(folder, lines=lines)
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


def test_a_divergence_names_the_learning_rate(tmp_path):
    settings = TrainingSettings(epochs=2, batch_size=512, learning_rate=1e30, warmup=0)
    with pytest.raises(InputError, match=r"diverged in epoch 1 .*`learning_rate`=1e\+30"):
        _run(tmp_path / "run", model="resnet8_cifar", settings=settings)
    assert not (tmp_path / "run" / "summary.json").exists()
    assert not (tmp_path / "run" / "model.keras").exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3723, "1:02:03")],
)
def test_clock(seconds, text):
    assert clock(seconds) == text
