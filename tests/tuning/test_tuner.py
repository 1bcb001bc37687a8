import json
import math
from pathlib import Path

import keras_tuner
import pytest
from tiers import matrix

from keras_resnets.errors import RunError, RunFolderError
from keras_resnets.models.families import ResNetConfig
from keras_resnets.tuning import SearchSettings, SearchSpace, make_oracle
from keras_resnets.tuning.journal import Journal
from keras_resnets.tuning.tuner import SearchTuner
from keras_resnets.tuning.worker import WorkerError

BASE = ResNetConfig(input_shape=(8, 8, 1))


class Pretender:
    """Runs jobs in no time: scores follow from the job; some jobs go wrong."""

    def __init__(self, wrong=None):
        self.jobs = []
        self.wrong = wrong or {}

    def run(self, job, on_epoch=None):
        self.jobs.append(job)
        wrong = self.wrong.get(len(self.jobs) - 1)
        if isinstance(wrong, BaseException):
            raise wrong
        if "checkpoint" in job:  # what a training leaves for Hyperband
            path = Path(job["checkpoint"])
            path.parent.mkdir(exist_ok=True)
            path.write_text("weights")
            path.with_suffix(".json").write_text("[]")
        score = (
            1
            - abs(job["settings"]["recipe"]["optimizer"]["learning_rate"] - 0.1)
            - 0.01 / job["until"]
        )
        row = {"epoch": job["until"], "loss": 0.5, "val_loss": math.inf, "val_accuracy": score}
        if wrong == "diverged":
            row["loss"] = math.nan
        return {"history": [row], "diverged": wrong == "diverged"}


def run(folder, worker, first_trials=None, announced=None, **settings):
    """Run the trials of a search; return its journal, oracle and the rows it announced."""
    settings = SearchSettings(**{"trials": 5, "epochs": 12, "seed": 0, **settings})
    hyperparameters = keras_tuner.HyperParameters()
    settings.space.declare(hyperparameters)
    oracle = make_oracle(
        settings.tuner,
        hyperparameters,
        lambda values: True,
        trials=settings.trials,
        epochs=settings.epochs,
        seed=settings.seed,
        first_trials=first_trials,
    )
    journal, announced = Journal(folder), [] if announced is None else announced
    SearchTuner(oracle, settings, BASE, journal, worker, announced.append, folder).search()
    return journal, oracle, announced


def outcome(journal):
    return [{k: v for k, v in trial.items() if k != "seconds"} for trial in journal.trials]


@pytest.mark.parametrize("tuner", ["random", "hyperband", "bayesian"])
@pytest.mark.parametrize("after", [0, 2, 4])
@pytest.mark.sampled(3)
def test_an_interrupted_search_goes_on_where_it_was(tmp_path, tuner, after):
    settings = {"tuner": tuner}
    whole, _, announced = run(tmp_path / "whole", Pretender(), **settings)
    assert len(announced) == len(whole) >= 5
    stop = Pretender({after: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", stop, **settings)
    rest = Pretender()
    journal, _, announced = run(tmp_path / "cut", rest, **settings)
    assert len(rest.jobs) == len(announced) == len(whole) - after  # none is run twice
    assert outcome(journal) == outcome(whole)


@pytest.mark.parametrize("tuner", matrix(["random", "bayesian"], ["random"], gate=["random"]))
def test_a_longer_search_is_that_of_one_go(tmp_path, tuner):
    """From 9 to 12 trials keras-tuner's ids are longer, and Bayesian search begins otherwise."""
    whole, _, _ = run(tmp_path / "whole", Pretender(), 9, tuner=tuner, trials=12)
    short, _, _ = run(tmp_path / "grown", Pretender(), tuner=tuner, trials=9)
    rest = Pretender()
    grown, _, announced = run(tmp_path / "grown", rest, 9, tuner=tuner, trials=12)
    assert outcome(short) == outcome(whole)[:9]
    assert len(rest.jobs) == len(announced) == 3
    assert outcome(grown) == outcome(whole)
    assert [row["id"] for row in grown.trials] == [f"{number:02d}" for number in range(12)]


def test_a_row_says_what_was_trained(tmp_path):
    worker = Pretender()
    journal, _, announced = run(tmp_path, worker, trials=3)
    for job, row in zip(worker.jobs, announced, strict=True):
        config = SearchSpace().config(row["values"], BASE)
        assert job["config"] == row["config"] == config.to_dict()
        assert (row["depth"], row["epochs"], row["status"]) == (config.depth, 12, "ok")
        assert job["settings"]["recipe"]["optimizer"]["learning_rate"] == row["learning_rate"]
        assert job["settings"]["seed"] == 0
    assert announced == journal.trials


def test_hyperband_goes_on_with_a_promoted_candidate(tmp_path):
    worker = Pretender()
    _, _, announced = run(tmp_path, worker, tuner="hyperband")
    promoted = [
        (job, row) for job, row in zip(worker.jobs, announced, strict=True) if "start" in job
    ]
    assert promoted
    for job, row in promoted:
        assert Path(job["start"]).stem == row["values"]["tuner/trial_id"]
        assert (job["until"], job["settings"]["epochs"]) == (12, 12)


def test_a_diverged_candidate_is_never_promoted_before_a_sound_one(tmp_path):
    worker = Pretender({0: "diverged"})
    journal, oracle, _ = run(tmp_path, worker, tuner="hyperband")
    first = journal.trials[0]
    assert (first["status"], first["history"][0]["loss"]) == ("diverged", None)
    assert oracle.trials[first["id"]].score == 0
    assert all(t["values"].get("tuner/trial_id") != first["id"] for t in journal.trials)


def test_the_journal_is_strict_json(tmp_path):
    run(tmp_path, Pretender({0: "diverged"}), trials=1)

    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    (path,) = (tmp_path / "trials").glob("*.json")
    json.loads(path.read_text(), parse_constant=refuse)


def test_a_failed_trial_is_recorded_and_the_search_goes_on(tmp_path):
    journal, oracle, _ = run(tmp_path, Pretender({1: WorkerError("it died")}))
    assert [row["status"] for row in journal.trials] == ["ok", "failed", "ok", "ok", "ok"]
    failed = journal.trials[1]
    assert (failed["message"], failed["val_accuracy"], failed["history"]) == ("it died", None, [])
    # To keras-tuner it is the worst of trials: a failed one would print a traceback.
    known = oracle.trials[str(int(failed["id"]))]
    assert (known.status, known.score) == ("COMPLETED", 0)


def test_three_failures_after_a_success_do_not_end_a_search(tmp_path):
    journal, _, _ = run(tmp_path, Pretender({i: WorkerError("no") for i in range(1, 5)}))
    assert [row["status"] for row in journal.trials] == ["ok"] + ["failed"] * 4


def test_a_search_in_which_everything_fails_ends_after_three(tmp_path):
    worker = Pretender({i: WorkerError(f"no {i}") for i in range(5)})
    with pytest.raises(RunError, match="every trial failed; the last one: no 2"):
        run(tmp_path, worker)
    assert len(worker.jobs) == 3


def test_trials_of_another_search_are_refused(tmp_path):
    run(tmp_path, Pretender(), seed=0)
    with pytest.raises(RunFolderError, match="another search"):
        run(tmp_path, Pretender(), seed=1)


def test_an_error_of_the_disk_is_no_failed_trial(tmp_path, monkeypatch):
    def full(self, trial):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "add", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, Pretender())
