"""A damaged checkpoint is told in one line, and never gives other numbers."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_resnets import ResNetConfig
from keras_resnets.state import read_state, write_state
from keras_resnets.training import TrainingSettings, train
from keras_resnets.training.fit import HISTORY

SETTINGS = TrainingSettings(recipe="search", epochs=4, batch_size=48, seed=7).set(ema=0.9)


@pytest.fixture(scope="module")
def begun(few_digits, tmp_path_factory):
    """The undisturbed training, and a folder with its checkpoints of epochs 3 and 2."""
    config = few_digits.adapt(ResNetConfig(blocks=(1,), widths=(4,), strides=(2,), stem_width=4))
    folder = tmp_path_factory.mktemp("begun")
    files = {"checkpoint": folder / "model.keras", "best": folder / "best.keras"}
    for until in (2, 3):
        train(config, few_digits, SETTINGS, until=until, **files)
    copy = tmp_path_factory.mktemp("whole") / "copy"
    shutil.copytree(folder, copy)
    whole = train(config, few_digits, SETTINGS, checkpoint=copy / "model.keras")
    return config, folder, whole


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _disagree(path):
    """A state whose hashes are right and whose step is not the optimizer's."""
    state = read_state(path)
    write_state(path, {**state, "iterations": state["iterations"] - 1})


def _shorten(path):
    state = read_state(path)
    write_state(path, {**state, "history": state["history"][:1], "averages": None})


LARGE = pytest.mark.large
CASES = [
    pytest.param({"model.json": lambda p: p.write_text("[]")}, 2, "model.json", id="history"),
    pytest.param({"best.keras": _flip}, 0, "best.keras", id="best"),
    pytest.param({"model.keras": _flip}, 2, "model.keras", id="model", marks=LARGE),
    pytest.param(
        {"model-averages-3.npz": _flip}, 2, "model-averages-3.npz", id="averages", marks=LARGE
    ),
    pytest.param({"model.json": _disagree}, 2, "disagree", id="steps", marks=LARGE),
    pytest.param({"model.json": _shorten}, 2, "disagree", id="shorter", marks=LARGE),
    pytest.param(
        {"model.keras": _flip, "model-previous.keras": _flip},
        0,
        "model-previous.keras",
        id="both",
        marks=LARGE,
    ),
    pytest.param({"best.keras": lambda p: p.unlink()}, 0, "best.keras", id="no best", marks=LARGE),
]


@pytest.mark.parametrize(("damages", "resumes", "words"), CASES)
@pytest.mark.sampled(1)
def test_it_is_told_and_the_numbers_are_the_same(
    damages, resumes, words, begun, few_digits, tmp_path
):
    config, folder, whole = begun
    shutil.copytree(folder, tmp_path / "run")
    for name, damage in damages.items():
        damage(tmp_path / "run" / name)
    told, rows = [], []
    result = train(
        config,
        few_digits,
        SETTINGS,
        checkpoint=tmp_path / "run" / "model.keras",
        best=tmp_path / "run" / "best.keras",
        on_epoch=lambda row, history: rows.append(row["epoch"]),
        on_damage=told.append,
    )
    (line,) = told
    assert words in line
    assert "\n" not in line
    assert rows == list(range(resumes + 1, 5))
    numbers = [[row[name] for name in HISTORY if name != "seconds"] for row in result.history]
    assert numbers == [[row[n] for n in HISTORY if n != "seconds"] for row in whole.history]
    for weight, same in zip(result.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    keras.saving.load_model(tmp_path / "run" / "best.keras")


def test_of_what_is_whole_nothing_is_told(begun, few_digits, tmp_path):
    config, folder, _ = begun
    shutil.copytree(folder, tmp_path / "run")
    path = tmp_path / "run" / "model.keras"
    train(config, few_digits, SETTINGS, checkpoint=path, until=3, on_damage=pytest.fail)
    assert json.loads(path.with_suffix(".json").read_text())["checksum"]["format"] == 1
