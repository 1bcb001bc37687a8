"""Training goes on to the bit where it stopped, and gives the same numbers for the same seed."""

import itertools
import json
import math

import keras
import numpy as np
import pytest

from keras_resnets import ResNetConfig
from keras_resnets.training import TrainingPlan, TrainingSettings, train
from keras_resnets.training.fit import HISTORY, compile_for_training

SETTINGS = TrainingSettings(recipe="search", epochs=4, batch_size=24, seed=7)

CONFIGS = {
    "random branches and dropouts": {
        "shortcut": "A_pool",
        "final_survival": 0.5,
        "dropout": 0.3,
        "head_dropout": 0.3,
        "activation_order": "pre",
    },
    "random samples": {"final_survival": 0.6, "survival_mode": "sample"},
    "bottleneck": {"block": "bottleneck", "activation_order": "pre"},
}


def _config(data, **changes):
    return data.adapt(ResNetConfig(blocks=(1,), widths=(8,), strides=(2,), stem_width=4, **changes))


def _numbers(history):
    return [{name: row[name] for name in HISTORY if name != "seconds"} for row in history]


def _assert_same(result, other):
    assert _numbers(result.history) == _numbers(other.history)
    weights, others = result.model.get_weights(), other.model.get_weights()
    assert len(weights) == len(others)
    for weight, same in zip(weights, others, strict=True):
        np.testing.assert_array_equal(weight, same)
    state, others = result.optimizer.variables, other.optimizer.variables
    for variable, same in zip(state, others, strict=True):
        np.testing.assert_array_equal(variable.numpy(), same.numpy())


@pytest.fixture(scope="module")
def uninterrupted(few_digits):
    """One undisturbed training of the first configuration."""
    config = _config(few_digits, **CONFIGS["random branches and dropouts"])
    return train(config, few_digits, SETTINGS)


@pytest.mark.large
def test_a_training_stopped_after_every_epoch_is_bit_identical(uninterrupted, few_digits, tmp_path):
    config, rows = uninterrupted.model.config, []
    for until in (1, 2, 3, None):
        keras.utils.set_random_seed(until or 99)  # what happened before must not matter
        result = train(
            config,
            few_digits,
            SETTINGS,
            checkpoint=tmp_path / "model.keras",
            until=until,
            on_epoch=lambda row, history: rows.append(row["epoch"]),
        )
        assert len(result.history) == until or SETTINGS.epochs
    assert rows == [1, 2, 3, 4]  # nothing is done twice
    _assert_same(result, uninterrupted)
    assert result.seconds == pytest.approx(sum(row["seconds"] for row in result.history))


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != next(iter(CONFIGS))])
@pytest.mark.large
def test_other_networks_go_on_to_the_bit_too(name, few_digits, tmp_path):
    config = _config(few_digits, **CONFIGS[name])
    whole = train(config, few_digits, SETTINGS)
    checkpoint = tmp_path / "model.keras"
    train(config, few_digits, SETTINGS, checkpoint=checkpoint, until=2)
    _assert_same(train(config, few_digits, SETTINGS, checkpoint=checkpoint), whole)


@pytest.mark.large
def test_a_history_without_a_model_is_no_checkpoint(uninterrupted, few_digits, tmp_path):
    (tmp_path / "model.json").write_text("[]")
    result = train(
        uninterrupted.model.config, few_digits, SETTINGS, checkpoint=tmp_path / "model.keras"
    )
    _assert_same(result, uninterrupted)


@pytest.mark.large
def test_another_seed_gives_other_numbers(uninterrupted, few_digits):
    other = train(uninterrupted.model.config, few_digits, SETTINGS.replace(seed=8), until=1)
    assert _numbers(other.history)[0] != _numbers(uninterrupted.history)[0]


@pytest.mark.large
def test_a_finished_training_is_only_read(few_digits, tmp_path):
    config, checkpoint = _config(few_digits), tmp_path / "model.keras"
    done = train(config, few_digits, SETTINGS.replace(epochs=1), checkpoint=checkpoint)
    written = checkpoint.stat().st_mtime_ns
    again = train(
        config,
        few_digits,
        SETTINGS.replace(epochs=1),
        checkpoint=checkpoint,
        until=50,
        on_epoch=lambda row, history: pytest.fail("trained"),
    )
    _assert_same(again, done)
    assert checkpoint.stat().st_mtime_ns == written
    assert again.seconds == done.seconds


def test_the_history_tells_every_epoch(uninterrupted):
    for number, row in enumerate(uninterrupted.history, start=1):
        assert tuple(row) == HISTORY
        assert row["epoch"] == number
        assert all(math.isfinite(value) for value in row.values())
        assert row["seconds"] > 0
    assert not uninterrupted.diverged
    json.dumps(uninterrupted.history)


@pytest.mark.parametrize("warmup", [0, 0.25])
def test_the_learning_rate_warms_up_and_follows_a_cosine(warmup, few_digits):
    settings = SETTINGS.replace(epochs=5).set(lr=0.2, warmup=30 * warmup)
    model = _compiled(few_digits, settings, TrainingPlan(4, 20))
    rates = []
    for step in range(21):
        model.optimizer.iterations.assign(step)
        rates.append(float(model.optimizer.learning_rate))
    first = round(20 * warmup)
    expected = [0.2 * step / max(first, 1) for step in range(first)] + [
        0.1 * (1 + math.cos(math.pi * step / (20 - first))) for step in range(21 - first)
    ]
    np.testing.assert_allclose(rates, expected, atol=1e-7)


def test_the_learning_rate_reached_stands_in_the_history(uninterrupted):
    schedule = uninterrupted.optimizer._learning_rate
    rates = [row["learning_rate"] for row in uninterrupted.history]
    np.testing.assert_allclose(rates, [float(schedule(4 * epoch)) for epoch in (1, 2, 3, 4)])


def _compiled(data, settings, plan=None, **changes):
    from keras_resnets import create_model

    model = create_model(_config(data, **changes))
    compile_for_training(model, settings, plan)
    return model


def test_without_a_plan_the_learning_rate_is_constant(few_digits):
    model = _compiled(few_digits, SETTINGS.set(lr=0.3))
    assert float(model.optimizer.learning_rate) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("activation", "logits"), [("softmax", False), (None, True), ("linear", True)]
)
def test_the_loss_knows_logits(activation, logits, few_digits):
    model = _compiled(few_digits, SETTINGS, classifier_activation=activation)
    assert model.loss.from_logits is logits
    images, labels = few_digits.images("test")
    answers = np.asarray(model(images, training=False), np.float64)
    if logits:
        answers = np.exp(answers) / np.exp(answers).sum(-1, keepdims=True)
    expected = -np.log(answers[np.arange(len(labels)), labels]).mean()
    assert float(model.loss(labels, model(images, training=False))) == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_the_optimizer_is_sgd_with_nesterov_momentum_and_decoupled_decay(momentum, few_digits):
    settings = SETTINGS.set(momentum=momentum, nesterov=momentum > 0, weight_decay=0)
    optimizer = _compiled(few_digits, settings).optimizer
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert (optimizer.momentum, optimizer.nesterov) == (momentum, momentum > 0)
    assert optimizer.weight_decay is None
    assert _compiled(few_digits, SETTINGS).optimizer.weight_decay == 5e-4


@pytest.mark.large
def test_a_loss_that_is_no_number_stops_training_and_keeps_the_checkpoint(few_digits, tmp_path):
    checkpoint = tmp_path / "model.keras"
    settings = SETTINGS.set(lr=1e30, warmup=0)
    result = train(_config(few_digits), few_digits, settings, checkpoint=checkpoint)
    assert result.diverged
    assert len(result.history) < settings.epochs
    assert not math.isfinite(result.history[-1]["loss"])
    assert not checkpoint.exists()


def test_an_interruption_leaves_a_checkpoint_of_the_last_epoch(uninterrupted, few_digits, tmp_path):
    """Ctrl-C, at any moment."""
    epochs = itertools.count(1)

    def interrupt(row, history):
        if next(epochs) == 3:
            raise KeyboardInterrupt

    config, checkpoint = uninterrupted.model.config, tmp_path / "model.keras"
    with pytest.raises(KeyboardInterrupt):
        train(config, few_digits, SETTINGS, checkpoint=checkpoint, on_epoch=interrupt)
    assert checkpoint.is_file()
    _assert_same(train(config, few_digits, SETTINGS, checkpoint=checkpoint), uninterrupted)


@pytest.mark.large
def test_odd_batches_train_through_projections_of_few_channels(run_python):
    """TensorFlow's CPU build corrupts memory in the filter gradient of a strided 1x1 there."""
    program = """
import numpy as np, tensorflow as tf
from keras_resnets import ResNetConfig, create_model
from keras_resnets.training import TrainingSettings
from keras_resnets.training.fit import compile_for_training
rng = np.random.default_rng(0)
for block, order in (("basic", "post"), ("bottleneck", "pre")):
    config = ResNetConfig(blocks=(1, 1, 1), widths=(8, 16, 32) if block == "basic" else (2, 4, 8),
        stem_width=8, block=block, activation_order=order, shortcut="C", input_shape=(16, 16, 3))
    model = create_model(config)
    compile_for_training(model, TrainingSettings(recipe="search").set(lr=0.01))
    images = rng.normal(size=(37, 16, 16, 3)).astype("float32")
    history = model.fit(images, rng.integers(0, 10, 37), batch_size=5, epochs=3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
print("trained")
"""
    assert run_python(program).strip().endswith("trained")
