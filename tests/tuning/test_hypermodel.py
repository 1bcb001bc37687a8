import keras_tuner
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_resnets.errors import ConfigError
from keras_resnets.models.cost import complexity
from keras_resnets.training import TrainingSettings
from keras_resnets.tuning import ResNetHyperModel, hypermodel

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def digit_arrays():
    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    return images[:256], digits.target[:256]


@pytest.mark.large
def test_a_stock_tuner_searches(digit_arrays, tiny_space, tmp_path):
    images, labels = digit_arrays
    model = ResNetHyperModel(
        SHAPE, classes=10, space=tiny_space, input_mean=(80.0,), input_std=(90.0,), shortcut="A"
    )
    tuner = keras_tuner.RandomSearch(
        model, objective="val_accuracy", max_trials=2, seed=3, directory=str(tmp_path)
    )
    tuner.search(images, labels, validation_split=0.25, epochs=1, verbose=0)
    trials = tuner.oracle.get_best_trials(2)
    assert [trial.status for trial in trials] == ["COMPLETED"] * 2
    assert all(0 <= trial.score <= 1 for trial in trials)
    best = tuner.get_best_models()[0]
    config = model.config(trials[0].hyperparameters)
    assert best.config == config
    assert (config.shortcut, config.input_mean) == ("A", (80.0,))
    assert best(images[:2]).shape == (2, 10)


def test_the_candidate_is_compiled_as_proposed(tiny_space):
    settings = TrainingSettings(recipe="search", epochs=4).set(momentum=0.5, weight_decay=0)
    model = ResNetHyperModel(SHAPE, 10, space=tiny_space, settings=settings, steps_per_epoch=7)
    hp = keras_tuner.HyperParameters()
    model.declare_hyperparameters(hp)
    hp.values |= {"width": 8, "learning_rate": 0.2}
    built = model.build(hp)
    assert built.config == model.config(hp)
    assert built.config.widths == (8, 16, 32)
    optimizer = built.optimizer
    assert optimizer.momentum == 0.5
    schedule = optimizer._learning_rate
    assert float(schedule(schedule.warmup_steps)) == pytest.approx(0.2)
    assert float(schedule(4 * 7)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["RandomSearch", "BayesianOptimization", "Hyperband"])
@pytest.mark.sampled(1)
def test_a_stock_tuner_draws_within_the_budget(name, tmp_path):
    model = ResNetHyperModel((32, 32, 3), 10, max_params=500_000)
    length = {"max_epochs": 4} if name == "Hyperband" else {"max_trials": 12}
    tuner = getattr(keras_tuner, name)(
        model, objective="val_accuracy", directory=str(tmp_path), seed=1, **length
    )
    drawn = []
    for number in range(12):
        trial = tuner.oracle.create_trial(f"tuner{number}")
        if trial.status != "RUNNING":
            break
        drawn.append(model.config(trial.hyperparameters))
        assert complexity(drawn[-1]).trainable_params <= 500_000
        tuner.oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5 + number / 100})
        trial.status = "COMPLETED"
        tuner.oracle.end_trial(trial)
    assert len(set(drawn)) > 2


def test_a_candidate_over_the_budget_fails_unbuilt(monkeypatch):
    bounded = ResNetHyperModel(SHAPE, 10, max_params=500_000)
    monkeypatch.setattr(hypermodel, "create_model", lambda config: pytest.fail("it was built"))
    monkeypatch.setattr(bounded, "_structures", bounded.space.structures())
    hp = keras_tuner.HyperParameters()
    bounded.declare_hyperparameters(hp)
    hp.values["structure"] = "bottleneck post 3 48"
    with pytest.raises(keras_tuner.errors.FailedTrialError, match="refused unbuilt"):
        bounded.build(hp)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"max_params": 1}, "the smallest has"),
        ({"max_macs": 0}, "max_macs"),
        ({"classes": 0}, "classes"),
        ({"shortcut": "none"}, "final_survival"),  # the space has stochastic depth
        ({"shortcutt": "A"}, "shortcutt"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, named):
    with pytest.raises((ConfigError, TypeError), match=named):
        ResNetHyperModel(**{"input_shape": SHAPE, "classes": 10, **arguments})
