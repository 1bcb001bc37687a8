import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keras_resnets.models.families import ResNetConfig
from keras_resnets.tuning import worker as worker_module
from keras_resnets.tuning.worker import Worker, WorkerError

CONFIG = ResNetConfig(
    input_shape=(8, 8, 1), blocks=(1,), widths=(4,), stem_width=4, input_mean=(80,), input_std=(90,)
)
DATA = {"name": "keras_resnets_digits"}


def job(**changes):
    settings = {"epochs": 2, "batch_size": 512, "seed": 0}
    return {"config": CONFIG.to_dict(), "data": DATA, "settings": settings, **changes}


BAD_JOB = {"config": {}, "data": DATA, "settings": {}}


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def gone(pid):
    """Whether a process has ended; one that nobody waits for counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.timeout(120)
@pytest.mark.large
def test_jobs_errors_and_a_death(tmp_path):
    with Worker(tmp_path / "worker.log") as worker:
        epochs = []
        result = worker.run(job(), epochs.append)
        assert result["history"] == epochs
        assert [row["epoch"] for row in epochs] == [1, 2]
        assert result["diverged"] is False
        pid = worker._process.pid

        with pytest.raises(WorkerError, match="ConfigError: `family` must be"):
            worker.run(BAD_JOB)
        assert worker._process.pid == pid  # an error does not cost the process
        assert "Traceback" in (tmp_path / "worker.log").read_text()

        def kill(row):
            os.kill(worker._process.pid, signal.SIGKILL)

        with pytest.raises(WorkerError, match=r"signal 9 .*worker\.log"):
            worker.run(job(), kill)

        again = worker.run(job())  # in a new process, and the same numbers
        assert worker._process.pid != pid
        keep = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
        assert [[row[k] for k in keep] for row in again["history"]] == [
            [row[k] for k in keep] for row in epochs
        ]
        pid = worker._process.pid
    wait_until(lambda: gone(pid))


@pytest.mark.timeout(120)
@pytest.mark.large
def test_the_process_is_replaced_after_some_jobs(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_module, "_JOBS", 2)
    pids = []
    with Worker(tmp_path / "worker.log") as worker:
        for _ in range(3):
            with pytest.raises(WorkerError):
                worker.run(BAD_JOB)
            pids.append(worker._process.pid)
    assert pids[0] == pids[1] != pids[2]


@pytest.mark.timeout(60)
def test_the_process_dies_with_its_parent_in_the_midst_of_a_job(tmp_path):
    program = (
        "import json, sys\n"
        "from keras_resnets.tuning.worker import Worker\n"
        "worker = Worker(sys.argv[1])\n"
        "worker.start()\n"
        "print(worker._process.pid, flush=True)\n"
        "worker.run(json.loads(sys.argv[2]))\n"
    )
    deep = ResNetConfig(input_shape=(8, 8, 1), blocks=(9, 9, 9)).to_dict()
    long = job(config=deep, settings={"epochs": 9, "batch_size": 1})  # an epoch takes a minute
    arguments = [sys.executable, "-c", program, str(tmp_path / "worker.log"), json.dumps(long)]
    parent = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    time.sleep(1)
    assert not gone(pid)
    parent.kill()
    parent.communicate(timeout=10)
    wait_until(lambda: gone(pid))
