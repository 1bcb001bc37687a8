"""`preprocess_input` and `decode_predictions` are keras.applications'."""

import json

import keras
import numpy as np
import pytest

import keras_resnets as kr
from keras_resnets.applications import densenet, imagenet_utils, resnet, resnet50, resnet_v2
from keras_resnets.errors import RunError

MODULES = {"resnet": resnet, "resnet50": resnet50, "resnet_v2": resnet_v2, "densenet": densenet}


def photos(dtype="float32"):
    return np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name, module", MODULES.items())
def test_images_are_prepared_as_by_keras(name, module, dtype):
    x = photos(dtype)
    found = module.preprocess_input(x)
    np.testing.assert_array_equal(x, photos(dtype))  # Keras writes into the array it is given
    theirs = getattr(keras.applications, name).preprocess_input
    np.testing.assert_array_equal(found, theirs(photos(dtype)))
    tensor = module.preprocess_input(keras.ops.convert_to_tensor(photos()))
    np.testing.assert_allclose(np.array(tensor), theirs(photos()), atol=1e-4)
    first = module.preprocess_input(photos().transpose(0, 3, 1, 2), data_format="channels_first")
    np.testing.assert_allclose(first.transpose(0, 2, 3, 1), theirs(photos()), atol=1e-4)


@pytest.mark.parametrize(
    "mode, mean, std",
    [
        ("torch", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
        ("tf", (127.5,) * 3, (127.5,) * 3),
    ],
)
def test_a_network_can_do_it_itself(mode, mean, std):
    """What the migration page says to give instead."""
    small = {"widths": (4,), "blocks": (1,), "strides": (1,), "stem_width": 4}
    small |= {"input_shape": (5, 4, 3)}
    raw = kr.create_model("resnet20_cifar", input_mean=mean, input_std=std, **small)
    plain = kr.create_model("resnet20_cifar", **small)
    values = {v.path: np.array(v) for v in raw.weights}
    for weight in plain.weights:
        weight.assign(values[weight.path])
    x = photos("uint8")
    prepared = imagenet_utils.preprocess_input(x, mode=mode)
    np.testing.assert_allclose(np.array(raw(x)), np.array(plain(prepared)), rtol=1e-4, atol=1e-5)


WRONG = [
    ({"mode": "pytorch"}, "`mode` must be one of caffe, tf, torch"),
    ({"data_format": "NCHW"}, "`data_format` must be"),
    ({"x": np.zeros((3,))}, "`x` must be images"),
]


@pytest.mark.parametrize("arguments, words", WRONG)
def test_wrong_preprocessing_is_refused(arguments, words):
    with pytest.raises(kr.InputError, match=words):
        imagenet_utils.preprocess_input(**{"x": photos(), **arguments})


@pytest.fixture
def index(tmp_path):
    """A class index as Keras has it, of four classes."""
    path = tmp_path / "imagenet_class_index.json"
    words = ["tench", "goldfish", "shark", "ray"]
    path.write_text(json.dumps({str(i): [f"n{i}", word] for i, word in enumerate(words)}), "utf-8")
    return path


PROBABILITIES = np.array([[0.1, 0.2, 0.6, 0.1], [0.7, 0.1, 0.0, 0.2]], "float32")


def test_predictions_are_named_from_files_and_lists(index, tmp_path):
    found = imagenet_utils.decode_predictions(PROBABILITIES, top=2, class_names=index)
    assert [[(wnid, word) for wnid, word, _ in row] for row in found] == [
        [("n2", "shark"), ("n1", "goldfish")],
        [("n0", "tench"), ("n3", "ray")],
    ]
    assert found[0][0][2] == pytest.approx(0.6)
    names = ["a", "b", "c", "d"]
    (tmp_path / "names.txt").write_text("\n".join(names), "utf-8")
    (tmp_path / "names.json").write_text(json.dumps(names), "utf-8")
    for source in (names, tmp_path / "names.txt", str(tmp_path / "names.json")):
        tensor = keras.ops.convert_to_tensor(PROBABILITIES)
        found = resnet.decode_predictions(tensor, top=9, class_names=source)
        assert [word for _, word, _ in found[1]] == ["a", "d", "b", "c"]


def test_imagenets_are_keras(monkeypatch, tmp_path):
    """With Keras' own file in Keras' own folder, the answers are Keras' own."""
    path = tmp_path / "index.json"
    path.write_text(json.dumps({str(i): [f"n{i}", f"word{i}"] for i in range(1000)}), "utf-8")
    monkeypatch.setattr(keras.utils, "get_file", lambda *args, **kwargs: str(path))
    theirs = keras.src.applications.imagenet_utils
    monkeypatch.setattr(theirs, "CLASS_INDEX", json.loads(path.read_text("utf-8")))
    preds = np.random.default_rng(0).random((3, 1000)).astype("float32")
    assert imagenet_utils.decode_predictions(preds) == theirs.decode_predictions(preds)


def test_without_a_network_there_is_one_clear_line(monkeypatch):
    def unreachable(*args, **kwargs):
        raise Exception("URL fetch failure on https://storage...: None -- unreachable\nmore")

    monkeypatch.setattr(keras.utils, "get_file", unreachable)
    with pytest.raises(RunError, match=r"give `class_names`.*URL fetch failure") as caught:
        imagenet_utils.decode_predictions(np.zeros((1, 1000)))
    assert "\n" not in str(caught.value)


BAD = [
    (np.zeros((1, 10)), {}, "ImageNet's 1000 need `class_names`"),
    (np.zeros(4), {"class_names": list("abcd")}, r"shape \(batch, classes\)"),
    (PROBABILITIES, {"class_names": list("abc")}, "must name the 4 classes"),
    (PROBABILITIES, {"class_names": "missing.txt"}, "`class_names` must be names.*missing.txt"),
    (PROBABILITIES, {"class_names": 5}, "`class_names` must be names"),
    (PROBABILITIES, {"class_names": list("abcd"), "top": 0}, "`top` must be a positive"),
]


@pytest.mark.parametrize("preds, arguments, words", BAD)
def test_wrong_predictions_are_refused(preds, arguments, words):
    with pytest.raises(kr.InputError, match=words):
        imagenet_utils.decode_predictions(preds, **arguments)


@pytest.mark.parametrize("text", ["{", "[1, 2", '{"a": 1}', '{"0": "x"}', "5", "null"])
def test_damaged_files_of_names_are_refused(text, tmp_path):
    path = tmp_path / "names.json"
    path.write_text(text, "utf-8")
    with pytest.raises(kr.InputError, match="`class_names` must be names"):
        imagenet_utils.decode_predictions(PROBABILITIES, class_names=path)


def test_the_package_is_laid_out_like_keras():
    from keras_resnets import applications

    for name in ("ResNet50", "DenseNet121", "resnet", "resnet50", "resnet_v2", "densenet"):
        assert hasattr(applications, name)
        assert hasattr(keras.applications, name)
        assert name in dir(applications)
    assert applications.ResNet50 is kr.ResNet50 is resnet.ResNet50
    with pytest.raises(AttributeError, match=r"mean 'preact_resnet50'.*last block"):
        getattr(applications, "ResNet50V2")  # noqa: B009
