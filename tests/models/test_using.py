import keras
import numpy as np
import pytest
from small_networks import small_model

import keras_resnets as kr

BN = keras.layers.BatchNormalization


def images(*shape):
    return np.random.default_rng(0).normal(2.0, 3.0, size=shape).astype("float32")


@pytest.mark.parametrize(
    "name, options, shapes",
    [
        ("resnet50", {}, {"P2": 16, "P3": 8, "P4": 4, "P5": 2}),
        ("preact_resnet50", {}, {"P2": 16, "P3": 8, "P4": 4, "P5": 2}),
        ("densenet121", {}, {"P2": 16, "P3": 8, "P4": 4, "P5": 2}),
        ("resnet50d", {"output_stride": 8}, {"P2": 16, "P3": 8}),
        ("resnet20_cifar", {}, {"P0": 64, "P1": 32, "P2": 16}),
    ],
)
@pytest.mark.sampled(2)
def test_feature_pyramid(name, options, shapes):
    model = small_model(name, include_top=False, input_shape=(64, 64, 3), **options)
    pyramid = kr.feature_pyramid(model)
    extractor = keras.Model(model.input, pyramid)
    outputs = extractor(images(2, 64, 64, 3))
    assert {level: output.shape[1] for level, output in outputs.items()} == shapes
    last = list(pyramid)[-1]
    np.testing.assert_array_equal(
        np.asarray(outputs[last]), np.asarray(model(images(2, 64, 64, 3)))
    )
    assert list(kr.feature_pyramid(model, by="stage")) == list(model.stages)


def test_feature_pyramid_refuses():
    model = small_model("resnet20_cifar", strides=(1, 3, 1))
    assert list(kr.feature_pyramid(model, by="stage")) == ["stage1", "stage2", "stage3"]
    with pytest.raises(kr.ConfigError, match="by='stage'"):
        kr.feature_pyramid(model)
    with pytest.raises(kr.ConfigError, match="`by` must be"):
        kr.feature_pyramid(model, by="size")


def train(model):
    # Large steps, so that whatever may move does.
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    before = {v.path: np.array(v) for v in model.weights}
    model.fit(images(8, 24, 24, 3), np.arange(8) % 5, batch_size=8, verbose=0)
    after = {v.path: np.array(v) for v in model.weights}
    return {path for path, value in before.items() if (value != after[path]).any()}


def paths(model, *, layers, only=None):
    return {
        v.path
        for layer in model.layers
        if layer.name.startswith(layers)
        for v in layer.weights
        if only is None or v.path.split("/")[-1] in only
    }


FIRST = ("stem", "stage1", "stage2", "transition1", "transition2")
REST = ("stage3", "final", "predictions")


@pytest.mark.parametrize(
    "name", ["resnet20_b_cifar", "preact_resnet164_cifar", "densenet_40_12_cifar"]
)
@pytest.mark.parametrize("reload", [False, True], ids=["built", "reloaded"])
@pytest.mark.sampled(1)
def test_frozen_parts_keep_weights_and_statistics(name, reload, tmp_path):
    model = kr.freeze(small_model(name, weight_decay=0.0), through="stage2")
    if reload:
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")
    moved = train(model)
    first = ("stem", "stage1", "stage2", "transition1")
    assert not moved & paths(model, layers=first)
    assert moved >= paths(model, layers=("stage3", "predictions"), only=("moving_mean", "bias"))


@pytest.mark.parametrize("reload", [False, True], ids=["built", "reloaded"])
@pytest.mark.sampled(1)
def test_batch_norm_of_a_frozen_part_may_go_on(reload, tmp_path):
    model = small_model("resnet20_b_cifar", weight_decay=0.0)
    model = kr.freeze(model, through="stage2", batch_norm=False)
    if reload:
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")
    moved = train(model)
    first = ("stem", "stage1", "stage2")
    statistics = ("moving_mean", "moving_variance", "gamma", "beta")
    assert paths(model, layers=first, only=statistics) <= moved
    assert not moved & paths(model, layers=first, only=("kernel",))


def test_frozen_batch_norm_normalises_as_in_inference():
    model = kr.freeze(small_model("resnet20_cifar"))
    batch = images(4, 24, 24, 3)
    np.testing.assert_array_equal(
        np.asarray(model(batch, training=True)), np.asarray(model(batch, training=False))
    )
    assert not model.trainable_variables


SEQUENCES = [
    [("stage2", False), ("stem", True)],
    [(None, True), ("stage1", True)],
    [(None, False), ("stage2", True), ("stage1", False)],
]


@pytest.mark.parametrize("sequence", SEQUENCES)
@pytest.mark.parametrize("reload", [False, True], ids=["built", "reloaded"])
@pytest.mark.sampled(2)
def test_only_the_last_call_counts(sequence, reload, tmp_path):
    model = small_model("resnet20_b_cifar")
    for through, batch_norm in sequence:
        kr.freeze(model, through, batch_norm)
        if reload:
            model.save(tmp_path / "model.keras")
            model = keras.saving.load_model(tmp_path / "model.keras")
    once = kr.freeze(small_model("resnet20_b_cifar"), *sequence[-1])
    trainable = [variable.path for variable in model.trainable_variables]
    assert trainable == [variable.path for variable in once.trainable_variables]
    assert 0 < len(trainable) < len(small_model("resnet20_b_cifar").trainable_variables)


@pytest.mark.parametrize("through", ["stage9", "stag2", 3])
def test_freeze_names_the_parts(through):
    with pytest.raises(kr.ConfigError, match="the stages are stage1, stage2, stage3"):
        kr.freeze(small_model("resnet20_cifar"), through=through)


def test_other_models_are_refused():
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(kr.ConfigError, match=r"`model` must be a network of ours.*Sequential"):
        kr.feature_pyramid(other)


@pytest.mark.parametrize("name", ["resnet50", "se_resnet50", "densenet121", "resnetv2_50x1_bit"])
def test_weight_decay_mask_spares_normalisation_and_bias(name):
    model = small_model(name, weight_decay=0.0)
    mask = kr.weight_decay_mask(model)
    assert len(mask) == len(model.trainable_variables)
    for variable, decays in zip(model.trainable_variables, mask, strict=True):
        # Kernels of convolutions and dense layers have more than one axis; all else is spared.
        assert decays == (len(variable.shape) > 1), variable.path


def test_weight_decay_mask_with_an_optimizer():
    model = small_model("resnet20_cifar", weight_decay=0.0)
    optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
    spared = [
        v
        for v, decays in zip(model.trainable_variables, kr.weight_decay_mask(model), strict=True)
        if not decays
    ]
    optimizer.exclude_from_weight_decay(var_list=spared)
    optimizer.build(model.trainable_variables)
    before = [np.array(v) for v in model.trainable_variables]
    optimizer.apply([np.zeros_like(value) for value in before])
    moved = [
        bool((value != np.array(v)).any())
        for value, v in zip(before, model.trainable_variables, strict=True)
    ]
    assert moved == kr.weight_decay_mask(model)
