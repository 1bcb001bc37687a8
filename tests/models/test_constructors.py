import inspect

import keras
import numpy as np
import pytest

import keras_resnets as kr
from keras_resnets.models.constructor_table import NAMES, TABLE


def test_the_arguments_are_keras_applications():
    ours = inspect.signature(kr.ResNet50).parameters
    theirs = inspect.signature(keras.applications.ResNet50).parameters
    assert [name for name in ours if name != "options"] == list(theirs)
    for name in set(theirs) - {"weights", "name"}:
        assert ours[name].default == theirs[name].default


@pytest.mark.parametrize("constructor, name, title, reference", TABLE)
def test_each_constructor_is_documented_and_resolves(constructor, name, title, reference):
    function = getattr(kr, constructor)
    assert function.__name__ == constructor
    assert title in function.__doc__
    assert reference in function.__doc__
    assert name in kr.list_models()
    assert inspect.signature(function).parameters["name"].default == name


def test_every_constructor_is_public():
    assert set(NAMES) <= set(dir(kr))
    assert set(NAMES) <= set(kr.__all__)


@pytest.mark.parametrize("constructor", ["ResNet18", "DenseNet121", "PreActResNet18"])
@pytest.mark.sampled(1)
def test_without_top_any_size_and_with_pooling_a_vector(constructor):
    make = getattr(kr, constructor)
    maps = make(include_top=False)
    assert maps.input_shape == (None, None, None, 3)
    assert maps.output_shape[:3] == (None, None, None)
    vectors = make(include_top=False, pooling="avg", input_shape=(40, 40, 3))
    assert vectors.output_shape == (None, maps.output_shape[3])


def test_positional_arguments_as_in_keras_applications():
    inputs = keras.Input((40, 40, 3))
    model = kr.ResNet18(True, None, inputs, None, None, 7, None, "mine")
    assert (model.name, model.output_shape) == ("mine", (None, 7))
    # Logits, not probabilities.
    outputs = np.asarray(model(np.random.default_rng(0).normal(size=(2, 40, 40, 3)), training=True))
    assert not np.allclose(outputs.sum(-1), 1)


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: kr.CifarResNet(20), "resnet20_cifar"),
        (lambda: kr.CifarResNet(164), "resnet164_cifar"),
        (lambda: kr.CifarPlainNet(20), "plain20_cifar"),
        (lambda: kr.CifarPreActResNet(20, bottleneck=False), "preact_resnet20_basic_cifar"),
        (lambda: kr.CifarPreActResNet(29, bottleneck=True), "preact_resnet29_bottleneck_cifar"),
        (lambda: kr.CifarWideResNet(16, 1), "wrn16_1_cifar"),
        (lambda: kr.CifarWideResNet(16, 1, block="B(1,3,1)"), "wrn16_1_b131_cifar"),
        (lambda: kr.CifarStochasticDepthResNet(20), "stochastic_depth_resnet20_cifar"),
        (lambda: kr.CifarDenseNet(22, 12), "densenet_bc_22_12_cifar"),
        (lambda: kr.CifarDenseNet(22, 12, False, 1.0), "densenet_22_12_cifar"),
        (lambda: kr.CifarDenseNet(22, 12, True, 1.0), "densenet_b_22_12_cifar"),
        (lambda: kr.CifarDenseNet(22, 12, False, 0.5), "densenet_c_22_12_cifar"),
    ],
)
@pytest.mark.sampled(4)
def test_parametric_constructors_build_the_named_network(make, name):
    model = make()
    assert model.config == kr.model_config(name)


def test_parametric_constructors_pass_fields_on():
    assert kr.CifarWideResNet(10, 1, dropout=0.3, classes=100).config.dropout == 0.3
    assert kr.CifarStochasticDepthResNet(8, final_survival=0.8).config.final_survival == 0.8
    assert kr.CifarDenseNet(10, compression=0.7).config.compression == 0.7


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: kr.CifarResNet(21), "nearest legal: 20"),
        (lambda: kr.CifarResNet("20"), "`depth` must be a positive integer"),
        (lambda: kr.CifarPreActResNet(164, "yes"), "`bottleneck` must be one of True, False, None"),
        (lambda: kr.CifarDenseNet(100, 12, "no"), "`bottleneck` must be one of True, False"),
        (lambda: kr.CifarWideResNet(16, 0), "`width` must be a positive integer"),
        (lambda: kr.CifarWideResNet(16, 4, block="B(3)"), "`block` must be one of"),
        (lambda: kr.CifarWideResNet(16, 4, dropout=1.5), "`dropout` must be"),
        (lambda: kr.CifarDenseNet(41), "6n\\+4"),
        (lambda: kr.CifarDenseNet(40, compression="half"), "`compression` must be"),
        (lambda: kr.CifarStochasticDepthResNet(110, 0), "`final_survival` must be"),
        (lambda: kr.ResNet50(weights="imagenet"), "no weights are downloaded"),
    ],
)
def test_wrong_arguments_are_named(make, words):
    with pytest.raises(kr.ConfigError, match=words):
        make()
