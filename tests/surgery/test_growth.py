"""Deeper and wider networks: in training too, gradients everywhere, the optimizer's state."""

import re

import keras
import numpy as np
import pytest
from gradients import gradients
from small_networks import small_config
from surgical import apart, kind_weights, made, real_images, scaled

import keras_resnets as kr
from keras_resnets import surgery

LOGITS = {"classifier_activation": None, "input_shape": (16, 16, 3)}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
IMAGES = real_images((16, 16), 8)
LABELS = np.arange(8) % 5

LEARNING = (
    "resnet20_cifar",
    "preact_resnet20_cifar",
    "wrn16_4_cifar",
    "resnet50",
    "se_resnet50",
    "resnext50_32x4d",
    "densenet_40_12_cifar",
    "densenet_bc_100_12_cifar",
)


def deeper(model, **options):
    blocks = tuple(b + 1 for b in model.config.blocks)
    return surgery.deepen(model, to=model.config.replace(blocks=blocks), print_fn=None, **options)


def wider(model, **options):
    return surgery.widen(model, scaled(model.config, 2), print_fn=None, **options)


GROWTHS = {"deeper": deeper, "wider": wider}


def network(name, dtype="float64", **options):
    return kind_weights(kr.create_model(small_config(name, **LOGITS, **options), dtype=dtype))


@pytest.mark.parametrize("growth", GROWTHS)
@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.large
def test_training_begins_where_it_was_and_reaches_every_weight(name, growth):
    exact = network(name)
    assert apart(exact, GROWTHS[growth](exact), IMAGES, training=True) < 1e-9
    new = GROWTHS[growth](network(name, dtype="float32"))
    new.compile(keras.optimizers.SGD(0.01), LOSS, run_eagerly=True)  # steps too few to trace
    reached = set()
    for _ in range(3):  # before the first step, after one, after two
        found = gradients(new, keras.ops.convert_to_tensor(IMAGES), training=True)
        reached |= {path for path, gradient in found.items() if np.any(gradient)}
        new.train_on_batch(IMAGES, LABELS)
    assert reached == set(found)


@pytest.mark.parametrize("name", ["plain20_cifar", "resnet20_c_cifar"])
@pytest.mark.sampled(1)
def test_where_a_new_block_needs_statistics_it_is_exact_at_inference(name):
    model = network(name)
    new = deeper(model)
    assert apart(model, new, IMAGES) < 1e-9
    assert apart(model, new, IMAGES, training=True) > 1e-3


def test_copies_of_a_channel_grow_apart():
    new = wider(network("resnet20_cifar", dtype="float32"))
    kernel = keras.ops.convert_to_numpy(new.get_layer("stem_conv").kernel)
    np.testing.assert_array_equal(kernel[..., 0], kernel[..., 1])  # in the order 0 0 1 1
    new.compile(keras.optimizers.SGD(0.1), LOSS, run_eagerly=True)
    for _ in range(2):
        new.train_on_batch(IMAGES, LABELS)
    kernel = keras.ops.convert_to_numpy(new.get_layer("stem_conv").kernel)
    assert np.abs(kernel[..., 0] - kernel[..., 1]).max() > 1e-6


KINDS = {
    "plain SGD": lambda: keras.optimizers.SGD(0.01),
    "AMSGrad": lambda: keras.optimizers.Adam(1e-3, amsgrad=True),
    "RMSprop": lambda: keras.optimizers.RMSprop(1e-3, momentum=0.5, centered=True),
    "Adagrad": lambda: keras.optimizers.Adagrad(1e-2),
    "Adadelta": lambda: keras.optimizers.Adadelta(1.0),
    "Ftrl": lambda: keras.optimizers.Ftrl(1e-2),
    "Lion": lambda: keras.optimizers.Lion(1e-4),
    "Lamb": lambda: keras.optimizers.Lamb(1e-3),
    "Muon": lambda: keras.optimizers.Muon(1e-3),
    "accumulating": lambda: keras.optimizers.SGD(0.01, momentum=0.9, gradient_accumulation_steps=2),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sampled(1)
def test_every_kind_of_optimizer_is_carried(kind):
    """Slots of old weights go over bit by bit; training goes on."""
    model = kr.create_model(small_config("resnet20_cifar", **LOGITS))
    model.compile(KINDS[kind](), LOSS, run_eagerly=True)
    for _ in range(4):
        model.train_on_batch(IMAGES, LABELS)
    new = surgery.deepen(model, 3, 1, optimizer=True, print_fn=None)
    assert int(new.optimizer.iterations) == int(model.optimizer.iterations) > 0
    old, now = (
        {v.path.split("/", 1)[1]: keras.ops.convert_to_numpy(v) for v in m.optimizer.variables}
        for m in (model, new)
    )
    assert set(old) <= set(now)
    for path, value in old.items():
        if not path.endswith("gradient_accumulator"):
            np.testing.assert_array_equal(value, now[path], err_msg=path)
    wide = wider(model, optimizer=True)
    for network_ in (new, wide):
        network_.train_on_batch(IMAGES, LABELS)
        assert np.isfinite(np.asarray(network_(IMAGES))).all()


@pytest.mark.large
def test_an_optimizer_of_other_shapes_is_refused():
    model = kr.create_model(small_config("resnet20_cifar", **LOGITS))
    model.compile(keras.optimizers.Adafactor(1e-3), LOSS, jit_compile=False)
    model.train_on_batch(IMAGES, LABELS)
    with pytest.raises(kr.InputError, match="Received: optimizer=True, Adafactor with"):
        wider(model, optimizer=True)


OPTIMIZERS = {
    "SGD": lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "schedule": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.CosineDecay(0.02, 40), momentum=0.9
    ),
    "AdamW, averaged": lambda: keras.optimizers.AdamW(1e-3, use_ema=True),
}


@pytest.mark.parametrize("growth", GROWTHS)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.large
def test_fit_goes_on_without_a_jump(name, growth):
    model = network("resnet20_cifar", dtype="float32")
    model.compile(OPTIMIZERS[name](), LOSS, jit_compile=False)
    for _ in range(12):
        model.train_on_batch(IMAGES, LABELS)
    new = GROWTHS[growth](model, optimizer=True)
    cold = GROWTHS[growth](model)
    cold.compile(OPTIMIZERS[name](), LOSS, jit_compile=False)
    assert int(new.optimizer.iterations) == 12
    assert float(new.optimizer.learning_rate) == float(model.optimizer.learning_rate)
    losses = []
    for network_ in (model, new, cold):
        losses.append([])
        for _ in range(3):
            losses[-1].append(float(LOSS(LABELS, network_(IMAGES, training=True))))
            network_.train_on_batch(IMAGES, LABELS)
    old, carried, _ = np.array(losses)
    assert abs(carried[0] - old[0]) < 1e-4 * old[0]
    # One step on, the carried momentum has moved the function as it would have moved the old one.
    warm, lost = (abs(values[1] - old[1]) for values in (carried, losses[2]))
    assert warm < 0.35 * abs(old[1] - old[0])
    assert growth == "wider" or warm < lost


@pytest.mark.large
def test_the_average_of_weights_is_carried():
    model = network("resnet20_cifar", dtype="float32")
    model.compile(
        keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), LOSS, jit_compile=False
    )
    for _ in range(3):
        model.train_on_batch(IMAGES, LABELS)
    new = wider(model, optimizer=True)
    for network_ in (model, new):
        network_.optimizer.finalize_variable_values(network_.trainable_variables)
    assert apart(model, new, IMAGES, training=True) < 1e-4


@pytest.mark.large
def test_a_loss_scale_is_carried():
    model = kr.create_model(small_config("resnet20_cifar", **LOGITS), dtype="mixed_float16")
    kr.compile_for(model, keras.optimizers.SGD(0.01, momentum=0.9), LOSS, print_fn=None)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    model.optimizer.initial_scale = 8.0
    for _ in range(2):
        model.train_on_batch(IMAGES, LABELS)
    new = deeper(model, optimizer=True)
    before, after = (
        [keras.ops.convert_to_numpy(v) for v in m.optimizer.variables if v.shape == ()]
        for m in (model, new)
    )
    np.testing.assert_array_equal(before, after)


def test_survival_probabilities_change_with_the_depth_and_the_function_does_not():
    model = network("stochastic_depth_resnet110_cifar")
    new = surgery.deepen(model, "stage1", 3, print_fn=None)
    assert new.config.blocks == (4, 2, 1)
    assert new.config.survival(1) != model.config.survival(1)
    assert apart(model, new, IMAGES) < 1e-9


def test_catalog_names_are_targets_too():
    model = kr.create_model("resnet20_cifar", classes=7)
    new = surgery.deepen(model, to="resnet32_cifar", print_fn=None)
    assert new.config == kr.model_config("resnet32_cifar", classes=7)


def test_without_drops_scales_what_attention_sees():
    model = made(small_config("se_resnet50", **LOGITS, final_survival=0.5))
    still = surgery.stochastic_depth_to_inference(model)
    assert apart(model, still, IMAGES) < 1e-9
    assert still.config.final_survival == 1


BAD = {
    "nothing": (lambda m: surgery.deepen(m), "takes `stage` and `blocks`, or `to`"),
    "stage": (lambda m: surgery.deepen(m, 4, 1), "`stage` must be a stage from 1 to 3"),
    "stage name": (lambda m: surgery.deepen(m, "stageX", 1), "stage='stageX'"),
    "blocks": (lambda m: surgery.deepen(m, 1, 0), "`blocks` must be a positive integer"),
    "fewer": (
        lambda m: surgery.deepen(m, to=m.config.replace(blocks=(1, 1, 1))),
        "`to` must have at least as many blocks",
    ),
    "stages": (
        lambda m: surgery.deepen(m, to=m.config.replace(blocks=(1, 2, 1, 1), widths=(8, 8, 8, 8))),
        "`to` must differ",
    ),
    "another field": (
        lambda m: surgery.widen(m, m.config.replace(block="bottleneck")),
        "block='bottleneck', the model's is 'basic'",
    ),
    "family": (lambda m: surgery.widen(m, "densenet121"), "`to` must be of the model's family"),
    "type": (lambda m: surgery.widen(m, 2), "`to` must be a configuration"),
    "narrower": (
        lambda m: surgery.widen(m, m.config.replace(stem_width=4)),
        "at least as wide as the model everywhere. Received: 4 channels in stem_conv",
    ),
    "pad": (
        lambda m: surgery.widen(m, m.config.replace(stem_width=16, widths=(16, 16, 32))),
        "appended by the shortcut of stage2_block1",
    ),
    "not compiled": (lambda m: surgery.deepen(m, 1, 1, optimizer=True), "not compiled"),
}


@pytest.mark.parametrize("grow, message", BAD.values(), ids=list(BAD))
def test_bad_targets_are_refused(grow, message):
    model = kr.create_model(small_config("resnet20_cifar", **LOGITS))
    with pytest.raises(kr.InputError, match=re.escape(message)) as error:
        grow(model)
    assert "Received: " in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"activation_order": "relu_before_addition"},
        {"shortcut_gate": "exclusive"},
        {"shortcut_scale": 0.5},
        {"shortcut": "none", "activation_order": "bn_after_addition"},
        {"shortcut": "none", "block": "bottleneck"},
        {"shortcut": "C", "activation_order": "pre"},
    ],
    ids=str,
)
def test_blocks_that_cannot_be_the_identity_are_refused(options):
    model = kr.create_model(small_config("resnet20_cifar", **LOGITS, **options))
    with pytest.raises(kr.InputError, match="of which a new block cannot: "):
        deeper(model)
