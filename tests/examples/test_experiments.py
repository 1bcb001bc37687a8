"""The experiments run, at a scale that shows nothing but that."""

import csv
import importlib
import sys
from pathlib import Path

import pytest

import keras_resnets as kr

FOLDER = Path(__file__).parents[2] / "examples" / "experiments"


@pytest.fixture
def experiment(monkeypatch, tmp_path):
    """Run an experiment on a few digits, with networks of 8 layers; return its table."""
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.chdir(tmp_path)
    model_config = kr.model_config

    def small(name, **changes):
        return model_config("wrn10_1_cifar" if "wrn" in name else _eight(name), **changes)

    monkeypatch.setattr(kr, "model_config", small)

    def run(name, scale=None):
        module = importlib.import_module(name)
        common = sys.modules["common"]
        tiny = scale or common.Scale(images=96, epochs=2, batch_size=32, seeds=1)
        monkeypatch.setitem(module.SCALES, "minutes", tiny)
        arguments = ["--dataset", "keras_resnets_digits", "--out", str(tmp_path / "out")]
        module.main.main(arguments, standalone_mode=False)
        picture = tmp_path / "out" / f"{name}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
        with (tmp_path / "out" / f"{name}.csv").open() as file:
            return list(csv.DictReader(file))

    yield run
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


def _eight(name):
    kind = name.partition("_cifar")[0].rstrip("0123456789")
    return f"{kind}8_cifar"


@pytest.mark.large
def test_degradation_and_the_responses_of_its_trainings(experiment, capsys, tmp_path):
    rows = experiment("degradation")
    assert [row["network"] for row in rows] == [
        "plain20_cifar",
        "plain56_cifar",
        "resnet20_cifar",
        "resnet56_cifar",
    ]
    assert all(float(row["training_loss"]) > 0 for row in rows)
    capsys.readouterr()
    responses = experiment("layer_responses")
    assert "epoch" not in capsys.readouterr().out  # nothing was trained again
    assert [int(row["layers"]) for row in responses] == [7, 7, 7, 7]
    assert all(float(row["mean_response"]) > 0 for row in responses)
    assert not list((tmp_path / "out").glob("*checkpoint*"))


@pytest.mark.large
def test_another_scale_in_the_same_folder_is_refused(experiment, monkeypatch):
    from keras_resnets.errors import InputError

    monkeypatch.syspath_prepend(FOLDER)
    importlib.import_module("degradation")
    scale = sys.modules["common"].Scale
    names = sys.modules["degradation"]
    monkeypatch.setattr(names, "NETWORKS", ("plain20_cifar",))
    monkeypatch.setattr(names, "draw", lambda results: pytest.fail("drawn"))
    with pytest.raises(pytest.fail.Exception):
        experiment("degradation", scale(images=96, epochs=1, batch_size=32, seeds=1))
    with pytest.raises(InputError, match="at another scale"):
        experiment("degradation", scale(images=64, epochs=1, batch_size=32, seeds=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"), [("activation_orders", 5), ("width_and_depth", 3), ("stochastic_depth", 2)]
)
def test_the_others(name, rows, experiment):
    table = experiment(name)
    assert len(table) == rows
    assert all(0 <= float(row["test_error"]) <= 100 for row in table)
