"""Networks that are no longer what their configuration builds: every reader of weights says so.

Quantised and changed layers are refused by name; kernels adapted by LoRA are read with their
adaptation.
"""

import keras
import numpy as np
import pytest
from small_networks import small_config, small_model
from surgical import apart, hard_weights, real_images

import keras_resnets as kr
from keras_resnets import export, surgery
from keras_resnets.export.tflite import convert_to_tflite
from keras_resnets.models.integrity import check_as_built
from keras_resnets.training.transfer import copy_weights, read_start

IMAGES = (24, 24)


def deeper(model, **options):
    return surgery.deepen(model, stage=1, blocks=1, print_fn=None, **options)


def wider(model, **options):
    config = model.config
    widths = tuple(2 * width for width in config.widths)
    to = config.replace(stem_width=2 * config.stem_width, widths=widths)
    return surgery.widen(model, to, print_fn=None, **options)


def narrower(model):
    config = model.config
    widths = tuple(width // 2 for width in config.widths)
    to = config.replace(stem_width=config.stem_width // 2, widths=widths)
    return surgery.narrow(model, to, print_fn=None)


def averaged(model, folder):
    model.save(folder / "model.keras")
    return surgery.average_checkpoints([folder / "model.keras"] * 2)


def begun(model, folder):
    """What a training with `init` begins with."""
    model.save(folder / "model.keras")
    start = read_start(folder / "model.keras")
    new = kr.create_model(start.config)
    copy_weights(new, start)
    return new


NETWORK = "resnet20_cifar"

READERS = {
    "fold_batch_norm": lambda model, _: surgery.fold_batch_norm(model, print_fn=None),
    "to_plain": lambda model, _: surgery.to_plain(model, print_fn=None),
    "deepen": lambda model, _: deeper(model),
    "widen": lambda model, _: wider(model),
    "narrow": lambda model, _: narrower(model),
    "drop_blocks": lambda model, _: surgery.drop_blocks(model, "stage2_block2", print_fn=None),
    "stochastic_depth_to_inference": lambda model, _: surgery.stochastic_depth_to_inference(model),
    "recalibrate_batch_norm": lambda model, _: surgery.recalibrate_batch_norm(
        model, real_images(IMAGES, 4), keep_function=True
    ),
    "ensemble": lambda model, _: surgery.ensemble([model, model]),
    "average_checkpoints": averaged,
    "init": begun,
}
"""Each function that makes a network from another's weights."""

OTHERS = {"narrow", "drop_blocks"}
"""Those that make another function."""


def test_no_function_of_surgery_is_left_out():
    functions = set(surgery.__all__) - {"Folding", "foldings"}  # which read no weights
    assert functions - {"to_residual"} <= set(READERS)


@pytest.fixture(scope="module")
def models():
    """The network quantised in three ways, adapted by LoRA, and as it was."""
    found = {name: small_model(NETWORK) for name in (None, "int8", "int4", "float8", "lora")}
    for name, model in found.items():
        hard_weights(model)
        if name == "lora":
            adapt(model.get_layer("predictions"))
        elif name is not None:
            quantize(model, name)
    return found


def quantize(model, mode):
    model.quantize(mode, filters=lambda layer: isinstance(layer, keras.layers.Dense))


def adapt(layer, seed=0):
    rng = np.random.default_rng(seed)
    layer.enable_lora(2, lora_alpha=3)
    for variable in (layer.lora_kernel_a, layer.lora_kernel_b):
        variable.assign(rng.normal(size=variable.shape))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.sampled(11)
def test_quantised_networks_are_refused_by_name(models, mode, reader, tmp_path):
    expected = f"must not be quantised.*layer 'predictions' is quantised to {mode}"
    with pytest.raises(kr.InputError, match=expected) as caught:
        READERS[reader](models[mode], tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", [name for name in READERS if name not in OTHERS])
@pytest.mark.sampled(3)
def test_kernels_adapted_by_lora_are_read_as_they_compute(models, reader, tmp_path):
    model = models["lora"]
    new = READERS[reader](model, tmp_path)
    images = real_images(IMAGES, 3)
    assert apart(models[None], model, images) > 0.01  # the adaptation is seen at all
    assert apart(model, new, images) < 1e-4
    assert not [v.path for v in new.weights if "lora" in v.path]


@pytest.mark.parametrize("reader", sorted(OTHERS))
@pytest.mark.sampled(1)
def test_what_makes_another_function_reads_the_adaptation_too(models, reader, tmp_path):
    """The same as of a network whose kernel is the sum."""
    merged = begun(models["lora"], tmp_path)
    one, other = (READERS[reader](m, tmp_path) for m in (models["lora"], merged))
    assert apart(one, other, real_images(IMAGES, 3)) < 1e-5


@pytest.mark.large
def test_convolutions_inside_blocks_are_read_with_their_adaptation():
    model = hard_weights(small_model("se_resnet50"))
    block = model.get_layer("stage2_block1")
    for layer in (block.convolutions[1], block.attention.reduce):
        adapt(layer)
    images = real_images(IMAGES, 3)
    assert apart(model, surgery.fold_batch_norm(model, print_fn=None), images) < 1e-4
    assert apart(model, deeper(model), images) < 1e-4


@pytest.mark.large
def test_a_plain_network_that_is_quantised_is_no_residual_one():
    model = small_model("plain20_cifar")
    quantize(model, "int8")
    with pytest.raises(kr.InputError, match="'predictions' is quantised to int8"):
        surgery.to_residual(model)


@pytest.mark.parametrize("grow", [deeper, wider])
def test_an_optimizer_of_lora_is_not_carried(grow):
    model = small_model(NETWORK)
    model.get_layer("predictions").enable_lora(2)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(kr.InputError, match="layer 'predictions' is adapted by LoRA"):
        grow(model, optimizer=True)


def upon_another_layer():
    image = keras.Input((24, 24, 3))
    return kr.create_model(
        small_config(NETWORK), input_tensor=keras.layers.Conv2D(3, 1, name="mine")(image)
    )


def with_changed_activation():
    model = small_model(NETWORK)
    model.get_layer("predictions").activation = keras.activations.sigmoid
    return model


def with_changed_epsilon():
    model = small_model(NETWORK)
    model.get_layer("stage2_block1").normalizations[1].epsilon = 0.1
    return model


def with_another_attention():
    class Halved(keras.layers.Layer):
        def call(self, inputs):
            return 0.5 * inputs

    model = small_model("se_resnet50")
    block = model.get_layer("stage1_block1")
    block._tracker.unlock()
    block.attention = Halved(name="attention")
    block.attention.build(None)
    return model


def with_another_kernel():
    model = small_model(NETWORK)
    layer = model.get_layer("predictions")
    layer._tracker.unlock()
    layer.temperature = layer.add_weight(shape=(), name="temperature")
    return model


CHANGED = {
    "besides": (upon_another_layer, "the layer 'mine' .Conv2D. besides"),
    "activation": (with_changed_activation, "'predictions' was changed: activation='sigmoid'"),
    "epsilon": (with_changed_epsilon, "'stage2_block1/bn2' was changed: epsilon=0.1"),
    "replaced": (with_another_attention, "'stage1_block1/attention'.* a Halved in the place"),
    "weight": (with_another_kernel, "the weight 'predictions/temperature' of shape"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_changed_networks_are_refused_by_name(name):
    make, words = CHANGED[name]
    with pytest.raises(kr.InputError, match=words) as caught:
        surgery.fold_batch_norm(make(), print_fn=None)
    assert "\n" not in str(caught.value)


def test_what_a_user_may_set_is_no_change():
    model = small_model("stochastic_depth_resnet110_cifar", dropout=0.2, dtype="mixed_bfloat16")
    kr.freeze(model, through="stage1")
    model.remat = "block"
    named = kr.create_model(
        small_config(NETWORK), input_tensor=keras.Input((24, 24, 3), name="other"), name="mine"
    )
    for network in (model, named):
        assert check_as_built(network) == network.config


def test_a_check_leaves_no_trace():
    """It draws no number of those that the user's next initialisers draw."""
    config = small_config(NETWORK, classes=7)
    model = kr.create_model(config)
    firsts = []
    for look in (False, True):
        keras.utils.set_random_seed(1)
        if look:
            check_as_built(model)
        firsts.append(kr.create_model(config).get_weights()[0])
    np.testing.assert_array_equal(*firsts)


@pytest.mark.large
def test_quantised_exports(models, tmp_path):
    """A SavedModel answers as the quantised model; TFLite has no such operations, which is said."""
    images = real_images(IMAGES, 3)
    result = export.export_saved_model(models["int8"], tmp_path / "saved_model", images)
    assert result.agreement == 1
    for convert in (
        lambda: export.export_tflite(models["int8"], tmp_path / "model.tflite", images),
        lambda: convert_to_tflite(models["float8"]),
        lambda: kr.inference_function(models["int4"], 3, "litert"),
    ):
        with pytest.raises(kr.InputError, match="layer 'predictions' is quantised to"):
            convert()
    assert not (tmp_path / "model.tflite").exists()


@pytest.mark.large
def test_adapted_exports(tmp_path):
    images = real_images(IMAGES, 3)
    model = hard_weights(small_model(NETWORK, dtype="mixed_bfloat16"))
    adapt(model.get_layer("predictions"))
    assert export.export_tflite(model, tmp_path / "model.tflite", images).agreement == 1


@pytest.mark.parametrize("mode", ["int8", "lora"])
def test_the_inference_function_computes_the_model_as_it_is(models, mode):
    images = real_images(IMAGES, 3)
    model = models[mode]
    for function in (
        kr.inference_function(model, 3, "frozen"),
        kr.inference_function(model, runtime="graph"),
    ):
        np.testing.assert_allclose(function(images), model(images), atol=1e-6)


def test_weights_of_a_quantised_network_fit_no_other(models, tmp_path):
    models["int8"].save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(kr.ConfigError, match="`weights` do not fit"):
        kr.create_model(models["int8"].config, weights=tmp_path / "model.weights.h5")


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_no_weights_are_copied_from_or_to_a_quantised_network(models, mode):
    plain = kr.create_model(models[mode].config)
    before = plain.get_weights()
    for model, start, name in ((plain, models[mode], "`start`"), (models[mode], plain, "`model`")):
        with pytest.raises(kr.InputError, match=rf"{name}.*layer 'predictions' is quantised"):
            copy_weights(model, start)
    for one, other in zip(before, plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_weights_are_copied_to_an_adapted_network(models):
    plain = kr.create_model(models["lora"].config)
    with pytest.raises(kr.InputError, match=r"`model`.*'predictions' is adapted by LoRA"):
        copy_weights(models["lora"], plain)
