"""A run can be lengthened, to the bits of one that was as long from the start, or says why not."""

import csv
import dataclasses
import json
import re

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_resnets import ResNetConfig
from keras_resnets.errors import RunFolderError
from keras_resnets.run_folder import RunFolder
from keras_resnets.state import read_state, write_state
from keras_resnets.training import TrainingPlan, TrainingSettings
from keras_resnets.training.generations import next_model, turn_over
from keras_resnets.training.length import bound_to_length, training_length
from keras_resnets.training.program import run_training
from keras_resnets.training.recipes.recipe import Recipe, Schedule, Transfer
from keras_resnets.training.schedules import make_schedule

NETWORK = ResNetConfig(blocks=(1,), widths=(4,), strides=(2,), stem_width=4, final_survival=0.5)
DATA = {"name": "keras_resnets_digits", "data_dir": None, "image_size": None, "flip": None}
SEARCH = TrainingSettings(recipe="search", epochs=12)
CONSTANT = SEARCH.set(**{"schedule.kind": "constant", "warmup": 0.0})
STEPS = 10
"""Steps of an epoch of the runs that are only pretended."""


def _numbers(folder):
    """Everything that a run leaves and that may not depend on how it came about."""
    timed = ("seconds",)
    with (folder / "history.csv").open() as file:
        rows = [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader(file)]
    summary, run = (read_state(folder / name) for name in ("summary.json", "run.json"))
    return rows, {k: v for k, v in summary.items() if k not in timed}, run


@pytest.mark.parametrize(
    "recipe",
    [
        {"schedule.kind": "constant", "warmup": 0.0, "warmup_steps": 25, "ema": 0.9},
        {"schedule.kind": "plateau", "warmup": 0.0, "schedule.patience": 1, "factor": 0.5},
    ],
    ids=["constant", "plateau"],
)
@pytest.mark.large
def test_a_lengthened_run_is_that_of_one_go(recipe, tmp_path):
    """Nine steps an epoch; the first lengthening is interrupted before anything is trained."""
    settings = TrainingSettings(recipe="search", batch_size=128, seed=3).set(**recipe)

    def run(folder, epochs, print_fn=lambda line: None):
        run_training(NETWORK, DATA, settings.replace(epochs=epochs), folder, print_fn)

    def interrupt(line):
        if line == "2 epochs are done; 1 more":
            raise KeyboardInterrupt

    whole, grown = tmp_path / "whole", tmp_path / "grown"
    run(whole, 3)
    run(grown, 2)
    with pytest.raises(KeyboardInterrupt):
        run(grown, 3, interrupt)
    assert not (grown / "summary.json").exists()
    assert (grown / "model.keras").is_file()
    lines = []
    run(grown, 3, lines.append)
    assert [line.split()[1] for line in lines if line.startswith("epoch ")] == ["3/3"]
    assert _numbers(grown) == _numbers(whole)
    # Which epoch the spare checkpoint is of hangs on how long writing takes.
    names, same = ({re.sub(r"\d+", "N", p.name) for p in f.iterdir()} for f in (grown, whole))
    assert names == same
    for name in ("model.keras", "best.keras", "checkpoint.keras"):
        ours, theirs = (keras.saving.load_model(folder / name) for folder in (grown, whole))
        for weight, same in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, same)
    lines.clear()
    run(grown, 3, lines.append)
    assert [" ".join(line.split()) for line in lines] == [f"{grown} is finished"]
    with pytest.raises(RunFolderError, match="has 3 epochs done, more than epochs=2"):
        run(grown, 2)


def _open(folder, settings, steps=None, data_set="one"):
    """Open a run folder as a training does."""
    steps = settings.epochs * STEPS if steps is None else steps
    run = RunFolder(folder, "train", settings.to_dict(), training_length(settings))
    run.pin("data set", data_set)
    run.length = training_length(settings, TrainingPlan(STEPS, steps))
    with run:
        run.lengthen()
        return run.is_finished


def _pretend(folder, settings, done, *, finished=True, checkpoint=True, patience=False, **plan):
    """Leave what a training of some epochs leaves."""
    _open(folder, settings, **plan)
    if checkpoint:
        next_model(folder / "checkpoint.keras").touch()
        turn_over(folder / "checkpoint.keras", [{}] * done, done * STEPS, averaged=False)
    if finished:
        (folder / "model.keras").touch()
        summary = {"epochs": done, "out_of_patience": patience}
        write_state(folder / "summary.json", summary)


ITERATIONS = SEARCH.replace(epochs=None, recipe=CONSTANT.recipe.set(iterations=115), patience=None)


@pytest.mark.parametrize(
    ("there", "here", "left", "message"),
    [
        (SEARCH, {"epochs": 13}, {}, "epochs=12 and a schedule .*`schedule.kind`='cosine'.*--init"),
        (SEARCH, {"recipe": SEARCH.recipe.set(epochs=31)}, {}, "there recipe.epochs=30, here"),
        (
            SEARCH.replace(epochs=None, recipe=SEARCH.recipe.set(iterations=115)),
            {"epochs": 12},
            {"steps": 115},
            "begun with steps=115 .*: steps=120 would",
        ),
        (SEARCH, {"epochs": 11}, {}, "has 12 epochs done, more than epochs=11: use another"),
        (
            SEARCH,
            {"epochs": 13},
            {"done": 5, "finished": False},
            r"epoch on; use another --run-dir$",
        ),
        (SEARCH, {"epochs": 9}, {"done": 5, "finished": False}, "`schedule.kind`='cosine'"),
        (
            SEARCH.set(**{"schedule.kind": "one_cycle", "warmup": 0}),
            {"epochs": 13},
            {},
            "`schedule.kind`='one_cycle'",
        ),
        (
            SEARCH.set(**{"schedule.kind": "step", "milestones": [9]}),
            {"epochs": 13},
            {},
            "`schedule.kind`='step'",
        ),
        (CONSTANT.set(warmup=2), {"epochs": 13}, {}, "`schedule.warmup`=2"),
        (CONSTANT.set(sizes=[[0, 0.5], [0.5, 1]]), {"epochs": 13}, {}, r"`sizes`=\[\[0"),
        (
            CONSTANT.replace(init="a.keras").set(unfreeze=0.1),
            {"epochs": 13},
            {},
            "`transfer.unfreeze`=0.1",
        ),
        (CONSTANT, {"epochs": 11}, {}, "has 12 epochs done"),
        (CONSTANT, {"epochs": 4}, {"done": 5, "finished": False}, "has 5 epochs done"),
        (CONSTANT, {"epochs": 13}, {"checkpoint": False}, "no checkpoint.keras any more"),
        (
            CONSTANT.replace(patience=3),
            {"epochs": 13},
            {"done": 7, "patience": True, "checkpoint": False},
            "ended after 7 epochs by `patience`=3",
        ),
        (CONSTANT, {"epochs": 13, "seed": 1}, {}, "there seed=0, here seed=1"),
        (ITERATIONS, {"epochs": 13}, {"steps": 115, "checkpoint": False}, "`iterations`=115"),
        (ITERATIONS, {"epochs": 12}, {"steps": 115, "checkpoint": False}, "`iterations`=115"),
    ],
)
def test_a_refusal_names_the_setting_and_writes_nothing(there, here, left, message, tmp_path, tree):
    folder = tmp_path / "run"
    _pretend(folder, there, **{"done": 12, **left})
    before = tree(folder)
    with pytest.raises(RunFolderError, match=message) as caught:
        _open(folder, there.replace(**here))
    assert str(caught.value).startswith(f"run folder {str(folder)!r}")
    assert tree(folder) == before


@pytest.mark.parametrize(
    ("there", "epochs", "left"),
    [
        (CONSTANT, 13, {}),
        (CONSTANT, 13, {"done": 5, "finished": False}),
        (CONSTANT, 6, {"done": 5, "finished": False}),
        (CONSTANT, 5, {"done": 5, "finished": False}),
        (CONSTANT.set(unfreeze=0.1), 13, {}),  # of no effect without --init
        (CONSTANT.set(sizes=[[0, 0.5]]), 13, {}),
        (CONSTANT.set(warmup_steps=1000), 13, {}),
        (CONSTANT.set(warmup_error=0.5, warmup_from=0.1), 13, {}),
        (CONSTANT.replace(patience=3), 13, {}),
        (ITERATIONS, 13, {"done": 5, "finished": False, "steps": 115}),
        (SEARCH, 13, {"done": 0, "finished": False, "checkpoint": False}),
    ],
)
def test_what_can_grow_grows(there, epochs, left, tmp_path):
    folder = tmp_path / "run"
    _pretend(folder, there, **{"done": 12, **left})
    here = there.replace(epochs=epochs)
    assert _open(folder, here) is False
    run = json.loads((folder / "run.json").read_text())
    assert run["settings"]["epochs"] == epochs
    assert run["planned"] == {"epochs": epochs, "steps": epochs * STEPS}
    assert not (folder / "summary.json").exists()


def test_the_default_length_is_compared_as_a_number(tmp_path):
    default = CONSTANT.replace(epochs=None)
    _pretend(tmp_path / "run", default, done=30, steps=300)
    assert _open(tmp_path / "run", CONSTANT.replace(epochs=30)) is True
    assert _open(tmp_path / "run", CONSTANT.replace(epochs=31)) is False
    with pytest.raises(RunFolderError, match="has 30 epochs done, more than epochs=29"):
        _open(tmp_path / "run", default, steps=290)


def test_the_recipe_may_say_the_length(tmp_path):
    default = CONSTANT.replace(epochs=None)
    _pretend(tmp_path / "run", default, done=30, steps=300)
    longer = default.set(epochs=31)
    assert _open(tmp_path / "run", longer, steps=310) is False
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["settings"]["recipe"]["epochs"] == 31
    steps = default.set(iterations=400)
    assert _open(tmp_path / "run", steps, steps=400) is False


def test_other_images_are_told_before_another_length(tmp_path):
    """A default length may follow from the number of images."""
    default = SEARCH.replace(epochs=None)
    _pretend(tmp_path / "run", default, done=30, steps=300)
    with pytest.raises(RunFolderError, match="begun with another data set"):
        _open(tmp_path / "run", default, steps=290, data_set="other")


@given(
    kind=st.sampled_from(["constant", "plateau", "cosine", "one_cycle", "step"]),
    way=st.sampled_from(["", "warmup", "warmup_steps"]),
    warmup=st.integers(1, 40),
    shape=st.sampled_from(["linear", "constant"]),
    length=st.integers(1, 4),
    more=st.integers(1, 3),
)
def test_what_is_not_bound_has_the_rates_of_a_shorter_run(kind, way, warmup, shape, length, more):
    values = {"kind": kind, "milestones": [10] if kind == "step" else [], "warmup_shape": shape}
    if way and kind != "one_cycle":
        values[way] = warmup
    recipe = Recipe.parse({"epochs": 50, "schedule": values}, "")
    if bound_to_length(TrainingSettings(recipe=recipe)) is not None:
        return
    short, long = (make_schedule(recipe, 0.1, n * STEPS, STEPS) for n in (length, length + more))
    for step in range(length * STEPS):
        assert float(short(step)) == float(long(step))


def test_every_setting_of_a_schedule_is_known_here():
    """A new one needs a decision: does a run of another length begin otherwise by it?"""

    def names(table):
        return set(table.model_fields)

    assert names(Schedule) == {
        *("kind", "warmup"),  # bound
        *("milestones", "final", "peak_at"),  # of bound kinds alone
        *("factor", "patience", "warmup_steps", "warmup_from", "warmup_shape", "warmup_error"),
    }
    assert names(Transfer) == {"unfreeze", "rate_decay"}
    free = {"name", "description", "source", "published", "notes", "batch_size", "ema", "network"}
    tables = {"optimizer", "schedule", "loss", "augmentation", "transfer"}
    bound = {"sizes", "ema_memory"}
    free |= {"min_epoch_steps"}  # of the batch
    length = {"epochs", "iterations", "min_steps"}
    assert names(Recipe) == length | free | tables | bound
    assert {field.name for field in dataclasses.fields(TrainingSettings)} >= {"epochs", "init"}
