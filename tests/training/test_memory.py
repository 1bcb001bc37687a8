"""A training takes no more memory in its last epochs than in its first."""

import sys

import pytest

PROGRAM = """
import resource, sys
from keras_resnets import ResNetConfig
from keras_resnets.data import load_data
from keras_resnets.training import TrainingSettings, train
data = load_data()
config = data.adapt(ResNetConfig(blocks=(1, 1), widths=(8, 16), stem_width=8))
peaks = []
def on_epoch(row, history):
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
settings = TrainingSettings(recipe="quick", epochs=20).set(mixup=0.2)
train(config, data, settings, checkpoint=sys.argv[1], best=sys.argv[2], on_epoch=on_epoch)
print(peaks[2], peaks[-1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts in kB on Linux")
@pytest.mark.large
def test_the_peak_of_20_epochs_is_that_of_3(run_python, tmp_path):
    """With checkpoints, averages and the best model being written all the time."""
    printed = run_python(PROGRAM, tmp_path / "state.keras", tmp_path / "best.keras")
    early, late = map(int, printed.split()[-2:])
    assert late < 1.02 * early
