"""What the machine does to a worker is no candidate's result: the job is given out again."""

import json
import stat
import sys
import time
from pathlib import Path

import pytest
from test_tuner import Pretender, outcome, run

from keras_resnets.errors import DataError, MachineError, RunError
from keras_resnets.tuning import worker as worker_module
from keras_resnets.tuning.journal import Journal
from keras_resnets.tuning.worker import Worker, WorkerDied, WorkerError, _kind_of, run_again

INNER = """#!{python}
import json, os, signal, sys, tempfile, time
for line in sys.stdin:
    job = json.loads(line)
    place = job["count"]
    number = len(open(place).read()) if os.path.exists(place) else 0
    open(place, "a").write(".")
    act = job["acts"][min(number, len(job["acts"]) - 1)]
    tempfile.mkdtemp(suffix="tfds")
    def say(**message):
        print(json.dumps(message), flush=True)
    if act == "kill":
        say(epoch={{"seconds": 0.1}})
        sys.stdout.write('{{"resu')
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    elif act == "exit":
        os._exit(3)
    elif act == "hang":
        say(step=True)
        time.sleep(60)
    elif act == "slow":
        for _ in range(8):
            time.sleep(0.2)
            say(step=True)
        say(result=number)
    elif act == "damaged":
        say(damage="checkpoint.keras is damaged")
        say(result=number)
    elif act in ("machine", "memory", "job"):
        say(error="the reason", kind=act)
    else:
        say(result=number)
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """A worker whose inner side imports no TensorFlow, and does what the job says."""
    program = tmp_path / "inner"
    program.write_text(INNER.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    lines = []
    with Worker(tmp_path / "worker.log", 0.7, lines.append) as worker:
        worker.lines = lines
        yield worker


def job(tmp_path, *acts):
    return {"acts": acts, "count": str(tmp_path / "count")}


@pytest.mark.parametrize("act", ["kill", "exit", "hang"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_process_that_dies_or_hangs_costs_two_more_attempts_at_most(act, times, worker, tmp_path):
    lines = []
    asked = job(tmp_path, *[act] * times, "ok")
    if times < 3:
        assert run_again(worker, asked, "trial 07", lines.append) == times
    else:
        with pytest.raises(WorkerDied, match=r"\(3 attempts\)"):
            run_again(worker, asked, "trial 07", lines.append)
    assert len(lines) == min(times, 2)
    reason = {"kill": "signal 9", "exit": "exit code 3", "hang": "no step for"}[act]
    assert all(line.startswith("trial 07: ") and reason in line for line in lines)


def test_a_process_that_makes_steps_does_not_hang(worker, tmp_path):
    began = time.monotonic()
    assert worker.run(job(tmp_path, "slow")) == 0
    assert time.monotonic() - began > 0.7  # longer than the limit without a step


def test_by_default_it_hangs_after_ten_epochs_and_ten_minutes_at_least(worker, monkeypatch):
    waits = []

    class Lines:
        def get(self, timeout):
            waits.append(timeout)
            raise worker_module.queue.Empty

    clock = iter(range(0, 10**6, 5))
    monkeypatch.setattr(worker_module.time, "monotonic", lambda: next(clock))
    worker._lines = Lines()
    for given, makes_steps, longest, limit in (
        (None, True, 0.0, 600),
        (None, True, 3.0, 600),
        (None, False, 90.0, 900),
        (20, True, 90.0, 20),
        (20, False, 90.0, 600),  # to begin
        (3600, False, 0.0, 3600),
    ):
        waits.clear()
        worker._timeout, worker._longest_epoch = given, longest
        with pytest.raises(WorkerDied, match=f"no step for {limit} s .`trial_timeout`"):
            worker._next_line(worker._limit(makes_steps))
        assert sum(waits) == limit


def test_a_machine_that_was_asleep_has_not_waited(worker, monkeypatch):
    """The clock jumps by an hour: that is one wait, not hundreds."""
    gets = []

    class Lines:
        def get(self, timeout):
            gets.append(timeout)
            if len(gets) < 3:
                raise worker_module.queue.Empty
            return "line"

    clock = iter(range(0, 10**6, 3600))
    monkeypatch.setattr(worker_module.time, "monotonic", lambda: next(clock))
    worker._lines = Lines()
    assert worker._next_line(600) == "line"


def test_a_failure_of_the_machine_in_the_worker_is_not_the_jobs(worker, tmp_path):
    with pytest.raises(MachineError, match="the reason") as caught:
        run_again(worker, job(tmp_path, "machine"), "trial 07", pytest.fail)
    assert not isinstance(caught.value, WorkerError)


def test_an_error_of_the_jobs_own_is_not_tried_again(worker, tmp_path):
    worker.run(job(tmp_path, "ok"))
    pid = worker._process.pid
    for act, keeps in (("job", True), ("memory", False)):
        (tmp_path / "count").unlink(missing_ok=True)
        with pytest.raises(WorkerError, match="the reason"):
            run_again(worker, job(tmp_path, act), "trial 07", pytest.fail)
        assert (worker._process is not None and worker._process.pid == pid) is keeps


def test_what_the_worker_finds_damaged_is_said(worker, tmp_path):
    worker.run(job(tmp_path, "damaged"))
    assert worker.lines == ["checkpoint.keras is damaged"]


def test_a_killed_workers_temporary_files_go(worker, tmp_path):
    run_again(worker, job(tmp_path, "kill", "kill", "ok"), "trial 07", lambda line: None)
    scratch = tmp_path / ".tmp" / "worker"
    assert len(list(scratch.iterdir())) == 1  # those of the process that lives
    worker.close()
    assert not scratch.exists()


def _caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (OSError(28, "No space left on device"), "machine", "No space left"),
        (_caused(RunError("none"), OSError(5, "Input/output error")), "machine", "Input/output"),
        (DataError("'photos' does not exist"), "machine", "'photos' does not exist"),
        (MemoryError("too large"), "memory", "MemoryError: too large"),
        (ValueError("illegal"), "job", "ValueError: illegal"),
    ],
)
def test_whose_failure_an_error_is(error, kind, reason):
    found, line = _kind_of(error)
    assert found == kind
    assert reason in line


# The search.


def same(journal):
    return [{k: v for k, v in row.items() if k != "told"} for row in outcome(journal)]


@pytest.mark.parametrize("tuner", ["random", "hyperband", "bayesian"])
def test_deaths_change_nothing(tuner, tmp_path):
    whole, _, _ = run(tmp_path / "whole", Pretender(), tuner=tuner)
    deaths = {number: WorkerDied("signal 9") for number in (0, 2, 3, 6)}
    killed, _, _ = run(tmp_path / "killed", Pretender(deaths), tuner=tuner)
    assert outcome(killed) == outcome(whole)


def test_three_deaths_in_a_row_are_a_failure_with_its_reason(tmp_path):
    worker = Pretender({number: WorkerDied("signal 9") for number in (1, 2, 3)})
    journal, _, _ = run(tmp_path, worker)
    assert [row["status"] for row in journal.trials] == ["ok", "failed", "ok", "ok", "ok"]
    assert journal.trials[1]["message"] == "signal 9 (3 attempts)"


@pytest.mark.parametrize("tuner", ["random", "hyperband", "bayesian"])
@pytest.mark.parametrize("error", [MachineError("full"), OSError(28, "No space left on device")])
@pytest.mark.sampled(2)
def test_a_full_disk_stops_the_search_and_it_resumes(error, tuner, tmp_path):
    whole, _, _ = run(tmp_path / "whole", Pretender(), tuner=tuner)
    with pytest.raises(type(error)):
        run(tmp_path / "cut", Pretender({2: error}), tuner=tuner)
    assert [row["status"] for row in Journal(tmp_path / "cut").trials] == ["ok", "ok"]
    rest = Pretender()
    journal, _, _ = run(tmp_path / "cut", rest, tuner=tuner)
    assert len(rest.jobs) == len(whole) - 2
    assert outcome(journal) == outcome(whole)


@pytest.mark.parametrize("tuner", ["random", "hyperband", "bayesian"])
@pytest.mark.sampled(1)
def test_a_restart_tries_the_failed_ones_again(tuner, tmp_path):
    """Those behind a failure were proposed by its score, and are found again all the same."""
    whole, _, _ = run(tmp_path / "whole", Pretender(), tuner=tuner)
    first, _, _ = run(tmp_path / "run", Pretender({2: WorkerError("no memory")}), tuner=tuner)
    assert first.trials[2]["status"] == "failed"
    rest = Pretender()
    again, _, announced = run(tmp_path / "run", rest, tuner=tuner)
    assert [row["id"] for row in announced] == [first.trials[2]["id"]]
    row = again.trials[2]
    assert (row["status"], row["message"]) == ("ok", "")
    if tuner == "random":
        assert same(again) == outcome(whole)
    kept = [t for t in same(again) if t["id"] != row["id"]]
    assert kept == [t for t in outcome(first) if t["id"] != row["id"]]
    third, _, announced = run(tmp_path / "run", Pretender(), tuner=tuner)
    assert announced == []
    assert outcome(third) == outcome(again)


@pytest.mark.large
def test_a_failed_trial_that_nothing_followed_counts_as_if_it_had_never_failed(tmp_path):
    whole, _, _ = run(tmp_path / "whole", Pretender(), tuner="bayesian")
    stop = Pretender({3: WorkerError("no memory"), 4: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", stop, tuner="bayesian")
    journal, _, _ = run(tmp_path / "run", Pretender(), tuner="bayesian")
    assert outcome(journal) == outcome(whole)


DAMAGES = {
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: "[]",
    "another score": lambda text: text.replace('"val_accuracy": 0.', '"val_accuracy": 0.9'),
    "older, without a score": lambda text: _without(text, "val_accuracy"),
    "older, with a word for a number": lambda text: _without(text, "seconds", "long"),
}


def _without(text, name, value=None):
    values = json.loads(text)
    del values["checksum"]
    return json.dumps({**values, name: value})


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_trial_is_told_and_run_again(damage, tmp_path):
    whole, _, _ = run(tmp_path, Pretender())
    path = tmp_path / "trials" / "02.json"
    text = path.read_text()
    path.write_text(DAMAGES[damage](text))
    assert path.read_text() != text
    (line,) = Journal(tmp_path).damage
    assert line.startswith("trials/02.json is damaged (")
    rest = Pretender()
    again, _, _ = run(tmp_path, rest)
    assert len(rest.jobs) == 1
    assert outcome(again) == outcome(whole)
    assert Journal(tmp_path).damage == []


def test_stray_files_among_the_trials_are_ignored(tmp_path):
    whole, _, _ = run(tmp_path, Pretender())
    for name in ("foo.txt", "00 (copy).json", ".DS_Store", "02.json~", "best.json"):
        (tmp_path / "trials" / name).write_text("[]")
    (tmp_path / "trials" / "09.json").mkdir()
    again, _, announced = run(tmp_path, Pretender())
    assert announced == []
    assert outcome(again) == outcome(whole)


def test_an_older_versions_trials_are_kept(tmp_path):
    whole, _, _ = run(tmp_path, Pretender())
    for path in Path(tmp_path, "trials").iterdir():
        values = json.loads(path.read_text())
        del values["checksum"]
        path.write_text(json.dumps(values))
    again, _, announced = run(tmp_path, Pretender())
    assert announced == []
    assert outcome(again) == outcome(whole)
