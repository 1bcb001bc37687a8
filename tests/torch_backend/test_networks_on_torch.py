"""What is promised on PyTorch: building, fitting, saving and loading, surgery's folding.

And what is not: the exports and trainings by a recipe, which say so.
"""

import keras
import numpy as np
import pytest
from gradients import check_reached
from small_networks import FAMILIES, small_config, small_model
from surgical import check_same, hard_weights, made

import keras_resnets as kr
from keras_resnets import export, surgery
from keras_resnets.export.program import run_export
from keras_resnets.training import TrainingSettings, train
from keras_resnets.training.checks import check_training
from keras_resnets.tuning import SearchSettings, search

ROUNDED = 1e-5
"""Relative; on PyTorch Keras normalises in float32 under float64 too."""

LOGITS = {"classifier_activation": None, "input_shape": (None, None, 3)}


def images(count=4, size=(24, 24), seed=0):
    return np.random.default_rng(seed).normal(size=(count, *size, 3)).astype("float32")


def values(model, batch, training=False):
    return keras.ops.convert_to_numpy(model(batch, training=training))


@pytest.mark.parametrize("name", FAMILIES)
def test_built_called_and_differentiated(name):
    changes = {} if "densenet" in name else {"zero_init_residual": False}
    changes |= {"input_shape": (None, None, 3), "weight_decay": 0.0}
    model = check_reached(lambda: small_model(name, **changes), images())
    for size in ((24, 24), (17, 33), (1, 1)):
        outputs = values(model, images(2, size))
        assert outputs.shape == (2, 5)
        np.testing.assert_allclose(outputs.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_saved_and_loaded(name, tmp_path):
    model = hard_weights(small_model(name))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.config == model.config
    np.testing.assert_array_equal(values(again, images()), values(model, images()))


@pytest.fixture(scope="module")
def from_tensorflow(tmp_path_factory, run_python):
    """Networks that TensorFlow saved, with its answers."""
    folder = tmp_path_factory.mktemp("tensorflow")
    np.save(folder / "images.npy", images())
    program = (
        "import sys, numpy as np\n"
        "from small_networks import small_model\n"
        "from surgical import hard_weights\n"
        "folder = sys.argv[1]\n"
        "images = np.load(folder + '/images.npy')\n"
        "for name in sys.argv[2:]:\n"
        "    model = hard_weights(small_model(name, classifier_activation=None))\n"
        "    model.save(f'{folder}/{name}.keras')\n"
        "    for training in (False, True):\n"
        "        answers = np.asarray(model(images, training=training))\n"
        "        np.save(f'{folder}/{name}.{training}.npy', answers)\n"
    )
    run_python(program, folder, *SHARED, KERAS_BACKEND="tensorflow", PYTHONPATH="tests:.")
    return folder


SHARED = (
    "resnet20_cifar",
    "preact_resnet50",
    "resnext50_32x4d",
    "se_resnet50",
    "resnet50d",
    "resnet50_blur",
    "resnetv2_50x1_bit",
    "densenet121",
)


@pytest.mark.parametrize("name", SHARED)
def test_tensorflows_files_answer_the_same(name, from_tensorflow):
    model = keras.saving.load_model(from_tensorflow / f"{name}.keras")
    for training in (False, True):
        expected = np.load(from_tensorflow / f"{name}.{training}.npy")
        found = values(model, images(), training)
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max(), training


@pytest.mark.parametrize("name", ["resnet20_cifar", "wrn16_4_cifar"])
def test_fit_learns(name):
    """Twelve images are learned by heart."""
    keras.utils.set_random_seed(0)
    model = small_model(name, input_shape=(16, 16, 3), dropout=0.0)
    batch, labels = images(12, (16, 16)), np.arange(12) % 5
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    losses = model.fit(batch, labels, batch_size=12, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert np.isfinite(model.evaluate(batch, labels, verbose=0))
    np.testing.assert_allclose(model.predict(batch, verbose=0), values(model, batch), atol=1e-5)


@pytest.mark.parametrize(
    "name",
    ["stochastic_depth_resnet110_cifar", "resnet_rs200", "resnetv2_50x1_bit", "densenet121"],
)
def test_fit_moves_every_weight(name):
    changes = {} if "densenet" in name else {"zero_init_residual": False, "final_survival": 0.99}
    model = small_model(name, input_shape=(16, 16, 3), **changes)
    before = {v.path: keras.ops.convert_to_numpy(v).copy() for v in model.trainable_weights}
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    history = model.fit(images(12, (16, 16)), np.arange(12) % 5, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for weight in model.trainable_weights:
        now = keras.ops.convert_to_numpy(weight)
        assert np.isfinite(now).all(), weight.path
        assert not np.array_equal(now, before[weight.path]), weight.path


def test_frozen_parts_stay():
    model = kr.freeze(small_model("resnet20_cifar"), through="stage2")
    before = {v.path: keras.ops.convert_to_numpy(v).copy() for v in model.weights}
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(images(), np.arange(4), verbose=0)
    moved = {
        v.path
        for v in model.weights
        if not np.array_equal(before[v.path], keras.ops.convert_to_numpy(v))
    }
    assert {path.partition("_")[0] for path in moved} == {"stage3", "predictions/kernel", "predictions/bias"}  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("name", [name for name in FAMILIES if "bit" not in name])
def test_folding_is_the_same_function(name):
    model = made(small_config(name, **LOGITS))
    check_same(model, surgery.fold_batch_norm(model, print_fn=None), ROUNDED)


def test_the_other_surgery_is_the_same_function():
    model = made(small_config("resnet20_cifar", **LOGITS))
    wide = model.config.replace(stem_width=16, widths=tuple(2 * w for w in model.config.widths))
    for new in (
        surgery.to_plain(model, print_fn=None),
        surgery.deepen(model, stage=1, blocks=1, print_fn=None),
        surgery.widen(model, wide, print_fn=None),
        surgery.recalibrate_batch_norm(model, images(8), keep_function=True),
    ):
        check_same(model, new, ROUNDED)


def refusals(model, folder):
    config, settings = model.config, TrainingSettings(epochs=1)
    data = {"name": "digits"}
    yield lambda: kr.inference_function(model)
    yield lambda: export.export_saved_model(model, folder / "saved_model", images())
    yield lambda: export.export_tflite(model, folder / "model.tflite", images())
    yield lambda: run_export(folder / "model.keras", ["tflite"], folder, data)
    yield lambda: train(config, None, settings)
    yield lambda: check_training(config, data, settings, folder / "run")
    yield lambda: search(SearchSettings(trials=1), folder / "run")


def test_what_is_not_promised_says_so_in_one_line(tmp_path):
    before = list(tmp_path.iterdir())
    for refused in refusals(small_model("resnet20_cifar"), tmp_path):
        with pytest.raises(
            kr.InputError, match=r"KERAS_BACKEND=tensorflow.*the backend torch"
        ) as e:
            refused()
        assert "\n" not in str(e.value)
    assert list(tmp_path.iterdir()) == before
