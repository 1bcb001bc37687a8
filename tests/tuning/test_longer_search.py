"""A finished search can be made longer: trials are kept, and the winner where it wins again."""

import importlib
import json
from pathlib import Path

import keras
import pytest

from keras_resnets import config_from_dict, create_model
from keras_resnets.analysis.runs import read_run
from keras_resnets.errors import RunFolderError
from keras_resnets.export.verify import Verification
from keras_resnets.state import read_state
from keras_resnets.tuning import SearchSettings
from keras_resnets.tuning.winner import DELIVERED

program = importlib.import_module("keras_resnets.tuning.search")  # the function hides its module


class Stage:
    """Stands for what takes long: workers' trainings, exports, the page; may stop at one of them.

    Attributes:
        best: Number of the best of the proposals, in the order in which they are first seen.
        done: What has been done, by name.
        stop: Name of what the run is interrupted before.
    """

    def __init__(self, monkeypatch):
        self.best, self.rates, self.done, self.stop = 1, [], [], None
        monkeypatch.setattr(program, "Worker", lambda *args: self)
        monkeypatch.setattr(program, "export_saved_model", self._export)
        monkeypatch.setattr(program, "export_tflite", self._export)
        monkeypatch.setattr(program, "write_report", self._report)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def start(self):
        pass

    def _do(self, name):
        if name == self.stop:
            self.stop = None
            raise KeyboardInterrupt
        self.done.append(name)

    def run(self, job, on_epoch=None):
        rate = job["settings"]["recipe"]["optimizer"]["learning_rate"]
        if rate not in self.rates:
            self.rates.append(rate)
        score = 1 - 0.1 * abs(self.rates.index(rate) - self.best)
        row = {"loss": 0.5, "accuracy": score, "val_loss": 0.5, "val_accuracy": score}
        row |= {"learning_rate": rate, "seconds": 0.1}
        if "until" in job:
            self._do("trial")
            return {"history": [{**row, "epoch": job["until"]}], "diverged": False}
        path, config = Path(job["checkpoint"]), config_from_dict(job["config"])
        if path.exists():
            assert keras.saving.load_model(path).config == config  # not another winner's
        else:
            create_model(config).save(path)
        self._do("winner")
        epochs = range(1, job["settings"]["epochs"] + 1)
        return {"history": [{**row, "epoch": epoch} for epoch in epochs], "diverged": False}

    def _export(self, model, path, images):
        self._do(Path(path).name)
        path.mkdir(exist_ok=True) if path.suffix == "" else path.touch()
        return Verification("any", str(path.name), 1, len(images), 0.0, 1.0)

    def _report(self, path, summary, history):
        self._do("report")
        path.write_text(json.dumps([summary["winner"]["trial"], len(history)]))


@pytest.fixture
def stage(monkeypatch):
    return Stage(monkeypatch)


def _search(folder, tiny_space, lines=None, **settings):
    settings = {"trials": 3, "epochs": 2, "final_epochs": 2, "space": tiny_space, **settings}
    print_fn = (lambda line: None) if lines is None else lines.append
    return program.search(SearchSettings(**settings), folder, print_fn).summary


def _untimed(value):
    """Return a summary without what a clock or random first weights say."""
    if isinstance(value, dict):
        free = ("seconds", "test_accuracy")
        return {k: _untimed(v) for k, v in value.items() if k not in free}
    return [_untimed(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def whole(tiny_space, tmp_path_factory):
    """Summaries of searches of five trials in one go, by the best of them."""
    with pytest.MonkeyPatch.context() as patch:
        stage, summaries = Stage(patch), {}
        for stage.best in (1, 4):
            folder = tmp_path_factory.mktemp("whole")
            summaries[stage.best] = _search(folder, tiny_space, trials=5)
    return summaries


WINNER = ["winner", "saved_model", "model.tflite"]


@pytest.mark.parametrize("best", [1, 4], ids=["wins again", "another wins"])
@pytest.mark.large
def test_more_trials_give_the_search_of_one_go(best, whole, stage, tiny_space, tmp_path, tree):
    stage.best = best
    folder, lines = tmp_path / "grown", []
    _search(folder, tiny_space)
    before = tree(folder)
    stage.done.clear()
    grown = _search(folder, tiny_space, lines, trials=5)
    assert _untimed(grown) == _untimed(whole[best])
    assert "3 of 5 trials are done" in lines
    again = best == 1
    assert stage.done == ["trial"] * 2 + ([] if again else WINNER) + ["report"]
    after = tree(folder)
    for name in (*DELIVERED, "winner.json"):
        if not name.endswith("/") and name != "model.tflite":  # whose stand-in is empty
            assert (after[name] == before[name]) is again
    kept = [f"trials/0{number}.json" for number in range(3)]
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert grown["winner"]["trial"] == f"0{best}"
    assert json.loads((folder / "report.html").read_text()) == [f"0{best}", 2]
    assert read_state(folder / "summary.json") == json.loads(json.dumps(grown))
    assert not list(folder.glob("winner-*"))


@pytest.mark.parametrize("stop", ["trial", "winner", "saved_model", "report"])
@pytest.mark.sampled(1)
def test_interrupted_anywhere_the_same_command_ends_it(stop, whole, stage, tiny_space, tmp_path):
    """The first search is interrupted in its winner's training, and then made longer."""
    stage.best, folder = 4, tmp_path / "grown"
    for trials, moment in ((3, "winner"), (5, stop)):
        stage.stop = moment
        with pytest.raises(KeyboardInterrupt):
            _search(folder, tiny_space, trials=trials)
        assert not (folder / "summary.json").exists()
    grown = _search(folder, tiny_space, trials=5)
    assert _untimed(grown) == _untimed(whole[4])


@pytest.mark.large
def test_a_longer_last_training_keeps_the_trials(stage, tiny_space, tmp_path):
    _search(tmp_path / "run", tiny_space)
    stage.done.clear()
    summary = _search(tmp_path / "run", tiny_space, final_epochs=4)
    assert stage.done == [*WINNER, "report"]
    assert summary["settings"]["final_epochs"] == 4
    assert len(json.loads((tmp_path / "run" / "winner.json").read_text())["history"]) == 4


@pytest.mark.large
def test_default_lengths_follow_the_data_and_are_compared_as_numbers(stage, tiny_space, tmp_path):
    """The digits are enough for 12 epochs and 40; the run keeps what was given: nothing."""
    default = {"epochs": None, "final_epochs": None}
    summary = _search(tmp_path / "run", tiny_space, **default)
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["settings"]["epochs"] is run["settings"]["final_epochs"] is None
    assert run["planned"] == {"epochs": 12, "final_epochs": 40, "trials": 3}
    for name, value in (("epochs", 12), ("final_epochs", 40), ("batch_size", 64)):
        assert summary["settings"][name] == value
    lines = []
    _search(tmp_path / "run", tiny_space, lines, epochs=12, final_epochs=40)
    assert "is finished" in " ".join(lines[0].split())
    stage.done.clear()
    _search(tmp_path / "run", tiny_space, trials=4, **default)
    assert stage.done == ["trial", "report"]
    with pytest.raises(RunFolderError, match="has trials of epochs=12, "):
        _search(tmp_path / "run", tiny_space, epochs=13, final_epochs=None)
    read = read_run(tmp_path / "run")
    assert read.planned_epochs == 40


@pytest.mark.large
def test_hyperband_has_its_own_number_of_trials(stage, tiny_space, tmp_path):
    tuner = {"tuner": "hyperband", "epochs": 4}
    summary, lines = json.loads(json.dumps(_search(tmp_path / "run", tiny_space, **tuner))), []
    assert _search(tmp_path / "run", tiny_space, lines, trials=30, **tuner) == summary
    assert "is finished" in " ".join(lines[0].split())


def test_a_refusal_names_the_setting_and_writes_nothing(stage, tiny_space, tmp_path, tree):
    _search(tmp_path / "run", tiny_space)
    before = tree(tmp_path)
    for changes, message in (
        ({"trials": 2}, "has 3 trials done, more than trials=2: use another"),
        ({"epochs": 3}, "has trials of epochs=2, .*`schedule.kind`='cosine'"),
        ({"epochs": 1}, "has trials of epochs=2, "),
        ({"final_epochs": 1}, "a winner trained for 2 epochs, more than final_epochs=1"),
        ({"trials": 5, "seed": 1}, "there seed=0, here seed=1"),
    ):
        with pytest.raises(RunFolderError, match=message):
            _search(tmp_path / "run", tiny_space, **changes)
        assert tree(tmp_path) == before


@pytest.mark.large
def test_a_record_never_stands_beside_another_winners_files(stage, tiny_space, tmp_path):
    _search(tmp_path / "run", tiny_space)
    stage.stop = "saved_model"
    with pytest.raises(KeyboardInterrupt):
        _search(tmp_path / "run", tiny_space, final_epochs=4)
    stage.done.clear()
    _search(tmp_path / "run", tiny_space)  # the shorter one again: its model has been written over
    assert stage.done == [*WINNER, "report"]
