"""Recipes' optimizers against their definitions, written out in numpy."""

import keras
import numpy as np
import pytest

from keras_resnets.training.optimizers import RecipeLamb, inner, make_optimizer
from keras_resnets.training.recipes import Optimizer, load_recipe
from keras_resnets.training.schedules import OneCycle, Warmup, make_schedule

STEPS = 4
RATE = 0.05


def _weights():
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in ((3, 4), (4,))]


def _gradients(step):
    rng = np.random.default_rng(step + 1)
    return [rng.normal(size=shape) for shape in ((3, 4), (4,))]


def _run(optimizer, steps=STEPS, variables=None):
    variables = variables or [
        keras.Variable(value, name=name, dtype="float64")
        for name, value in zip(("kernel", "bias"), _weights(), strict=True)
    ]
    if not optimizer.built:
        optimizer.build(variables)
    for step in range(steps):
        optimizer.apply(
            [keras.ops.convert_to_tensor(g, "float64") for g in _gradients(step)], variables
        )
    return [np.array(v) for v in variables]


def _torch_sgd(nesterov, l2, decayed):
    """`torch.optim.SGD`: the decay is part of the gradient."""
    weights, speeds = _weights(), [0.0, 0.0]
    for step in range(STEPS):
        for i, gradient in enumerate(_gradients(step)):
            if decayed == "all" or weights[i].ndim > 1:
                gradient = gradient + l2 * weights[i]
            speeds[i] = 0.9 * speeds[i] + gradient
            move = gradient + 0.9 * speeds[i] if nesterov else speeds[i]
            weights[i] = weights[i] - RATE * move
    return weights


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decayed", ["all", "kernels"])
def test_sgd_with_l2_is_torchs(nesterov, decayed):
    table = Optimizer(nesterov=nesterov, weight_decay=0.1, decayed=decayed)
    for ours, expected in zip(
        _run(make_optimizer(table, RATE)), _torch_sgd(nesterov, 0.1, decayed), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)  # the rate is float32


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("decayed", ["all", "kernels"])
def test_decoupled_decay_is_keras_own(name, decayed):
    table = Optimizer(name=name, weight_decay=0.1, decay="decoupled", decayed=decayed)
    keras_own = (
        keras.optimizers.SGD(RATE, momentum=0.9, weight_decay=0.1)
        if name == "sgd"
        else keras.optimizers.AdamW(RATE, weight_decay=0.1, epsilon=1e-6)
    )
    if decayed == "kernels":
        keras_own.exclude_from_weight_decay(var_names=["bias"])
    ours, theirs = _run(make_optimizer(table, RATE)), _run(keras_own)
    for weight, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-9)
    without = _run(make_optimizer(table.replace(weight_decay=0.0), RATE))
    assert np.allclose(ours[1], without[1]) == (decayed == "kernels")


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb"])
def test_a_step_computes_its_rate_once(name, decay):
    steps = []

    class Counted(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            steps.append(int(step))
            return keras.ops.convert_to_tensor(RATE)

    _run(make_optimizer(Optimizer(name=name, weight_decay=0.1, decay=decay), Counted()))
    assert steps == list(range(STEPS))


def test_lamb_has_keras_own_decay_too():
    ours, theirs = (kind(RATE, weight_decay=0.1) for kind in (RecipeLamb, keras.optimizers.Lamb))
    for weight, expected in zip(_run(ours), _run(theirs), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_lamb_decays_inside_its_trust_ratio():
    """You 2019, algorithm 2."""
    table = Optimizer(name="lamb", weight_decay=0.1, decay="decoupled", decayed="kernels")
    optimizer = make_optimizer(table, RATE)
    assert isinstance(optimizer, RecipeLamb)
    weights, means, squares = _weights(), [0.0, 0.0], [0.0, 0.0]
    for step in range(STEPS):
        for i, gradient in enumerate(_gradients(step)):
            means[i] = 0.9 * means[i] + 0.1 * gradient
            squares[i] = 0.999 * squares[i] + 0.001 * gradient**2
            update = means[i] / (1 - 0.9 ** (step + 1))
            update = update / (np.sqrt(squares[i] / (1 - 0.999 ** (step + 1))) + 1e-6)
            if weights[i].ndim > 1:
                update = update + 0.1 * weights[i]
                update = update * np.linalg.norm(weights[i]) / np.linalg.norm(update)
            weights[i] = weights[i] - RATE * update
    for ours, expected in zip(_run(optimizer), weights, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)  # so are the powers


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb"])
def test_a_part_may_learn_more_slowly(name):
    table = Optimizer(name=name, weight_decay=0.0)
    whole = _run(make_optimizer(table, RATE), steps=1)
    slow = _run(make_optimizer(table, RATE, rate_multipliers={"ker": 0.5, "kernel": 0.25}), steps=1)
    first = _weights()
    np.testing.assert_allclose(slow[0] - first[0], 0.25 * (whole[0] - first[0]), rtol=1e-5)
    np.testing.assert_allclose(slow[1], whole[1], rtol=1e-9)


def test_the_rate_can_be_scaled_and_the_scale_is_state():
    table = Optimizer(weight_decay=0.0, momentum=0.0)
    optimizer = make_optimizer(table, RATE)
    variables = [keras.Variable(value, dtype="float64") for value in _weights()]
    optimizer.build(variables)
    optimizer.rate_scale.assign(0.1)
    moved = _run(optimizer, steps=1, variables=variables)
    np.testing.assert_allclose(moved[0], _weights()[0] - 0.1 * RATE * _gradients(0)[0], rtol=1e-6)
    assert float(optimizer.learning_rate) == pytest.approx(0.1 * RATE)
    assert any(v.name == "rate_scale" for v in optimizer.variables)
    assert inner(keras.optimizers.LossScaleOptimizer(optimizer)) is optimizer


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb"])
@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_what_is_read_back_goes_on_the_same(name, decay):
    table = Optimizer(name=name, weight_decay=0.1, decay=decay, decayed="kernels", clip_norm=1.0)
    schedule = Warmup(OneCycle(0.2, 3, 10), 2, 0.01, 0.1)
    optimizer = make_optimizer(table, schedule, rate_multipliers={"kernel": 0.5})
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    for ours, expected in zip(_run(again), _run(optimizer), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_schedules_are_the_lines_they_say():
    rate = OneCycle(1.0, 10, 30, final=0.1, start=0.5)
    expected = np.interp(np.arange(32), [0, 10, 30, 31], [0.5, 1.0, 0.1, 0.1])
    np.testing.assert_allclose([float(rate(step)) for step in range(32)], expected, rtol=1e-6)
    constant = keras.optimizers.schedules.PiecewiseConstantDecay([5], [1.0, 0.1])
    linear = Warmup(constant, 4, 0.2, 1.0)
    np.testing.assert_allclose(
        [float(linear(step)) for step in range(7)], [0.2, 0.4, 0.6, 0.8, 1, 1, 0.1], rtol=1e-6
    )
    flat = Warmup(constant, 4, 0.2, 1.0, "constant")
    np.testing.assert_allclose([float(flat(step)) for step in range(6)], [0.2] * 4 + [1, 1])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_slow_part_decays_slowly_too(name):
    table = Optimizer(name=name, weight_decay=0.5, decay="decoupled")
    optimizer = make_optimizer(table, 0.1, rate_multipliers={"kernel": 0.01})
    variables = [keras.Variable(np.ones((2, 2)), name=n) for n in ("kernel", "head")]
    optimizer.build(variables)
    optimizer.apply([keras.ops.zeros((2, 2))] * 2, variables)
    assert float(variables[0][0, 0]) == pytest.approx(1 - 0.5 * 0.1 * 0.01)
    assert float(variables[1][0, 0]) == pytest.approx(1 - 0.5 * 0.1)


def test_a_cosine_stands_behind_a_constant_warm_up_whole():
    recipe = load_recipe("quick").set(
        **{"schedule.kind": "cosine", "warmup_steps": 50, "warmup_shape": "constant"},
        warmup_from=0.1,
    )
    rate = make_schedule(recipe, 1.0, 200, 20)
    got = [float(rate(step)) for step in (0, 49, 50, 100, 199, 200)]
    expected = [0.1, 0.1, *(0.5 * (1 + np.cos(np.pi * s / 200)) for s in (50, 100, 199, 200))]
    np.testing.assert_allclose(got, expected, atol=1e-6)
