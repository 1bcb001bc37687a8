"""Several networks as parts of one model: their layers have other names."""

import keras
import numpy as np
import pytest
from small_networks import small_config

import keras_resnets as kr
from keras_resnets.errors import InputError

CONFIG = small_config("preact_resnet20_cifar")
IMAGES = np.random.default_rng(0).random((2, 24, 24, 3), "float32")


@pytest.fixture(scope="module")
def left():
    return kr.create_model(CONFIG, layer_prefix="left_", name="left", remat="block")


@pytest.fixture(scope="module")
def plain(left):
    plain = kr.create_model(CONFIG, name="plain", remat="block")
    plain.set_weights(left.get_weights())
    return plain


LARGE = ("densenet121", "resnet50t", "resnet50_blur")


@pytest.mark.parametrize(
    "name", ["resnet20_cifar", *(pytest.param(name, marks=pytest.mark.large) for name in LARGE)]
)
def test_two_networks_upon_one_tensor(name, tmp_path):
    image = keras.Input((24, 24, 3))
    raw = {"input_mean": (100.0, 100.0, 100.0), "input_std": (50.0, 50.0, 50.0)}
    parts = [
        kr.create_model(small_config(name, **raw), input_tensor=image, layer_prefix=prefix)
        for prefix in ("left_", "right_", "")
    ]
    both = keras.Model(image, [part.output for part in parts])
    both.save(tmp_path / "both.keras")
    again = keras.saving.load_model(tmp_path / "both.keras")
    raw_images = 255 * IMAGES
    expected = [np.asarray(part(raw_images)) for part in parts]
    for model in (both, again):
        for found, want in zip(model(raw_images), expected, strict=True):
            np.testing.assert_allclose(np.asarray(found), want, atol=1e-6)
    assert not np.allclose(expected[0], expected[1])


@pytest.mark.parametrize("raw", [{}, {"input_mean": (100.0,) * 3, "input_std": (50.0,) * 3}])
@pytest.mark.parametrize("nested", [False, True], ids=["an input", "a layer's output"])
def test_a_second_network_of_the_same_names_upon_one_tensor_warns(raw, nested, recwarn):
    config = small_config("resnet20_cifar", **raw)
    image = keras.Input((24, 24, 3))
    tensor = keras.layers.Dense(3, name="before")(image) if nested else image
    keras.layers.Flatten()(tensor)
    kr.create_model(config, input_tensor=tensor)
    kr.create_model(config, input_tensor=tensor, layer_prefix="left_")
    kr.create_model(config, input_tensor=keras.Input((24, 24, 3)))
    assert not [warning for warning in recwarn if "layer_prefix" in str(warning.message)]
    name = "normalization" if raw else "stem_conv"
    with pytest.warns(UserWarning, match=rf"layer '{name}' already.*`layer_prefix`"):
        kr.create_model(config, input_tensor=tensor)


def test_every_name_begins_with_the_prefix(left, plain):
    assert [layer.name for layer in left.layers] == [f"left_{x.name}" for x in plain.layers]
    assert [w.path for w in left.weights] == [f"left_{w.path}" for w in plain.weights]
    assert left.layer_prefix == "left_"
    assert plain.layer_prefix == ""


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_it_survives_saving(left, suffix, tmp_path):
    left.save(tmp_path / f"left{suffix}")
    again = keras.saving.load_model(tmp_path / f"left{suffix}")
    assert again.config == left.config
    assert again.layer_prefix == "left_"
    assert again.remat == "block"
    assert list(again.stages) == ["stage1", "stage2", "stage3"]
    np.testing.assert_array_equal(np.asarray(again(IMAGES)), np.asarray(left(IMAGES)))


def test_what_goes_by_names_goes_on(left, plain):
    assert {k: v.shape for k, v in left.stages.items()} == {
        k: v.shape for k, v in plain.stages.items()
    }
    assert list(kr.feature_pyramid(left)) == list(kr.feature_pyramid(plain))
    for through in ("stem", "stage2", "stage1_block1", "left_stage1_block1"):
        kr.freeze(left, through=through)
        kr.freeze(plain, through=through.removeprefix("left_"))
        frozen = [[layer.trainable for layer in model.layers] for model in (left, plain)]
        assert frozen[0] == frozen[1]
        assert not all(frozen[0])
    for model in (left, plain):
        model.trainable = True


def test_blocks_are_computed_again_in_training(left, plain):
    """By `remat`, which finds them by their names."""
    stages = left._stage_blocks()
    assert list(stages) == ["stage1", "stage2", "stage3"]
    outputs = [np.asarray(model(IMAGES, training=True)) for model in (left, plain)]
    np.testing.assert_allclose(*outputs, atol=1e-6)


def test_weights_go_between_networks_of_other_prefixes(left, tmp_path):
    left.save_weights(tmp_path / "left.weights.h5")
    again = kr.create_model(CONFIG, weights=tmp_path / "left.weights.h5")
    np.testing.assert_array_equal(np.asarray(again(IMAGES)), np.asarray(left(IMAGES)))


@pytest.mark.parametrize("prefix", ["a/", "a b", None, 3, "_a", "ä"])
def test_a_prefix_that_is_no_name_is_refused(prefix):
    with pytest.raises(kr.ConfigError, match="`layer_prefix` must be"):
        kr.create_model(CONFIG, layer_prefix=prefix)


def test_surgery_refuses_it_by_name(left):
    from keras_resnets import surgery

    for operation in (surgery.fold_batch_norm, surgery.to_plain, surgery.recalibrate_batch_norm):
        more = {"dataset": IMAGES} if operation is surgery.recalibrate_batch_norm else {}
        with pytest.raises(InputError, match="layer_prefix='left_'"):
            operation(left, **more)
    with pytest.raises(InputError, match="layer_prefix='left_'"):
        surgery.deepen(left, (2, 2, 2))
