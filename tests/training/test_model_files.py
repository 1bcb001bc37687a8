"""What training leaves on disk: a lean model file that loads anywhere, and tables."""

import csv
import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from keras_resnets import ResNetConfig, create_model
from keras_resnets.files import csv_text
from keras_resnets.training import TrainingSettings, train
from keras_resnets.training.fit import HISTORY
from keras_resnets.training.results import accuracy, write_history, write_model

VARIANTS = {
    "plain": {"shortcut": "none"},
    "post, pad": {"shortcut": "A"},
    "pre, bottleneck": {"activation_order": "pre", "block": "bottleneck"},
    "pooled, random branches": {"shortcut": "A_pool", "final_survival": 0.5},
    "ResNet-D, random samples": {
        "shortcut": "D",
        "final_survival": 0.7,
        "survival_mode": "sample",
        "dropout": 0.2,
    },
    "logits": {"classifier_activation": None},
    "features": {"include_top": False, "pooling": "avg"},
    "any size": {"input_shape": (None, None, 1)},
}


def _stirred(config, dtype=None):
    """A model whose every weight, moving statistics too, is far from its initial value."""
    model = create_model(config, dtype=dtype)
    rng = np.random.default_rng(0)
    model.set_weights(
        [
            (weight * rng.uniform(0.8, 1.2, weight.shape) + rng.uniform(0, 0.1, weight.shape))
            for weight in model.get_weights()
        ]
    )
    return model


def _variables(path):
    """Names of the variables in a .keras file, with their sizes."""
    sizes = {}
    with zipfile.ZipFile(path) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights) as file:
        file.visititems(
            lambda name, item: (
                sizes.update({name: item.size}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return sizes


@pytest.mark.large
def test_a_trained_models_file_has_no_optimizer_state(tiny_config, few_digits, tmp_path):
    settings = TrainingSettings(recipe="search", epochs=1, batch_size=48)
    checkpoint, path = tmp_path / "checkpoint.keras", tmp_path / "model.keras"
    result = train(tiny_config, few_digits, settings, checkpoint=checkpoint)
    write_model(result.model, path)

    def state(file):
        return sum(size for name, size in _variables(file).items() if "optimizer" in name)

    assert state(checkpoint) > result.model.count_params() / 2  # the momentum, for one
    assert state(path) <= 2  # the count of steps and the learning rate
    weights = sum(size for name, size in _variables(path).items() if "optimizer" not in name)
    assert weights == sum(w.size for w in result.model.get_weights())


@pytest.mark.large
def test_a_written_model_evaluates_as_the_trained_one(tiny_config, few_digits, tmp_path):
    import keras

    result = train(
        tiny_config, few_digits, TrainingSettings(recipe="search", epochs=2, batch_size=48)
    )
    write_model(result.model, tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images, labels = few_digits.images("validation")
    loss, correct = loaded.evaluate(images, labels, verbose=0)
    assert loss == pytest.approx(result.history[-1]["val_loss"], rel=1e-5)
    assert correct == pytest.approx(result.history[-1]["val_accuracy"])
    assert accuracy(loaded, few_digits, "validation") == pytest.approx(correct)


@pytest.mark.large
def test_models_load_in_a_fresh_process_and_answer_the_same(digits, run_python, tmp_path):
    """Importing only keras and keras_resnets, under other global settings than at saving."""
    images = digits.images("test", 16)[0]
    np.save(tmp_path / "images.npy", images)
    cases = {
        name: (
            digits.adapt(ResNetConfig(blocks=(1, 1), widths=(4, 8), stem_width=4)).replace(
                **changes
            ),
            None,
        )
        for name, changes in VARIANTS.items()
    }
    first = next(iter(cases.values()))[0]
    cases["mixed"] = (first.replace(shortcut="B"), "mixed_bfloat16")
    expected = {}
    for name, (config, dtype) in cases.items():
        model = _stirred(config, dtype)
        write_model(model, tmp_path / f"{name}.keras")
        answers = np.asarray(model(images, training=False), np.float32)
        expected[name] = (config.to_dict(), answers.ravel().tolist())
    program = """
import json, pathlib, sys
import keras
import keras_resnets
import numpy as np
keras.config.set_image_data_format("channels_first")
keras.config.set_dtype_policy("mixed_float16")
keras.config.set_floatx("float64")
folder = pathlib.Path(sys.argv[1])
images = np.load(folder / "images.npy")
results = {}
for path in folder.glob("*.keras"):
    model = keras.saving.load_model(path)
    answers = np.asarray(keras.ops.cast(model(images, training=False), "float32"))
    results[path.stem] = (model.config.to_dict(), answers.ravel().tolist())
print(json.dumps(results))
"""
    results = json.loads(run_python(program, tmp_path).splitlines()[-1])
    assert results.keys() == expected.keys()
    for name, (config, answers) in expected.items():
        assert results[name][0] == config, name
        tolerance = 2e-2 if name == "mixed" else 1e-5
        np.testing.assert_allclose(
            results[name][1], answers, rtol=tolerance, atol=tolerance, err_msg=name
        )


def test_accuracy_counts_right_answers(tiny_config, few_digits):
    model = _stirred(tiny_config)
    for split in ("validation", "test"):
        images, labels = few_digits.images(split)
        answers = np.asarray(model(images, training=False)).argmax(-1)
        assert accuracy(model, few_digits, split) == (answers == labels).mean()


def test_tables_are_csv(tmp_path):
    rows = [{"a": 1, "b": 'x, "y"', "more": 0}, {"a": None, "b": 2.5}]
    text = csv_text(rows, ("b", "a"))
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"b": 'x, "y"', "a": "1"},
        {"b": "2.5", "a": ""},
    ]
    assert text.startswith("b,a\n")
    history = [dict.fromkeys(HISTORY, 0.1), dict.fromkeys(HISTORY, 0.2)]
    write_history(history, tmp_path / "history.csv")
    with (tmp_path / "history.csv").open() as file:
        read = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert read == history
