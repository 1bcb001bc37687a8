"""A small folder of pictures trains well without options: better than a logistic regression."""

import os

import pytest

from benchmarks.small_sets import SETS, logistic_regression, make_set, train_by_default
from keras_resnets.training import TrainingSettings
from keras_resnets.training.program import run_training


@pytest.mark.slow
def test_sixty_digits_by_default(tmp_path):
    data = make_set("digits-60")
    folder = data.write(tmp_path)
    arguments = {"name": str(folder)}
    lines = []
    run = run_training(
        "resnet8_cifar", arguments, TrainingSettings(), tmp_path / "run", lines.append
    )
    assert run["test_accuracy"] > logistic_regression(data)
    assert run["steps"] >= 600
    assert not run["warnings"]
    assert not any("warning" in line for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SETS)
def test_small_sets_by_default(name, tmp_path):
    cifar10 = os.environ.get("KERAS_RESNETS_CIFAR10_DIR")
    if name.startswith("cifar") and not cifar10:
        pytest.skip("needs KERAS_RESNETS_CIFAR10_DIR, the folder of a prepared CIFAR-10")
    data = make_set(name, cifar10)
    run = train_by_default(data.write(tmp_path), tmp_path / "run")
    assert run["test_accuracy"] > logistic_regression(data)
    assert not run["warnings"]
