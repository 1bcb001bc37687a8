"""Where the time goes is measured on what would be trained."""

import csv

import pytest

from keras_resnets.errors import RunError
from keras_resnets.training import TrainingSettings
from keras_resnets.training.profiling import operation_times, profile_training


def test_a_training_is_profiled(tiny_config, few_digits, tmp_path):
    settings = TrainingSettings(batch_size=32)
    profile = profile_training(tiny_config, few_digits, settings, steps=3, rounds=1)
    assert min(profile.pipeline, profile.memory, profile.training) > 0
    calls = {row.operation: row.calls for row in profile.operations}
    # Forward and both backward passes of every convolution in every step, one kernel a norm.
    forward = sum(n for name, n in calls.items() if name.endswith("Conv2D"))
    assert sum(n for name, n in calls.items() if "BackpropFilter" in name) == forward > 0
    assert any("FusedBatchNorm" in name for name in calls)
    assert profile.kinds["convolution"] > 0
    assert sum(profile.kinds.values()) == pytest.approx(1, abs=0.01)
    assert "from a batch in memory" in profile.lines()[0]
    profile.write(tmp_path / "profile.csv")
    with open(tmp_path / "profile.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["operation"] for row in rows] == [row.operation for row in profile.operations]


def test_nothing_recorded_is_an_error():
    with pytest.raises(RunError, match="recorded no operations"):
        operation_times(lambda: None)
