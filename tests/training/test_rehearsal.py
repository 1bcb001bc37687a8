"""A dry run checks, says and estimates what a training would do, and writes nothing."""

import json

import pytest

from keras_resnets import ResNetConfig
from keras_resnets.data.load import missing_download
from keras_resnets.data.settings import DataSettings
from keras_resnets.errors import DataError, InputError, RunFolderError
from keras_resnets.run_folder import RunFolder
from keras_resnets.training import TrainingPlan, TrainingSettings
from keras_resnets.training.program import run_training
from keras_resnets.training.rehearsal import DRY, Rehearsal, rehearse, seconds_text

NETWORK = ResNetConfig(blocks=(1,), widths=(4,), strides=(2,), stem_width=4)
DATA = {"name": "keras_resnets_digits", "data_dir": None, "image_size": None, "flip": None}
CONSTANT = TrainingSettings(recipe="search", batch_size=128).set(
    **{"schedule.kind": "constant", "warmup": 0.0}
)


def _run(folder, lines=None, settings=CONSTANT, data=DATA, **options):
    print_fn = (lambda line: None) if lines is None else lines.append
    return run_training(NETWORK, data, settings, folder, print_fn, **options)


def test_the_estimate_adds_up():
    plan = TrainingPlan(10, 45)  # the fifth epoch ends early
    run = Rehearsal(plan=plan, start=3, steps=((0.0, 0.5), (0.5, 2.0)), validation=1)
    assert [run.epoch_seconds(epoch) for epoch in range(5)] == [6, 6, 21, 21, 11]
    assert (run.seconds(), run.steps_left()) == (68, 45)
    assert (run.seconds(3), run.steps_left(3)) == (35, 15)
    assert run.steps_left(5) == 0
    assert run.lines(3)[0].startswith("timed   500 ms, then 2 s a step")
    assert "about 0:35 for 2 epochs, 15 steps" in " ".join(run.lines(3))
    assert max(map(len, run.lines())) <= 80


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0123, "12.3 ms"), (1.44, "1.4 s"), (59.9, "60 s"), (61, "1:01")]
)
def test_seconds_in_words(seconds, text):
    assert seconds_text(seconds) == text


@pytest.mark.large
def test_nothing_is_written_and_the_numbers_are_the_plans(digits, tmp_path, tree):
    settings = CONSTANT.replace(epochs=7)
    lines = []
    found = _run(tmp_path / "run", lines, settings, dry_run=True, profile=True, tensorboard=True)
    assert tree(tmp_path) == {}
    plan = settings.plan(digits.sizes["train"])
    assert (found["epochs"], found["steps"]) == (plan.epochs, plan.steps) == (7, 63)
    assert found["seconds"] > found["steps"] * found["seconds_per_step"] > 0
    text = " ".join("\n".join(lines).split())
    assert "plan 7 epochs of 9 steps, batch 128" in text
    assert "for 7 epochs, 63 steps: an estimate" in text
    assert lines[-1] == DRY
    assert max(len(line) for line in "\n".join(lines).splitlines()) <= 80 + len(str(tmp_path))


@pytest.mark.large
def test_of_a_folder_that_is_begun_the_rest_is_told(tmp_path, tree):
    folder = tmp_path / "run"
    real = []
    _run(folder, real, CONSTANT.replace(epochs=1))
    before, lines = tree(folder), []
    assert _run(folder, lines, CONSTANT.replace(epochs=1), dry_run=True)["epochs"] == 0
    assert "is finished: nothing would be done" in " ".join(lines[-1].split())
    found = _run(folder, lines, CONSTANT.replace(epochs=3), dry_run=True)
    assert (found["epochs"], found["steps"]) == (2, 18)
    assert "1 epoch is done; 2 more" in lines
    for wrong in (CONSTANT.replace(epochs=1, seed=1), TrainingSettings(epochs=1)):
        with pytest.raises(RunFolderError, match="belongs to another train"):
            _run(folder, settings=wrong, dry_run=True)
    assert tree(folder) == before
    # What is said of the run is what a real one says.
    fresh = []
    _run(tmp_path / "new", fresh, CONSTANT.replace(epochs=1), dry_run=True)
    head = [line for line in fresh if not line.startswith(("timed", "time ", DRY))]
    assert [line.replace("/new", "/run") for line in head] == real[: len(head)]


@pytest.mark.large
def test_a_folder_in_use_is_refused(tmp_path, tree):
    settings = CONSTANT.replace(epochs=1)
    _run(tmp_path / "run", settings=settings)
    identity = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "summary.json").unlink()
    before = tree(tmp_path)
    with (
        RunFolder(tmp_path / "run", "train", identity["settings"]),
        pytest.raises(RunFolderError, match="in use by another process"),
    ):
        _run(tmp_path / "run", settings=settings, dry_run=True)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"all_data": True},
        {"accumulate": 2},
        {"class_weights": "balanced"},
        {"recipe": CONSTANT.recipe.set(mixup=0.2, sizes=[[0, 0.5], [0.5, 1]], ema=0.9)},
    ],
    ids=["all data", "accumulate", "class weights", "sizes, mixup, ema"],
)
@pytest.mark.large
def test_every_kind_of_training_can_be_timed(changes, digits):
    settings = CONSTANT.replace(epochs=2, **changes)
    found = rehearse(digits.adapt(NETWORK), digits, settings)
    assert len(found.steps) == len(settings.recipe.sizes)
    assert all(0 < step < found.start for _, step in found.steps)
    assert (found.validation == 0) == settings.all_data


def test_wrong_settings_are_refused_as_in_a_real_run(tmp_path, tree):
    for options in ({"settings": CONSTANT.replace(batch_size=9999)}, {"data": {"name": "./no"}}):
        with pytest.raises(InputError):
            _run(tmp_path / "run", dry_run=True, **options)
    assert tree(tmp_path) == {}


def test_what_would_be_downloaded_is_told_and_not_downloaded(tmp_path, tree):
    place, lines = tmp_path / "tfds", []
    place.mkdir()
    data = {**DATA, "name": "cifar10", "data_dir": str(place)}
    assert _run(tmp_path / "run", lines, data=data, dry_run=True) == {}
    assert tree(tmp_path) == {"tfds": None}
    assert lines[0].startswith("would begin by downloading data set cifar10, ")
    assert str(place) in lines[0]
    assert lines[-1] == DRY
    with pytest.raises(DataError, match="--no-download"):
        _run(tmp_path / "run", data={**data, "download": False}, dry_run=True)
    assert missing_download(DataSettings()) is None
    assert missing_download(DataSettings(dataset=str(place))) is None
