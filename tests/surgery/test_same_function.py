"""Every operation on every family: the same function, the network given left as it was."""

import keras
import numpy as np
import pytest
from drawn_configs import draw, fields
from small_networks import FAMILIES, KINDS, small_config
from surgical import (
    answers,
    apart,
    batches,
    check_same,
    hard_weights,
    made,
    real_images,
    scaled,
    values_of,
)
from tiers import matrix

import keras_resnets as kr
from keras_resnets import surgery

LOGITS = {"classifier_activation": None, "input_shape": (None, None, 3), "include_top": True}


def deeper(model):
    return surgery.deepen(
        model,
        to=model.config.replace(blocks=tuple(b + 1 for b in model.config.blocks)),
        print_fn=None,
    )


def wider(model):
    return surgery.widen(model, scaled(model.config, 2), print_fn=None)


def a_little_wider(model):
    """Widths that are no multiples of the old ones."""
    config = model.config
    few = 8 if config.stem in ("deep", "tiered") else 2
    changes = {"stem_width": config.stem_width + few}
    if config.family == "densenet":
        changes["growth_rate"] = config.growth_rate + 1
    else:
        step = max(few, config.cardinality)
        changes["widths"] = tuple(w + step * i for i, w in enumerate(config.widths, start=1))
    return surgery.widen(model, config.replace(**changes), print_fn=None)


def wider_stages(model):
    """Stages wider than the stem feeds them: new channels that copy none."""
    config = model.config
    if config.family == "densenet":
        return surgery.widen(model, config.replace(growth_rate=7), print_fn=None)
    return surgery.widen(
        model, config.replace(widths=tuple(2 * w for w in config.widths)), print_fn=None
    )


def there_and_back(model):
    if getattr(model.config, "shortcut", "") == "none":
        return surgery.to_plain(surgery.to_residual(model, print_fn=None), print_fn=None)
    return surgery.to_residual(surgery.to_plain(model, print_fn=None), print_fn=None)


def recalibrated(model):
    return surgery.recalibrate_batch_norm(model, real_images((16, 16), 8), keep_function=True)


def average(model):
    return surgery.ensemble([model, model], combine="mean_logit")


FUNCTIONS = {
    "folded": lambda model: surgery.fold_batch_norm(model, print_fn=None),
    "plain": lambda model: surgery.to_plain(model, print_fn=None),
    "plain and back": there_and_back,
    "deeper": deeper,
    "wider": wider,
    "a little wider": a_little_wider,
    "wider stages": wider_stages,
    "without drops": surgery.stochastic_depth_to_inference,
    "recalibrated": recalibrated,
    "ensemble": average,
}

REFUSED = {
    "folded": {"resnetv2_50x1_bit"},
    "plain": {
        "densenet_40_12_cifar",
        "densenet_bc_100_12_cifar",
        "densenet121",
        "se_resnet50",
        "se_resnext50_32x4d",
        "resnetv2_50x1_bit",
        "resnet_rs200",
    },
    "deeper": {"resnetv2_50x1_bit"},
    "wider": {"resnetv2_50x1_bit"},
    "a little wider": {"resnetv2_50x1_bit"},
    # Their first projection would read the activated input, where an identity read it raw.
    "wider stages": {
        "resnetv2_50x1_bit",
        "wrn16_4_cifar",
        "wrn40_2_b131_cifar",
        "preact_resnet18",
    },
    "without drops": {"densenet_40_12_cifar", "densenet_bc_100_12_cifar", "densenet121"},
    "recalibrated": {"resnetv2_50x1_bit"},
}
REFUSED["plain and back"] = REFUSED["plain"] | {
    "preact_resnet20_cifar",
    "preact_resnet164_cifar",
    "preact_resnet18",
    "preact_resnet50",
    "wrn16_4_cifar",
    "wrn40_2_b131_cifar",
}


SEEN = ("resnet20_cifar", "preact_resnet50", "densenet_bc_100_12_cifar", "resnetv2_50x1_bit")


@pytest.mark.parametrize("name", matrix(FAMILIES, SEEN, gate={*SEEN, *KINDS, *FAMILIES[::2]}))
@pytest.mark.sampled(1)
def test_every_function_on_every_family(name):
    model = made(small_config(name, **LOGITS))
    before = values_of(model), model.config
    known = [(images, answers(model, images)) for images in batches()]
    for kind, function in FUNCTIONS.items():
        if name in REFUSED.get(kind, ()):
            with pytest.raises(kr.InputError, match="Received: "):
                function(model)
            continue
        new = function(model)
        for images, expected in known:
            assert apart(expected, new, images) < 1e-9, (kind, images.shape)
        if kind != "ensemble":
            cost = kr.complexity(new.config, (16, 16, 3))
            assert new.count_params() == cost.total_params, kind
            assert new.config.input_shape == model.config.input_shape
            assert {x.compute_dtype for x in new.layers} == {x.compute_dtype for x in model.layers}
    for old, now in zip(before[0], values_of(model), strict=True):
        np.testing.assert_array_equal(old, now)
    assert model.config == before[1]


@pytest.mark.parametrize(
    "name, kind",
    [
        (name, kind)
        for name in ("resnet20_cifar", "preact_resnet50", "wrn16_4_cifar")
        for kind in FUNCTIONS
        if kind != "recalibrated" and name not in REFUSED.get(kind, ())
    ],
)
@pytest.mark.sampled(2)
def test_in_float32(name, kind):
    model = made(small_config(name, **LOGITS), dtype="float32")
    check_same(model, FUNCTIONS[kind](model), within=1e-4)


OPERATIONS = ("folded", "plain", "deeper", "wider", "wider stages")


@pytest.mark.large
def test_drawn_networks():
    draw(25, fields())(_check_drawn)()


def _check_drawn(drawn):
    """Whatever the options: the same function, or a refusal that says why."""
    cls, values = drawn
    try:
        config = cls(**{**values, **LOGITS})
    except kr.ConfigError:
        return
    model = made(config)
    images = real_images((13, 15), 3)
    expected = answers(model, images)
    for kind in OPERATIONS:
        try:
            new = FUNCTIONS[kind](model)
        except kr.InputError:  # what it says, other tests see
            continue
        if np.abs(expected).max() > 0:  # dead ends, of zeros alone, are drawn too
            assert apart(expected, new, images) < 1e-9, (kind, config)
    keras.utils.clear_session()


@pytest.mark.large
def test_after_a_reload_in_a_fresh_process(tmp_path, run_python):
    model = made(small_config("resnet50d", **LOGITS), dtype="float32")
    images = real_images((16, 16), 4)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "expected.npy", answers(model, images))
    kinds = ("folded", "plain", "wider")
    families = []
    for kind in kinds:
        new = FUNCTIONS[kind](model)
        new.save(tmp_path / f"{kind}.keras")
        families.append(new.config.family)
    program = (
        "import sys, numpy as np, keras, keras_resnets\n"
        "folder, *kinds = sys.argv[1:]\n"
        "keras.config.set_image_data_format('channels_first')\n"
        "keras.config.set_dtype_policy('mixed_bfloat16')\n"
        "expected = np.load(folder + '/expected.npy')\n"
        "for kind in kinds:\n"
        "    model = keras.saving.load_model(f'{folder}/{kind}.keras')\n"
        "    found = np.asarray(model(np.load(folder + '/images.npy')))\n"
        "    print(abs(found - expected).max() / abs(expected).max(), model.config.family)\n"
    )
    lines = [line.split() for line in run_python(program, tmp_path, *kinds).splitlines()]
    assert [family for _, family in lines] == families
    assert max(float(difference) for difference, _ in lines) < 1e-4


@pytest.mark.parametrize("kind", ["folded", "plain", "deeper", "wider"])
def test_what_a_network_is_beside_its_function_is_kept(kind):
    config = small_config("resnet20_cifar", **LOGITS)
    model = kr.create_model(config, name="mine", dtype="mixed_bfloat16")
    kr.freeze(hard_weights(model), through="stage1")
    model.remat = "block"
    new = FUNCTIONS[kind](model)
    assert new.name == "mine"
    assert new.get_layer("predictions").compute_dtype == "float32"
    first = next(layer for layer in new.layers if "stage1_block1" in layer.name)
    assert first.compute_dtype == "bfloat16"
    assert not new.get_layer("stem_conv").trainable
    if kind != "plain":  # whose layers have other names
        assert not first.trainable
        assert new.remat == "block"
        assert new.get_layer("stage2_block1").trainable


@pytest.mark.large
def test_channels_first():
    config = small_config("resnet50", **LOGITS)
    model = hard_weights(kr.create_model(config, data_format="channels_first", dtype="float64"))
    images = real_images((16, 16), 2).transpose(0, 3, 1, 2)
    for kind in ("folded", "plain", "deeper", "wider"):
        assert apart(model, FUNCTIONS[kind](model), images) < 1e-9, kind


@pytest.mark.parametrize("function", [f for k, f in FUNCTIONS.items() if k != "plain and back"])
def test_foreign_models_are_refused(function):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    model.config = kr.model_config("resnet20_cifar")
    with pytest.raises(kr.InputError, match="`model` must be a network with a configuration"):
        function(model)
