"""Surgery on networks with other activations and heads: exact, or refused by name."""

import keras
import numpy as np
import pytest
from surgical import apart, check_same, made, real_images, scaled

import keras_resnets as kr
from keras_resnets import surgery

BASE = kr.ResNetConfig(
    blocks=(1, 2), widths=(4, 8), stem_width=4, input_shape=(None, None, 3), classes=3,
    classifier_activation=None, activation="silu", head_pooling="catavgmax", head_dropout=0.2,
)  # fmt: skip
DENSE = kr.DenseNetConfig(
    blocks=(1, 2), growth_rate=4, stem_width=8, input_shape=(None, None, 3), classes=3,
    classifier_activation=None, activation="gelu", head_pooling="catavgmax",
)  # fmt: skip
PRE = BASE.replace(activation_order="pre")
PLAIN = BASE.replace(shortcut="none")
DROPPED = BASE.replace(final_survival=0.5)
BEHIND = DROPPED.replace(activation_order="relu_before_addition")


def deeper(model):
    blocks = tuple(count + 1 for count in model.config.blocks)
    return surgery.deepen(model, to=model.config.replace(blocks=blocks), print_fn=None)


def wider(model):
    return surgery.widen(model, scaled(model.config, 1.5), print_fn=None)


def folded(model):
    return surgery.fold_batch_norm(model, print_fn=None)


def residual(model):
    return surgery.to_residual(model, print_fn=None)


def plain(model):
    return surgery.to_plain(model, print_fn=None)


def recalibrated(model):
    return surgery.recalibrate_batch_norm(model, real_images((16, 16), 8), keep_function=True)


def ensemble(model):
    return surgery.ensemble([model, model], combine="mean_logit")


EXACT = [
    (folded, BASE),
    (folded, DENSE),
    (deeper, PRE),
    (deeper, DENSE),
    (deeper, BASE.replace(activation="relu6")),
    (wider, BASE),
    (wider, DENSE),
    (residual, PLAIN),
    (plain, BASE.replace(activation="relu")),
    (surgery.stochastic_depth_to_inference, DROPPED),
    (surgery.stochastic_depth_to_inference, BEHIND.replace(activation="leaky_relu")),
    (recalibrated, BASE),
    (ensemble, BASE),
]


def name(value):
    if isinstance(value, kr.models.NetworkConfig):
        return getattr(value, "activation_order", value.family)
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("function, config", EXACT, ids=name)
@pytest.mark.sampled(2)
def test_the_same_function(function, config):
    model = made(config)
    check_same(model, function(model))


REFUSED = [
    (plain, BASE, "activation='silu'"),
    (deeper, BASE, "activation='silu' would act a second time"),
    (deeper, PLAIN, "activation='silu' would act a second time"),
    (deeper, BASE.replace(activation_order="bn_after_addition"), "would act a second time"),
    (surgery.stochastic_depth_to_inference, BEHIND, "activation='silu'"),
]


@pytest.mark.parametrize("function, config, words", REFUSED, ids=name)
def test_what_cannot_be_exact_is_refused_by_name(function, config, words):
    with pytest.raises(kr.InputError, match="`model` must") as error:
        function(made(config))
    assert words in str(error.value)


def test_narrow_and_lesions_keep_the_head():
    model = made(BASE)
    smaller = surgery.narrow(
        model, model.config.replace(widths=(2, 4), stem_width=2), print_fn=None
    )
    kernel = model.get_layer("predictions").kernel
    kept = keras.ops.convert_to_numpy(smaller.get_layer("predictions").kernel)
    rows = keras.ops.convert_to_numpy(kernel)
    places = [np.flatnonzero((rows == row).all(1))[0] for row in kept]
    # Of each channel that was kept, its mean and its maximum.
    assert places[4:] == [place + 8 for place in places[:4]]
    lesion = surgery.drop_blocks(model, "stage2_block2", print_fn=None)
    assert lesion.config.head_pooling == "catavgmax"


@pytest.mark.parametrize(
    "activation, combine",
    [
        ("log_softmax", "mean_probability"),
        pytest.param("log_softmax", "mean_logit", marks=pytest.mark.large),
        pytest.param("tanh", "mean_logit", marks=pytest.mark.large),
    ],
)
@pytest.mark.large
def test_ensembles_know_what_outputs_are(activation, combine):
    one, two = (made(BASE.replace(classifier_activation=activation), seed=s) for s in (0, 1))
    both = surgery.ensemble([one, two], combine=combine)
    images = real_images((16, 16), 2)
    logits = [
        np.asarray(kr.reset_classifier(m, 3, classifier_activation=None)(images))
        for m in (one, two)
    ]
    assert logits[0].shape == (2, 3)
    assert np.isfinite(np.asarray(both(images))).all()
    if combine == "mean_probability":
        expected = np.mean([np.exp(np.asarray(m(images))) for m in (one, two)], 0)
        np.testing.assert_allclose(np.asarray(both(images)), expected, rtol=1e-6)
    assert apart(one, surgery.ensemble([one, one], combine="mean_logit"), images) < 1e-9
    unknown = made(BASE.replace(classifier_activation="tanh"))
    with pytest.raises(kr.InputError, match="`combine`='mean_probability'"):
        surgery.ensemble([unknown, unknown])
