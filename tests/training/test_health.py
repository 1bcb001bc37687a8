"""Trainings that do not learn are told of, with remedies; those that do are not."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from keras_resnets.data import load_data
from keras_resnets.training import TrainingPlan, TrainingSettings, train
from keras_resnets.training.health import HealthWatch, Subject, at_chance, only_class
from keras_resnets.training.program import run_training

SUBJECT = Subject(
    "./photos", ("cat", "dog", "emu"), lambda: (20, 10, 10), TrainingPlan(30, 600), 0.05
)


def rows(*accuracies, train=0.52):
    return [
        {"epoch": number, "accuracy": train, "val_accuracy": accuracy}
        for number, accuracy in enumerate(accuracies, start=1)
    ]


def watch(history, predictions=lambda: np.arange(40) % 3, subject=SUBJECT):
    """Return the lines that a run of these epochs brings about."""
    lines, seen = [], []
    callback = HealthWatch(subject, seen, predictions, lines.append)
    for row in history:
        seen.append(row)
        callback.on_epoch_end(row["epoch"] - 1)
    return lines


@pytest.mark.parametrize(
    ("accuracies", "told"),
    [
        ([0.5] * 5, False),  # less than 30 % of 20 epochs
        ([0.5] * 6, True),
        ([0.5, 0.52, 0.45, 0.525, 0.5, 0.475], True),
        ([0.2, 0.25, 0.3, 0.3, 0.25, 0.3], True),
        ([0.5, 0.5, 0.6, 0.65, 0.7, 0.8], False),
        ([0.5, 0.5, 0.5, 0.8, 0.8, 0.8, 0.8], False),
        ([0.8] * 6 + [0.5] * 6, True),
        ([None] * 8, False),
    ],
)
def test_chance_is_the_share_of_the_largest_class(accuracies, told):
    lines = watch(rows(*accuracies))
    assert bool(lines) == told
    if told:
        assert "at chance for 6 epochs" in lines[0]
        assert "'cat' alone is 50.0%" in lines[1]
        assert len(lines) == 4
        assert max(map(len, lines)) <= 80


def test_slow_learning_has_time():
    """Where training images are learned, validation alone counts from 60 % of the run on."""
    assert watch(rows(*[0.5] * 11, train=0.6)) == []
    assert "at chance for 6 epochs" in watch(rows(*[0.5] * 12, train=0.6))[0]


def test_it_is_said_once():
    assert watch(rows(*[0.5] * 20)) == watch(rows(*[0.5] * 6))


def test_one_class_for_all_is_seen_before_chance_is_certain():
    asked = []

    def predictions():
        asked.append(1)
        return np.full(40, 1)

    lines = watch(rows(*[0.25] * 6), predictions)
    assert lines[0] == "warning: every validation image is classified as 'dog'"
    assert len(asked) == 1
    assert watch(rows(0.25, 0.3, 0.275, 0.3, 0.7, 0.9), predictions) == []
    assert len(asked) == 1  # the images are classified again where the accuracy is a share alone


@pytest.mark.parametrize(
    ("plan", "train", "remedies"),
    [
        (TrainingPlan(1, 18), 0.3, ("--epochs 600", "--lr 0.005")),
        (TrainingPlan(30, 600), 0.3, ("--lr 0.005", "check-data ./photos")),
        (TrainingPlan(30, 600), 0.99, ("check-data ./photos", "--lr 0.005")),
        (TrainingPlan(1, 18), 0.99, ("--epochs 600", "check-data ./photos")),
    ],
)
def test_the_remedies_are_chosen_by_the_numbers(plan, train, remedies):
    subject = Subject("./photos", SUBJECT.class_names, SUBJECT.count_classes, plan, 0.05)
    lines = at_chance(subject, rows(*[0.5] * 18, train=train))
    assert [remedy in line for remedy, line in zip(remedies, lines[-2:], strict=True)] == [True] * 2


def test_one_class_alone_is_no_matter_of_chance():
    subject = Subject("x", ("cat", "dog"), lambda: (40, 0), TrainingPlan(30, 600), 0.05)
    assert watch(rows(*[1.0] * 20), lambda: np.zeros(40), subject) == []


def test_the_command_names_the_folder_as_it_was_given(digits):
    """Ready for a shell; a data set that is no folder by its name."""
    for address, named in (
        ("", "check-data keras_resnets_digits"),
        ("./photos", "check-data ./photos"),
        ("~/my photos", "check-data '~/my photos'"),
    ):
        data = dataclasses.replace(digits, name="photos" if address else digits.name)
        data = dataclasses.replace(data, address=address)
        subject = Subject.of(data, TrainingSettings(recipe="search").fit_to(1257))
        lines = at_chance(subject, rows(*[0.1] * 32, train=0.99))
        assert any(line.endswith(named) for line in lines)


def test_a_folder_keeps_the_path_it_was_given_by(tmp_path, monkeypatch):
    for name in ("a1", "b1"):
        for number in range(12):
            path = tmp_path / "shots" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, 0, 0)).save(path)
    monkeypatch.chdir(tmp_path)
    data = load_data("./shots")
    assert (data.name, data.address) == ("shots", "./shots")
    assert data.without_validation().address == "./shots"


def test_only_class():
    assert only_class([3, 3]) == 3
    assert only_class([3, 2]) is None


@pytest.mark.large
def test_a_real_training_that_cannot_learn(tiny_config, few_digits):
    lines = []
    settings = TrainingSettings(recipe="search", epochs=6, batch_size=24).set(lr=1e-9)
    result = train(tiny_config, few_digits, settings, on_warning=lines.append)
    assert result.history[-1]["val_accuracy"] < 0.3
    assert lines
    assert "24 steps are few: try --epochs 150" in lines[-2]


@pytest.mark.large
def test_the_program_says_it_and_keeps_it(tmp_path):
    """In the summary too; a run that learns has no warnings."""
    data = {"name": "keras_resnets_digits", "data_dir": None, "image_size": None, "flip": None}
    weights = {str(digit): float(digit == 7) for digit in range(10)}
    settings = TrainingSettings(recipe="search", epochs=4, class_weights=weights)
    lines = []
    summary = run_training("resnet8_cifar", data, settings, tmp_path / "one", lines.append)
    assert sum("every test image is classified as '7'" in line for line in lines) == 1
    assert len(summary["warnings"]) == 1
    assert (
        summary["warnings"] == json.loads((tmp_path / "one/summary.json").read_text())["warnings"]
    )
    assert any(line.startswith("plan    4 epochs of 19 steps, batch 64") for line in lines)
    assert any("76 steps in all" in line for line in lines)
