"""A training that begins with another model's weights."""

import numpy as np
import pytest

from keras_resnets import ResNetConfig, create_model
from keras_resnets.errors import ConfigError, InputError
from keras_resnets.training import TrainingSettings, train
from keras_resnets.training.transfer import parts, rate_multipliers, thaw, transfer_config

BLOCKS = {"blocks": (1, 1), "widths": (4, 8), "stem_width": 4}


@pytest.fixture(scope="module")
def start(few_digits, tmp_path_factory):
    """A model of other classes, and its file."""
    config = few_digits.adapt(ResNetConfig(**BLOCKS)).replace(classes=3, input_mean=(50.0,))
    model = create_model(config)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.01 * rng.normal(size=variable.shape))
    path = tmp_path_factory.mktemp("start") / "model.keras"
    model.save(path)
    return model, path


@pytest.fixture
def config(few_digits, start):
    return transfer_config(few_digits.adapt(ResNetConfig(**BLOCKS)), start[0].config)


def _settings(path, **changes):
    settings = TrainingSettings(recipe="finetune", epochs=4, batch_size=24, init=str(path))
    return settings.set(**changes) if changes else settings


def test_the_images_are_normalised_as_the_weights_know(config, start):
    assert config.input_mean == start[0].config.input_mean == (50.0,)
    assert config.classes == 10


@pytest.mark.large
def test_frozen_parts_stay_and_thaw_one_by_one(config, few_digits, start):
    """With a quarter of the run for each: head, then stage 2, then stage 1, then the stem."""
    model, path = start
    before = {v.path: np.array(v) for v in model.variables}
    moved = []
    for until in (1, 2, 3, 4):
        result = train(config, few_digits, _settings(path, unfreeze=0.25), until=until)
        moved.append(
            {
                v.path.split("_")[0]
                for v in result.model.variables
                if before.get(v.path, np.zeros(0)).shape == tuple(v.shape)
                and "seed" not in v.path
                and not np.array_equal(before[v.path], v)
            }
        )
    assert [{"stage1", "stage2", "stem"} & names for names in moved] == [
        set(),
        {"stage2"},
        {"stage1", "stage2"},
        {"stage1", "stage2", "stem"},
    ]


@pytest.mark.large
def test_it_is_resumed_to_the_bit(config, few_digits, start, tmp_path):
    settings = _settings(start[1], unfreeze=0.25)
    whole = train(config, few_digits, settings)
    for until in (1, 2, 3, None):
        again = train(
            config, few_digits, settings, checkpoint=tmp_path / "model.keras", until=until
        )
    for weight, same in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


def test_the_front_learns_more_slowly(config):
    model = create_model(config)
    assert parts(model) == ["head", "stage2", "stage1", "stem"]
    rates = rate_multipliers(model, 0.5)
    assert {name: rate for name, rate in rates.items() if "transition" not in name} == {
        "stage2_": 0.5,
        "stage1_": 0.25,
        "stem_": 0.125,
    }
    assert rates["transition1/"] == rates["stage1_"]  # of a dense net
    named = {
        v.path: [start for start in rates if v.path.startswith(start)] for v in model.variables
    }
    assert {tuple(starts) for starts in named.values()} == {
        (),
        ("stage2_",),
        ("stage1_",),
        ("stem_",),
    }
    assert all("predictions" in p or "head" in p for p, starts in named.items() if not starts)


def test_all_of_it_is_thawed_in_the_end(config):
    model = create_model(config)
    counts = []
    for count in range(1, 5):
        thaw(model, count)
        counts.append(len(model.trainable_variables))
    assert counts == sorted(set(counts))
    assert counts[-1] == len(create_model(config).trainable_variables)


def test_another_network_is_refused(few_digits, start):
    other = few_digits.adapt(ResNetConfig(**{**BLOCKS, "widths": (4, 16)}))
    with pytest.raises(ConfigError, match="differs in widths"):
        transfer_config(other, start[0].config)


def test_a_file_that_is_no_network_is_refused(config, few_digits, tmp_path):
    (tmp_path / "model.keras").write_text("nothing")
    with pytest.raises(InputError, match="cannot be read as a Keras model"):
        train(config, few_digits, _settings(tmp_path / "model.keras"))
