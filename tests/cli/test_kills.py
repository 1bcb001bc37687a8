"""Real commands, killed at drawn moments: nothing that is finished is lost, and numbers stay."""

import csv
import os
import random
import shlex
import signal
import tempfile
import time
from pathlib import Path

import pytest
from test_search_command import SEARCH, check_each_trial_once, outcome

from keras_resnets.state import read_state

TRAIN = shlex.split(
    "train resnet8_cifar --recipe search --set ema=0.9 --epochs 8 --batch-size 256 --run-dir run"
)
KILLS = 10
"""Of each command: twenty in all."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def _trained(home):
    summary = read_state(home / "run" / "summary.json")
    with (home / "run" / "history.csv").open() as file:
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    return rows, {k: v for k, v in summary.items() if k != "seconds"}


COMMANDS = {
    "train": (TRAIN, "on CPU", _trained, lambda home: _epochs(home)),
    "search": (SEARCH, "folder", outcome, lambda home: len(_trials(home))),
}


def _epochs(home):
    from keras_resnets.training.generations import find_generations

    return find_generations(home / "run" / "checkpoint.keras").epochs


def _trials(home):
    return list((home / "run" / "trials").glob("[0-9]*.json"))


@pytest.fixture(scope="module", params=COMMANDS)
def whole(request, start, tmp_path_factory):
    """A command, what it comes to undisturbed, and the seconds from its first lines on."""
    arguments, line, result, _ = COMMANDS[request.param]
    home = tmp_path_factory.mktemp("whole")
    command = start(*arguments, cwd=home)
    command.wait_for(line, timeout=600)
    began = time.monotonic()
    command.end(timeout=1200).check()
    return request.param, result(home), time.monotonic() - began


def test_killed_at_ten_drawn_moments(whole, start, run, tmp_path):
    name, expected, took = whole
    arguments, line, result, done = COMMANDS[name]
    system = tmp_path / "system"
    system.mkdir()
    moments, before = random.Random(name), 0
    for _ in range(KILLS):
        command = start(*arguments, cwd=tmp_path, environment={"TMPDIR": str(system)})
        if moments.random() < 0.8:  # the rest is killed while it starts
            command.wait_for(line, timeout=600)
            time.sleep(moments.uniform(0, 0.8 * took))
        else:
            time.sleep(moments.uniform(0, 10))
        command.signal(signal.SIGKILL)
        command.end(timeout=60)
        now = done(tmp_path) if (tmp_path / "run").is_dir() else 0
        if (tmp_path / "run" / "summary.json").exists():
            break
        assert now >= before
        before = now
        assert len(list(system.iterdir())) <= 2  # one that was killed, and its neighbour's
    run(*arguments, cwd=tmp_path, environment={"TMPDIR": str(system)}, timeout=1200).check()
    assert result(tmp_path) == expected
    assert list(system.iterdir()) == []
    if name == "search":
        check_each_trial_once(tmp_path, len(expected[0]))


def _children(pid):
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            yield int(stat.parent.name)


def _workers(pid):
    return [child for child in _children(pid) if b"worker" in _command(child)]


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def searched(start, tmp_path_factory):
    home = tmp_path_factory.mktemp("searched")
    start(*SEARCH, cwd=home).end(timeout=1200).check()
    return outcome(home)


def test_the_worker_alone_is_killed_and_stopped(searched, start, tmp_path):
    """Killed in a trial, and stopped, which is how a hung one looks, in the winner's training."""
    command = start(*SEARCH, "--trial-timeout", 60, cwd=tmp_path)
    command.wait_for("folder", timeout=600)
    (worker,) = _workers(command.process.pid)
    time.sleep(3)
    os.kill(worker, signal.SIGKILL)
    command.wait_for("epoch 1/2", timeout=900)
    (worker,) = _workers(command.process.pid)
    os.kill(worker, signal.SIGSTOP)
    ended = command.end(timeout=1200).check()
    text = " ".join(ended.out.split())
    assert "died of signal 9 (Killed)" in text
    assert "made no step for 60 s" in text
    assert text.count("given out again") == 2
    assert outcome(tmp_path) == searched


def test_ctrl_c_and_again(searched, start, run, tmp_path):
    for wait in ("folder", "2/3"):
        command = start(*SEARCH, cwd=tmp_path)
        command.wait_for(wait, timeout=600)
        command.signal(signal.SIGINT)
        ended = command.end(timeout=60)
        assert (ended.code, ended.err.count("\n")) == (130, 1)
    run(*SEARCH, cwd=tmp_path, timeout=1200).check()
    assert outcome(tmp_path) == searched


def test_the_test_suites_own_processes_have_a_folder_of_their_own():
    assert os.environ["TMPDIR"] != tempfile.gettempdir()
