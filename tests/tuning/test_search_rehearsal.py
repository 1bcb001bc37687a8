"""A dry run of a search times a candidate of median cost, and writes nothing."""

import dataclasses
import importlib

import keras_tuner
import pytest

from keras_resnets import ResNetConfig
from keras_resnets.errors import ConfigError
from keras_resnets.models.cost import complexity
from keras_resnets.run_folder import RunFolder
from keras_resnets.training import TrainingPlan, choose_execution
from keras_resnets.training.rehearsal import DRY, Rehearsal
from keras_resnets.tuning import Budget, SearchSettings, SearchSpace, make_oracle
from keras_resnets.tuning.oracles import planned_epochs, planned_trials
from keras_resnets.tuning.planning import plan_lines
from keras_resnets.tuning.rehearsal import SearchRehearsal, median_values

program = importlib.import_module("keras_resnets.tuning.search")


@pytest.mark.large
def test_nothing_is_written_and_the_numbers_are_the_plans(tiny_space, tmp_path, tree):
    settings = SearchSettings(trials=3, epochs=2, final_epochs=4, space=tiny_space)
    lines = []
    result = program.search(settings, tmp_path / "run", lines.append, dry_run=True)
    assert tree(tmp_path) == {}
    found = result.summary
    assert (found["trials"], found["epochs"], found["final_epochs"]) == (3, 6, 4)
    assert found["seconds"] > 0
    text = " ".join("\n".join(lines).split())
    assert "plan random search, 3 trials, 2 epochs each, batch 64" in text
    assert "for 3 trials (6 epochs) and 4 epochs of the winner" in text
    assert lines[-1] == DRY
    wrong = SearchSettings(batch_size=9999, space=tiny_space)
    with pytest.raises(ConfigError, match="batch_size=9999"):
        program.search(wrong, tmp_path / "run", str, dry_run=True)
    assert tree(tmp_path) == {}


def test_a_download_is_told_and_not_made(tmp_path, tree):
    (tmp_path / "tfds").mkdir()
    settings, lines = SearchSettings(dataset="cifar10", data_dir=tmp_path / "tfds"), []
    assert program.search(settings, tmp_path / "run", lines.append, dry_run=True).summary == {}
    assert lines[0].startswith("would begin by downloading data set cifar10, ")
    assert tree(tmp_path) == {"tfds": None}


def test_the_estimate_adds_up():
    timed = Rehearsal(plan=TrainingPlan(10, 20), start=3, steps=((0.0, 0.5),), validation=1)
    values = {"block": "basic", "width": 8}
    found = SearchRehearsal(
        values=values, config=ResNetConfig(), rehearsal=timed, trials=4, epochs=8, final_epochs=5
    )
    assert found.seconds == 5 * 3 + 13 * 6
    assert "about 1:33 for 4 trials (8 epochs)" in " ".join(found.lines())
    assert max(map(len, found.lines())) <= 80


def test_the_candidate_is_of_median_cost():
    settings, base = SearchSettings(), ResNetConfig(input_shape=(8, 8, 1), classes=10)
    structures = settings.space.within(Budget(None, 1_000_000), base)
    values = median_values(settings, base, structures)

    def macs(values):
        return complexity(settings.space.config({**values, "final_survival": 1.0}, base)).macs

    cheaper = sum(macs(other) < macs(values) for other in structures)
    dearer = sum(macs(other) > macs(values) for other in structures)
    assert max(cheaper, dearer) <= len(structures) / 2
    assert 0.03 < values["learning_rate"] < 0.3


@pytest.mark.parametrize("epochs", [4, 12, 40])
def test_hyperbands_epochs_are_those_that_its_trials_have(epochs, tmp_path):
    """A promoted trial has only the epochs since its promotion."""
    hyperparameters = keras_tuner.HyperParameters()
    SearchSpace().declare(hyperparameters)
    oracle = make_oracle(
        "hyperband", hyperparameters, lambda values: True, trials=1, epochs=epochs, seed=0
    )
    oracle._set_project_dir(str(tmp_path), "tuner")
    planned, all_trials = planned_epochs(oracle, epochs), planned_trials(oracle)
    ran, trials = 0, 0
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        values = trial.hyperparameters.values
        ran += values["tuner/epochs"] - values["tuner/initial_epoch"]
        trials += 1
        oracle.update_trial(trial.trial_id, {"val_accuracy": 1 / trials})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert (ran, trials) == (planned, all_trials)


@pytest.mark.parametrize(("images", "told"), [(60, True), (1257, False)])
def test_the_plan_says_what_few_images_change(images, told, digits, tmp_path):
    data = dataclasses.replace(digits, sizes={**digits.sizes, "train": images})
    given, folder = SearchSettings(final_epochs=50), RunFolder(tmp_path / "run", "search", {})
    lines = plan_lines(given, given.fit_to(images), data, 48, folder, choose_execution())
    few = "        60 images are few: batch 8 (not 64), 29 epochs (not 12)"
    assert (few in lines) == told
    assert any("the winner, 50 epochs" in line for line in lines)
    long = [line for line in "\n".join(lines).splitlines() if len(line) > 80]
    assert all(str(tmp_path) in line for line in long)
