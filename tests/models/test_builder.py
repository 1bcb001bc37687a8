import keras
import numpy as np
import pytest
from gradients import check_reached
from small_networks import EACH_FAMILY, FAMILIES, small_config, small_model

import keras_resnets as kr


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@EACH_FAMILY
@pytest.mark.sampled(3)
def test_runs_at_any_size(name):
    model = small_model(name, input_shape=(None, None, 3))
    for size in ((24, 24), (17, 33), (1, 1)):
        outputs = np.asarray(model(images(2, *size, 3)))
        assert outputs.shape == (2, 5)
        np.testing.assert_allclose(outputs.sum(-1), 1, atol=1e-5)


@EACH_FAMILY
@pytest.mark.sampled(4)
def test_gradient_reaches_every_weight(name):
    changes = {} if "densenet" in name else {"zero_init_residual": False}
    # In inference mode no branch is dropped.
    check_reached(lambda: small_model(name, weight_decay=0.0, **changes), images(4, 24, 24, 3))


@EACH_FAMILY
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.sampled(1)
def test_mixed_precision_keeps_the_head_in_float32(name, policy):
    model = small_model(name, dtype=policy)
    outputs = model(images(2, 24, 24, 3))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    assert np.isfinite(np.asarray(outputs)).all()
    blocks = [layer for layer in model.layers if "_block" in layer.name]
    assert {layer.compute_dtype for layer in blocks} == {policy.removeprefix("mixed_")}
    full = small_model(name)
    full.set_weights(model.get_weights())
    # Three decimal digits in, a few layers deep: probabilities agree to two.
    np.testing.assert_allclose(
        np.asarray(outputs), np.asarray(full(images(2, 24, 24, 3))), atol=0.06
    )


@EACH_FAMILY
@pytest.mark.sampled(2)
def test_channels_first_is_the_same_function(name):
    last = small_model(name, data_format="channels_last", input_shape=(None, None, 3))
    first = small_model(name, data_format="channels_first", input_shape=(None, None, 3))
    first.set_weights(last.get_weights())
    batch = images(2, 23, 18, 3)
    np.testing.assert_allclose(
        np.asarray(first(batch.transpose(0, 3, 1, 2))), np.asarray(last(batch)), atol=1e-5
    )


@pytest.mark.parametrize("name", ["resnet20_cifar", "densenet121"])
def test_input_shape_is_in_the_order_of_the_data_format(name):
    model = kr.create_model(
        small_config(name), input_shape=(2, 20, 30), data_format="channels_first"
    )
    assert model.input_shape == (None, 2, 20, 30)
    assert model.config.input_shape == (20, 30, 2)


@EACH_FAMILY
@pytest.mark.sampled(2)
def test_two_builds_have_the_same_names(name):
    one, other = small_model(name), small_model(name)
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    paths = [variable.path for variable in one.weights]
    assert paths == [variable.path for variable in other.weights]
    assert len(set(paths)) == len(paths)
    assert all("_1" not in layer.name for layer in one.layers if "block" not in layer.name)


@pytest.mark.parametrize("channels, classes", [(1, 2), (4, 17)])
@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet50d", "densenet_bc_100_12_cifar"])
@pytest.mark.sampled(2)
def test_any_channels_and_classes(name, channels, classes):
    model = small_model(name, input_shape=(16, 16, channels), classes=classes)
    assert model(images(1, 16, 16, channels)).shape == (1, classes)


@pytest.mark.parametrize(
    "options, shape",
    [
        ({"include_top": False}, (None, 1, 1, 64)),
        ({"include_top": False, "pooling": "avg"}, (None, 64)),
        ({"include_top": False, "pooling": "max"}, (None, 64)),
        ({"classifier_activation": None}, (None, 5)),
    ],
)
def test_tops(options, shape):
    model = kr.create_model(small_config("resnet18"), **options)
    assert model.output_shape == shape
    if options.get("pooling"):
        maps = small_model("resnet18", include_top=False)
        maps.set_weights(model.get_weights())
        reduce = {"avg": np.mean, "max": np.max}[options["pooling"]]
        batch = images(2, 24, 24, 3)
        expected = reduce(np.asarray(maps(batch)), axis=(1, 2))
        np.testing.assert_allclose(np.asarray(model(batch)), expected, rtol=1e-5)


def test_raw_images_are_normalised_inside():
    config = small_config("resnet20_cifar", input_mean=(120.0, 110, 100), input_std=(60.0, 50, 40))
    raw = kr.create_model(config)
    plain = small_model("resnet20_cifar")
    plain.set_weights(raw.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3)).astype("uint8")
    normalized = (pixels - np.float32(config.input_mean)) / np.float32(config.input_std)
    np.testing.assert_allclose(np.asarray(raw(pixels)), np.asarray(plain(normalized)), atol=1e-5)


def test_builds_upon_a_tensor():
    inputs = keras.Input((24, 24, 3), name="photo")
    halved = keras.layers.Rescaling(0.5)(inputs)
    model = kr.create_model(small_config("resnet20_cifar"), input_tensor=halved)
    plain = small_model("resnet20_cifar")
    plain.set_weights(model.get_weights())
    batch = images(2, 24, 24, 3)
    np.testing.assert_allclose(np.asarray(model(batch)), np.asarray(plain(batch / 2)), atol=1e-6)
    with pytest.raises(kr.ConfigError, match="`input_tensor` must be a Keras tensor"):
        kr.create_model("resnet20_cifar", input_tensor=batch)
    with pytest.raises(kr.ConfigError, match="`input_shape` must be None or the shape"):
        kr.create_model("resnet20_cifar", input_tensor=halved, input_shape=(32, 32, 3))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"weights": "imagenet"}, "`weights` must be None or the path"),
        ({"weights": 5}, "`weights` must be None or the path"),
        ({"dtype": "float33"}, "`dtype` must be"),
        ({"data_format": "nhwc"}, "`data_format` must be"),
        ({"input_shape": (32, 32)}, "`input_shape` must be"),
        ({"classes": 0}, "`classes` must be"),
        ({"clases": 3}, "nearest: classes"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(kr.ConfigError, match=words):
        kr.create_model("resnet20_cifar", **arguments)


@pytest.mark.parametrize(
    "name, stride", [("resnet18", 8), ("resnet50", 8), ("resnet50_v1_5", 16), ("resnet50d", 8),
                     ("preact_resnet50", 16), ("densenet121", 8), ("resnet20_b_cifar", 1),
                     ("resnext50_32x4d", 8), ("wrn40_2_b131_cifar", 2), ("resnet18_a", 4)]
)  # fmt: skip
@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.sampled(3)
def test_a_dilated_network_sees_what_the_strided_one_does(name, stride, size):
    strided = small_model(name, include_top=False, input_shape=(size, size, 3))
    dilated = small_model(
        name, include_top=False, input_shape=(size, size, 3), output_stride=stride
    )
    dilated.set_weights(strided.get_weights())
    batch = images(2, size, size, 3)
    coarse, fine = np.asarray(strided(batch)), np.asarray(dilated(batch))
    step = strided.config.total_stride // stride
    assert fine.shape[1] == -(-size // stride)
    np.testing.assert_allclose(fine[:, ::step, ::step], coarse, atol=2e-5)


ABLATIONS = [
    {"activation_order": "bn_after_addition"},
    {"activation_order": "relu_before_addition"},
    {"activation_order": "relu_only"},
    {"activation_order": "relu_only", "first_activation": "stem"},
    {"shortcut_scale": 0.5, "branch_scale": 0.5},
    {"shortcut_scale": 0.5},
    {"shortcut_gate": "exclusive"},
    {"shortcut_gate": "shortcut_only", "gate_bias": -3.0},
    {"shortcut_dropout": 0.5},
    {"shortcut": "C"},
    {"attention": "se"},
    {"dropout": 0.2},
    {"drop_block": 0.2, "drop_block_size": 3},
    {"normalization": "group", "norm_groups": 4, "weight_standardization": True},
    {"antialias": True},
    {"zero_init_residual": True},
    {"stem_pool": "conv"},
]


@pytest.mark.parametrize(
    "fields", ABLATIONS, ids=lambda fields: "-".join(map(str, fields.values()))
)
@pytest.mark.parametrize("name", sorted({"resnet20_cifar", "resnet164_cifar"} & set(FAMILIES)))
@pytest.mark.sampled(2)
def test_ablations_build_run_and_cost(name, fields):
    config = small_config(name, **fields)
    model = kr.create_model(config)
    assert np.isfinite(np.asarray(model(images(2, 24, 24, 3), training=True))).all()
    cost = kr.complexity(config)
    assert model.count_params() == cost.total_params


def test_a_zero_initialised_residual_net_passes_its_input_through():
    config = small_config("resnet20_cifar", zero_init_residual=True, include_top=False)
    model = kr.create_model(config)
    batch = images(2, 24, 24, 3)
    stem = keras.Model(model.input, model.get_layer("stem_relu").output)
    # Shortcut A: every second pixel, twice, and zeros for the new channels.
    expected = np.asarray(stem(batch))[:, ::4, ::4]
    outputs = np.asarray(model(batch))
    np.testing.assert_allclose(outputs[..., :8], expected, atol=1e-6)
    assert not outputs[..., 8:].any()


@pytest.mark.parametrize("written", [b"garbage", None], ids=["garbage", "other classes"])
def test_weights_that_do_not_fit_are_named(tmp_path, written):
    path = tmp_path / "some.weights.h5"
    if written is None:
        small_model("resnet20_cifar", classes=7).save_weights(path)
    else:
        path.write_bytes(written)
    with pytest.raises(
        kr.ConfigError, match=r"`weights` (do not fit|cannot be read).*some\.weights\.h5"
    ):
        kr.create_model(small_config("resnet20_cifar"), weights=path)


def test_a_network_in_float64_has_its_head_in_float64():
    assert small_model("resnet20_cifar", dtype="float64").output.dtype == "float64"


def test_decay_may_spare_normalisation_and_biases():
    config = kr.model_config("resnet50d")
    assert (config.decay, config.zero_init_residual) == ("kernels", True)
    model = small_model("resnet50d", weight_decay=0.01, attention="se")
    kernels = [v for v in model.trainable_variables if v.path.endswith("kernel")]
    assert len(model.losses) == len(kernels) < len(model.trainable_variables)


def test_weight_decay_is_in_the_losses():
    model = small_model("resnet20_cifar", weight_decay=0.01)
    expected = sum(0.005 * float(np.sum(np.square(v.numpy()))) for v in model.trainable_variables)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    assert not small_model("resnet20_cifar", weight_decay=0.0).losses


@pytest.mark.parametrize("fan, size", [("fan_in", 3 * 3 * 8), ("fan_out", 3 * 3 * 32)])
def test_initialisers(fan, size):
    config = kr.ResNetConfig(blocks=(1,), widths=(32,), stem_width=8, initializer=fan)
    kernel = kr.create_model(config).get_layer("stage1_block1").convolutions[0].kernel
    # 2304 draws: the standard deviation is known to within 1.5 %, four of its own errors are 6 %.
    assert np.std(np.asarray(kernel)) == pytest.approx(np.sqrt(2 / size), rel=0.06)


def test_stochastic_depth_modes_convert_at_inference():
    """The paper's inference scales each branch by its survival; the modern form's does not."""
    paper = small_model("stochastic_depth_resnet110_cifar", survival_mode="batch")
    modern = small_model("stochastic_depth_resnet110_cifar", survival_mode="sample")
    modern.set_weights(paper.get_weights())
    for spec in paper.config.block_specs():
        norm = modern.get_layer(spec.name).normalizations[-1]
        norm.gamma.assign(norm.gamma * spec.survival)
        norm.beta.assign(norm.beta * spec.survival)
    batch = images(3, 24, 24, 3)
    np.testing.assert_allclose(
        np.asarray(modern(batch, training=False)),
        np.asarray(paper(batch, training=False)),
        atol=1e-5,
    )


@pytest.mark.parametrize("name", ["resnet20_cifar", "densenet_bc_100_12_cifar", "resnet_rs200"])
@pytest.mark.sampled(1)
def test_fit_takes_a_step_that_lowers_the_loss(name):
    keras.utils.set_random_seed(0)
    model = small_model(name, weight_decay=1e-4)
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "sparse_categorical_crossentropy",
        jit_compile=False,
    )
    x, y = images(16, 24, 24, 3), np.arange(16) % 5
    history = model.fit(x, y, batch_size=16, epochs=6, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]
