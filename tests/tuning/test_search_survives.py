"""A search whose folder is deleted, damaged or littered, and whose trials fail for a time."""

import shutil
import tempfile
from pathlib import Path

import pytest
from power_loss import Disk
from test_longer_search import WINNER, Stage, _search, _untimed, program
from test_tuner import Pretender, outcome, run

from keras_resnets.errors import ConfigError, InputError, MachineError, RunError
from keras_resnets.run_folder import RunFolder
from keras_resnets.state import read_state
from keras_resnets.tuning import SearchSettings
from keras_resnets.tuning.journal import Journal
from keras_resnets.tuning.worker import WorkerDied


class Hooked(Stage):
    """A stage whose actions may do something else first."""

    hook = staticmethod(lambda name: None)

    def _do(self, name):
        self.hook(name)
        super()._do(name)


@pytest.fixture
def stage(monkeypatch):
    return Hooked(monkeypatch)


@pytest.fixture(scope="module")
def whole(tiny_space, tmp_path_factory):
    """A finished search of three trials and its summary."""
    with pytest.MonkeyPatch.context() as patch:
        Stage(patch)
        folder = tmp_path_factory.mktemp("whole") / "run"
        return folder, _search(folder, tiny_space)


@pytest.fixture
def finished(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    "moment",
    [
        "trial",
        *(pytest.param(m, marks=pytest.mark.large) for m in ("winner", "saved_model", "report")),
    ],
)
def test_a_folder_deleted_under_way_is_one_line(moment, stage, tiny_space, tmp_path):
    folder = tmp_path / "run"

    def delete(name):
        if name == moment:
            shutil.rmtree(folder)

    stage.hook = delete
    with pytest.raises(RunError, match="was deleted while the command wrote to it") as caught:
        _search(folder, tiny_space)
    assert not isinstance(caught.value, InputError)
    assert not folder.exists()


@pytest.mark.large
def test_the_summary_says_what_it_was_computed_with(whole, digits):
    found = whole[1]["environment"]
    assert set(found["versions"]) >= {"keras_resnets", "python", "keras", "tensorflow", "numpy"}
    assert all(found["versions"].values())
    assert found["threads"]["cpus"] >= 1
    assert found["device"]
    assert whole[1]["data"]["fingerprint"] == digits.fingerprint
    assert read_state(whole[0] / "summary.json")["environment"] == found


def test_a_damaged_summary_is_written_again_from_the_trials(whole, finished, stage, tiny_space):
    (finished / "summary.json").write_text("[]")
    lines = []
    again = _search(finished, tiny_space, lines)
    assert any(line.startswith("summary.json is damaged (") for line in lines)
    assert stage.done == ["report"]
    assert _untimed(again) == _untimed(whole[1])


@pytest.mark.large
def test_a_damaged_record_of_the_winner_has_it_trained_again(whole, finished, stage, tiny_space):
    for name in ("summary.json", "winner.json"):
        (finished / name).write_text("{}x")
    stage.best = 0  # the first that is seen now
    again = _search(finished, tiny_space)
    assert stage.done == [*WINNER, "report"]
    assert _untimed(again) == _untimed(whole[1])


def test_a_damaged_trial_is_told(whole, finished, stage, tiny_space):
    path = finished / "trials" / "01.json"
    path.write_text(path.read_text()[:-40])
    (finished / "summary.json").unlink()
    lines, stage.best = [], 0  # the first that is seen now
    again = _search(finished, tiny_space, lines)
    assert any(line.startswith("trials/01.json is damaged (") for line in lines)
    assert stage.done == ["trial", "report"]
    assert _untimed(again)["winner"] == _untimed(whole[1])["winner"]


def test_stray_files_stay_and_change_nothing(whole, finished, stage, tiny_space):
    strays = ("winner-notes.checkpoint.txt", "trials/00 (copy).json", "photos/.DS_Store")
    for name in strays:
        (finished / name).parent.mkdir(exist_ok=True)
        (finished / name).touch()
    (finished / "summary.json").unlink()
    assert _untimed(_search(finished, tiny_space)) == _untimed(whole[1])
    assert stage.done == ["report"]
    assert all((finished / name).exists() for name in strays)


@pytest.mark.large
def test_a_finished_search_tries_its_failed_trials_again(whole, stage, tiny_space, tmp_path):
    deaths = iter([False, *[True] * 3, *[False] * 9])

    def die(name):
        if name == "trial" and next(deaths):
            raise WorkerDied("the training process died of signal 9 (Killed)")

    stage.hook = die
    lines = []
    first = _search(tmp_path / "run", tiny_space, lines)
    assert [row["status"] for row in first["trials"]] == ["ok", "failed", "ok"]
    assert sum("given out again" in " ".join(line.split()) for line in lines) == 2
    assert "1 trial failed: the same command tries again" in lines
    again = _search(tmp_path / "run", tiny_space)
    assert [row["status"] for row in again["trials"]] == ["ok", "ok", "ok"]
    assert again["winner"]["val_accuracy"] == whole[1]["winner"]["val_accuracy"]
    stage.done.clear()
    assert _search(tmp_path / "run", tiny_space) == read_state(tmp_path / "run" / "summary.json")
    assert stage.done == []


def test_a_dead_process_in_the_winners_training_is_replaced(whole, stage, tiny_space, tmp_path):
    deaths = iter([True, True, False])

    def die(name):
        if name == "winner" and next(deaths):
            raise WorkerDied("signal 9")

    stage.hook = die
    assert _untimed(_search(tmp_path / "run", tiny_space)) == _untimed(whole[1])


@pytest.mark.parametrize(
    "moment",
    ["trial", *(pytest.param(m, marks=pytest.mark.large) for m in ("winner", "saved_model"))],
)
@pytest.mark.sampled(1)
def test_a_full_disk_stops_the_search_which_resumes(moment, whole, stage, tiny_space, tmp_path):
    full = iter([True])

    def fill(name):
        if name == moment and next(full, False):
            raise OSError(28, "No space left on device", "trial.json")

    stage.hook = fill
    with pytest.raises(MachineError, match=r"No space left.*the same command resumes"):
        _search(tmp_path / "run", tiny_space)
    assert _untimed(_search(tmp_path / "run", tiny_space)) == _untimed(whole[1])


def test_a_timeout_is_no_part_of_what_a_search_is(whole, finished, stage, tiny_space):
    settings = {"trials": 3, "epochs": 2, "final_epochs": 2, "space": tiny_space}
    again = program.search(SearchSettings(**settings), finished, str, trial_timeout=5)
    assert _untimed(again.summary) == _untimed(read_state(finished / "summary.json"))
    for wrong in (0, -1, "long", True):
        with pytest.raises(ConfigError, match="`trial_timeout` must be None or a positive number"):
            program.search(SearchSettings(**settings), finished, str, trial_timeout=wrong)


@pytest.mark.large
def test_no_temporary_files_are_left(stage, tiny_space, tmp_path):
    seen = []
    stage.hook = lambda name: seen.append(tempfile.gettempdir())
    _search(tmp_path / "run", tiny_space)
    assert {Path(place) for place in seen} == {tmp_path / "run" / ".tmp"}
    assert not (tmp_path / "run" / ".tmp").exists()


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(n, marks=pytest.mark.large) for n in (1, 2, 3))]
)
def test_power_may_fail_anywhere_in_a_search(first, tmp_path, monkeypatch):
    """A quarter of the moments each; the trials whose end was announced are there afterwards."""
    whole, _, _ = run(tmp_path / "whole", Pretender(), trials=3)
    (tmp_path / "spare").mkdir()
    (tmp_path / "disk").mkdir()
    disk = Disk(tmp_path / "disk", monkeypatch, tmp_path / "spare")
    for moment in range(first, 1000, 4):
        path = tmp_path / "disk" / f"{moment}"
        announced = []
        with disk.until(moment), RunFolder(path, "search", {}):
            run(path, Pretender(), announced=announced, trials=3)
        ends = len(announced)
        with RunFolder(path, "search", {}) as folder:
            kept = [row["id"] for row in Journal(path).trials]
            assert kept[:ends] == [row["id"] for row in announced]
            assert folder.damage == Journal(path).damage == []
            journal, _, _ = run(path, Pretender(), trials=3)
        assert outcome(journal) == outcome(whole)
        if ends == 3:
            return
    pytest.fail("the power never held")
