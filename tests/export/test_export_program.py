"""``keras-resnets export``'s program, on model files and the data sets to verify on."""

import numpy as np
import pytest
from PIL import Image

from keras_resnets import ResNetConfig, create_model
from keras_resnets.errors import DataError, InputError
from keras_resnets.export.program import run_export
from keras_resnets.training.results import write_model
from keras_resnets.training.settings import TrainingSettings
from keras_resnets.words import wrap

DIGITS = {"name": "keras_resnets_digits"}


def _write(config, path, data_format=None):
    from keras_resnets.training.fit import compile_for_training

    model = create_model(config, data_format=data_format)
    compile_for_training(model, TrainingSettings())
    write_model(model, path)
    return path


@pytest.fixture(scope="module")
def model_file(tiny_config, tmp_path_factory):
    return _write(tiny_config, tmp_path_factory.mktemp("models") / "model.keras")


@pytest.mark.parametrize(
    ("formats", "names"),
    [
        (["saved_model", "tflite"], {"saved_model", "model.tflite"}),
        (["tflite"], {"model.tflite"}),
    ],
)
@pytest.mark.sampled(1)
def test_a_model_file_is_exported_and_verified(formats, names, model_file, digits, tmp_path):
    lines = []
    results = run_export(model_file, formats, tmp_path / "out", DIGITS, lines.append)
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"summary.json"}
    assert [result.format for result in results] == formats
    for result, line in zip(results, lines, strict=True):
        assert result.images == digits.sizes["test"]
        assert result.agreement == 1
        assert line == wrap(f"{result} -> {result.path}")


@pytest.mark.large
def test_the_images_can_be_limited(model_file, tmp_path):
    (result,) = run_export(
        model_file, ["tflite"], tmp_path, DIGITS, print_fn=lambda line: None, limit=10
    )
    assert result.images == 10


@pytest.fixture
def photos(tmp_path):
    for index in range(3):
        for name, value in (("cats", 60), ("dogs", 180)):
            path = tmp_path / "photos" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((20, 20, 3), value + index, np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.mark.large
def test_photos_are_resized_to_the_models_input(photos, tmp_path):
    config = ResNetConfig(
        blocks=(1,),
        widths=(4,),
        stem_width=4,
        input_shape=(24, 24, 3),
        input_mean=(1, 2, 3),
        input_std=(4, 5, 6),
        classes=2,
    )
    path = _write(config, tmp_path / "model.keras")
    (result,) = run_export(
        path, ["tflite"], tmp_path / "out", {"name": str(photos)}, print_fn=lambda line: None
    )
    assert result.images == 2


def _text_file(tmp_path):
    path = tmp_path / "bad.keras"
    path.write_text("no archive")
    return path


def _cut_file(tmp_path, model_file):
    path = tmp_path / "cut.keras"
    path.write_bytes(model_file.read_bytes()[:2000])
    return path


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        ("text", InputError, "bad.keras' cannot be read as a Keras model"),
        ("cut", InputError, "cut.keras' cannot be read as a Keras model"),
        ("format", InputError, r"`formats` must be of saved_model, tflite\. Received.*'onxx'"),
        (
            "output in a file",
            InputError,
            r"`output` must be a folder that can be written.*file/out",
        ),
        ("unknown data", DataError, "nearest: keras_resnets_digits"),
        ("other channels", InputError, "images of 3 channels; the model takes 1"),
        ("another size", InputError, "`image_size` must be the model's, 8 x 8. Received: image_s"),
        ("channels first", InputError, "Received: a channels_first model"),
    ],
)
def test_wrong_input_is_said_in_one_line_and_writes_nothing(
    case, error, message, model_file, tiny_config, photos, tmp_path, tree
):
    path, formats, output, data = model_file, ["saved_model", "tflite"], tmp_path / "out", DIGITS
    if case == "text":
        path = _text_file(tmp_path)
    elif case == "cut":
        path = _cut_file(tmp_path, model_file)
    elif case == "format":
        formats = ["tflite", "onxx"]
    elif case == "output in a file":
        (tmp_path / "file").touch()
        output = tmp_path / "file" / "out"
    elif case == "unknown data":
        data = {"name": "keras_resnets_digit"}
    elif case == "other channels":
        data = {"name": str(photos)}
    elif case == "another size":
        data = {**DIGITS, "image_size": 16}
    elif case == "channels first":
        path = _write(tiny_config, tmp_path / "first.keras", "channels_first")
    before = tree(tmp_path)
    with pytest.raises(error, match=message) as caught:
        run_export(path, formats, output, data, print_fn=lambda line: None)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before


@pytest.mark.large
def test_images_are_resized_to_the_model(model_file, photos, tmp_path):
    data = {"name": str(photos), "channels": 1}
    results = run_export(model_file, ["tflite"], tmp_path, data, print_fn=id)
    assert results[0].agreement == 1
