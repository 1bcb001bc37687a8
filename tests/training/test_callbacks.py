"""What happens around the steps of a training."""

import json
import math

import keras
import numpy as np
import pytest

from keras_resnets import ResNetConfig
from keras_resnets.errors import RunError
from keras_resnets.training import TrainingSettings, train
from keras_resnets.training.averages import Averages
from keras_resnets.training.callbacks import best_epoch, plateaus
from keras_resnets.training.losses import ClassBinaryCrossentropy, make_loss
from keras_resnets.training.recipes import Loss, Schedule

SETTINGS = TrainingSettings(recipe="search", epochs=4, batch_size=24, seed=7)


@pytest.fixture(scope="module")
def config(few_digits):
    return few_digits.adapt(ResNetConfig(blocks=(1,), widths=(8,), strides=(2,), stem_width=4))


def _rows(values):
    return [{"epoch": i + 1, "val_accuracy": v} for i, v in enumerate(values)]


def test_plateaus_are_counted_anew_after_each():
    schedule = Schedule(kind="plateau", patience=2)
    values = [0.5, 0.6, 0.6, 0.6, 0.5, 0.6, 0.7, 0.7, 0.7]
    counts = [plateaus(_rows(values[:n]), schedule) for n in range(1, 10)]
    assert counts == [0, 0, 0, 1, 1, 2, 2, 2, 3]


def test_the_best_epoch_is_the_first_of_the_best():
    assert best_epoch(_rows([0.1, 0.3, 0.3, 0.2])) == 2
    assert best_epoch(_rows([None, None])) is None


@pytest.mark.large
def test_a_plateau_lowers_the_rate_and_is_resumed(config, few_digits, tmp_path):
    settings = SETTINGS.set(
        **{"schedule.kind": "plateau", "patience": 1, "warmup": 0, "factor": 0.5}
    )
    whole = train(config, few_digits, settings)
    rates = [row["learning_rate"] for row in whole.history]
    expected = [
        0.1 * 0.5 ** plateaus(whole.history[:n], settings.recipe.schedule) for n in range(4)
    ]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert rates[-1] < 0.1  # else nothing has been tested
    path = tmp_path / "model.keras"
    train(config, few_digits, settings, checkpoint=path, until=2)
    again = train(config, few_digits, settings, checkpoint=path)
    assert [row["learning_rate"] for row in again.history] == rates


@pytest.mark.parametrize(("error", "ends"), [(0.999, True), (0.001, False)])
@pytest.mark.large
def test_a_warm_up_until_an_error(error, ends, config, few_digits):
    settings = SETTINGS.replace(epochs=2).set(
        **{"schedule.kind": "constant", "warmup": 0, "warmup_error": error, "warmup_from": 0.1}
    )
    rates = [row["learning_rate"] for row in train(config, few_digits, settings).history]
    np.testing.assert_allclose(rates, [0.01, 0.1 if ends else 0.01], rtol=1e-6)


@pytest.mark.large
def test_patience_ends_with_the_best_epoch(config, few_digits, tmp_path):
    settings = SETTINGS.replace(epochs=12, patience=2).set(lr=0.5)
    best = tmp_path / "best.keras"
    checkpoint = tmp_path / "model.keras"
    result = train(config, few_digits, settings, checkpoint=checkpoint, best=best)
    number = best_epoch(result.history)
    assert result.out_of_patience
    assert len(result.history) == number + 2 < 12
    batches = few_digits.evaluation_batches("validation", 40)
    _, accuracy = result.model.evaluate(batches, verbose=0)
    assert accuracy == pytest.approx(result.history[number - 1]["val_accuracy"])
    again = train(config, few_digits, settings, checkpoint=checkpoint, best=best)
    assert again.out_of_patience
    assert again.history == result.history


@pytest.mark.large
def test_averages_are_evaluated_saved_and_resumed(config, few_digits, tmp_path):
    settings = SETTINGS.set(ema=0.9)
    whole = train(config, few_digits, settings)
    batches = few_digits.evaluation_batches("validation", 40)
    loss, _ = whole.model.evaluate(batches, verbose=0)
    assert loss == pytest.approx(whole.history[-1]["val_loss"], rel=1e-4)
    plain = train(config, few_digits, SETTINGS)
    assert whole.history[-1]["loss"] == plain.history[-1]["loss"]  # training is the same
    assert not np.allclose(whole.model.get_weights()[0], plain.model.get_weights()[0], atol=1e-6)
    path = tmp_path / "model.keras"
    for until in (1, 3, None):
        again = train(config, few_digits, settings, checkpoint=path, until=until)
    for weight, same in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "model-averages-3.npz",
        "model-averages-4.npz",
        "model-previous.json",
        "model-previous.keras",
        "model.json",
        "model.keras",
    ]


@pytest.mark.parametrize("momentum", [0.5, 0.9999])
def test_averages_are_those_of_the_formula(momentum):
    """0.5 is below the first steps' momentum, 0.9999 above it in all of them."""

    class Model:
        def __init__(self):
            self.step = 0

        def get_weights(self):
            return [np.array([float(self.step)])]

    averages, model = Averages(momentum), Model()
    averages.set_model(model)
    averages.set_params({"steps": 40})
    averages.on_epoch_begin(0)
    for step in range(40):
        model.step = step + 1
        averages.on_train_batch_end(step)
    expected, count = 8.0, 8
    for step in (16, 24, 32, 40):
        kept = min(momentum, (1 + step) / (10 + step)) ** 8
        expected = kept * expected + (1 - kept) * step
        count += 8
    assert averages.weights[0] == pytest.approx(expected)


@pytest.mark.large
def test_patience_needs_no_file(config, few_digits):
    settings = SETTINGS.replace(epochs=30, patience=1).set(lr=1.0, warmup=0)
    result = train(config, few_digits, settings)
    number = best_epoch(result.history)
    assert result.out_of_patience
    assert number < len(result.history)
    batches = few_digits.evaluation_batches("validation", 40)
    _, accuracy = result.model.evaluate(batches, verbose=0)
    assert accuracy == pytest.approx(result.history[number - 1]["val_accuracy"])


@pytest.mark.parametrize("all_data", [False, True])
@pytest.mark.large
def test_weights_that_the_last_step_has_ruined_are_no_checkpoint(
    all_data, config, few_digits, tmp_path
):
    """The only step of the epoch has a sound loss; with all data no validation tells either."""
    path = tmp_path / "model.keras"
    settings = SETTINGS.replace(epochs=1, batch_size=96, all_data=all_data).set(
        lr=1e38, warmup=0, weight_decay=100.0
    )
    settings = settings.set(**{"schedule.kind": "constant"})
    result = train(config, few_digits, settings, checkpoint=path)
    assert math.isfinite(result.history[-1]["loss"])
    assert result.divergence is not None
    assert not path.exists()


@pytest.mark.large
def test_smoothed_labels_leave_a_model_that_can_be_evaluated(config, few_digits):
    settings = SETTINGS.replace(epochs=1).set(label_smoothing=0.1)
    result = train(config, few_digits, settings)
    result.model.evaluate(few_digits.evaluation_batches("test", 40), verbose=0)


@pytest.mark.parametrize("rate", [1e30, 30.0])
@pytest.mark.sampled(1)
def test_a_divergence_is_named(rate, config, few_digits, tmp_path):
    path = tmp_path / "model.keras"
    settings = SETTINGS.set(lr=rate, warmup=0)
    result = train(config, few_digits, settings, checkpoint=path)
    found = result.divergence
    assert found is not None
    assert 1 <= found.step <= 4 * len(result.history)
    assert not found.loss < 10 * math.log(10)
    assert f"step {found.step}" in str(found)
    assert "learning rate of" in str(found)
    assert not path.exists()


def test_all_data_leaves_no_validation(config, few_digits):
    result = train(config, few_digits, SETTINGS.replace(all_data=True, epochs=1))
    assert result.history[0]["val_accuracy"] is None
    assert int(result.optimizer.iterations) == (96 + 40) // 24


@pytest.mark.large
def test_accumulated_parts_count_as_one_step(config, few_digits, tmp_path):
    settings = SETTINGS.replace(accumulate=2, batch_size=26)  # 3 steps of two; 7 halves would fit
    whole = train(config, few_digits, settings)
    assert int(whole.optimizer.iterations) == 12
    path = tmp_path / "model.keras"
    train(config, few_digits, settings, checkpoint=path, until=2)
    again = train(config, few_digits, settings, checkpoint=path)
    for weight, same in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.mark.large
def test_iterations_end_a_run_within_an_epoch(config, few_digits):
    result = train(config, few_digits, SETTINGS.replace(epochs=None).set(iterations=6, warmup=0))
    assert int(result.optimizer.iterations) == 6
    assert len(result.history) == 2


@pytest.mark.large
def test_sizes_grow_and_the_model_takes_whole_images(config, few_digits, tmp_path):
    settings = SETTINGS.set(sizes=[[0.0, 0.75], [0.5, 1.0]], **{"loss.kind": "bce"})
    whole = train(config, few_digits, settings)
    assert whole.model.config == config.replace(weight_decay=0.0)
    assert whole.model.input_shape == (None, 8, 8, 1)
    path = tmp_path / "model.keras"
    train(config, few_digits, settings, checkpoint=path, until=3)
    again = train(config, few_digits, settings, checkpoint=path)
    for weight, same in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.mark.large
def test_a_full_disk_is_one_line_and_keeps_what_was_there(
    config, few_digits, tmp_path, monkeypatch
):
    path = tmp_path / "model.keras"
    whole = train(config, few_digits, SETTINGS)
    train(config, few_digits, SETTINGS, checkpoint=path, until=2)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", _full)
        with pytest.raises(RunError, match=r"after epoch 3: .*No space left.*goes on from the one"):
            train(config, few_digits, SETTINGS, checkpoint=path)
    assert path.read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if "tmp" in p.name]
    again = train(config, few_digits, SETTINGS, checkpoint=path)
    for weight, same in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, same)
    json.loads(path.with_suffix(".json").read_text())


def _full(model, path, *args, **kwargs):
    path.write_bytes(b"half of a model")
    raise OSError(28, "No space left on device")


def test_a_binary_loss_for_each_class_against_numpy():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 4)), np.eye(4)[[0, 1, 2, 3, 1]]
    targets = 0.9 * labels + 0.1 / 4
    p = 1 / (1 + np.exp(-logits))
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()
    loss = ClassBinaryCrossentropy(0.1)
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_smoothing_needs_vectors():
    assert make_loss(Loss(), False, False).name == "sparse_categorical_crossentropy"
    smooth = make_loss(Loss(label_smoothing=0.1), True, False)
    assert smooth.label_smoothing == 0.1
