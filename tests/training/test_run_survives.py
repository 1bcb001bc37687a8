"""A training whose run folder is deleted or damaged, and what its summary says of the machine."""

import shutil
import tempfile
from pathlib import Path

import pytest

from keras_resnets import ResNetConfig
from keras_resnets.environment import run_environment
from keras_resnets.errors import InputError, RunError
from keras_resnets.state import read_state
from keras_resnets.training import TrainingSettings
from keras_resnets.training.program import run_training

NETWORK = ResNetConfig(blocks=(1,), widths=(4,), strides=(2,), stem_width=4)
DATA = {"name": "keras_resnets_digits", "data_dir": None, "image_size": None, "flip": None}
SETTINGS = TrainingSettings(recipe="search", epochs=2, batch_size=512)


def _run(folder, print_fn=lambda line: None):
    return run_training(NETWORK, DATA, SETTINGS, folder, print_fn)


def _numbers(summary):
    return {name: value for name, value in summary.items() if name != "seconds"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder, places = tmp_path_factory.mktemp("finished") / "run", set()
    summary = _run(folder, lambda line: places.add(tempfile.gettempdir()))
    return folder, summary, places


def test_the_summary_says_what_it_was_computed_with(finished, digits):
    folder, summary, _ = finished
    assert summary["environment"] == run_environment()
    assert set(summary["environment"]["versions"]) == {
        "keras_resnets",
        "python",
        "keras",
        "tensorflow",
        "numpy",
        "keras-tuner",
    }
    assert summary["environment"]["threads"].keys() == {"intra", "inter", "cpus"}
    assert summary["data"]["fingerprint"] == digits.fingerprint
    assert read_state(folder / "summary.json")["environment"] == run_environment()


def test_temporary_files_lie_in_the_run_folder(finished):
    folder, _, places = finished
    assert folder / ".tmp" in map(Path, places)
    assert not (folder / ".tmp").exists()


@pytest.mark.large
def test_a_damaged_summary_is_told_and_written_again(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / "summary.json").write_text("[]")
    lines = []
    assert _numbers(_run(tmp_path / "run", lines.append)) == _numbers(finished[1])
    assert any(line.startswith("summary.json is damaged (") for line in lines)


def test_a_folder_deleted_under_way_is_one_line(tmp_path):
    folder = tmp_path / "runs" / "run"

    def delete(line):
        if line.startswith("epoch 1"):
            shutil.rmtree(folder)

    with pytest.raises(RunError, match="was deleted while the command wrote to it") as caught:
        _run(folder, delete)
    assert not isinstance(caught.value, InputError)
    assert "\n" not in str(caught.value)
    assert list(folder.parent.iterdir()) == []
