"""What a network ends in: pooling, dropout, activation; and another classifier in its place."""

import json
import warnings

import keras
import numpy as np
import pytest

import keras_resnets as kr
from keras_resnets.models.heads import ACTIVATION_NAMES, gives_logits, output_kind

SMALL = kr.ResNetConfig(
    blocks=(1, 1), widths=(4, 8), stem_width=4, input_shape=(8, 8, 3), classes=3
)


def images(count=2, seed=0, size=8):
    return np.random.default_rng(seed).normal(size=(count, size, size, 3)).astype("float32")


def answers(model, batch, **options):
    return keras.ops.convert_to_numpy(model(batch, **options))


def make(**fields):
    return kr.create_model(SMALL, **fields)


@keras.saving.register_keras_serializable(package="tests_of_heads")
def doubled(x):
    return 2 * x


def unregistered(x):
    return x


ACTIVATIONS = [
    (None, None),
    ("relu", "relu"),
    ("swish", "silu"),
    (keras.activations.softmax, "softmax"),
    (keras.activations.silu, "silu"),
    (keras.layers.Activation("sigmoid"), "sigmoid"),
    (keras.layers.Activation(keras.activations.linear, name="end"), "linear"),
    (keras.layers.Softmax(), "softmax"),
    (keras.layers.LeakyReLU(negative_slope=0.3), {"negative_slope": 0.3}),
    (doubled, "tests_of_heads>doubled"),
]


@pytest.mark.parametrize("given, held", ACTIVATIONS, ids=range(len(ACTIVATIONS)))
@pytest.mark.sampled(3)
def test_an_activation_is_what_keras_takes_and_saves(given, held, tmp_path):
    model = make(classifier_activation=given)
    config = model.config
    kept = config.classifier_activation
    if isinstance(kept, dict):
        inner = kept["config"]
        kept = inner if isinstance(inner, str) else {"negative_slope": inner["negative_slope"]}
    assert kept == held
    assert kr.config_from_dict(json.loads(config.to_json())) == config
    assert hash(config) == hash(kr.config_from_dict(config.to_dict()))
    logits = make(classifier_activation=None)
    logits.set_weights(model.get_weights())
    expected = keras.activations.get(given)(answers(logits, images()))
    expected = keras.ops.convert_to_numpy(expected)
    np.testing.assert_allclose(answers(model, images()), expected, atol=1e-6)
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert again.config == config
    np.testing.assert_array_equal(answers(again, images()), answers(model, images()))


@pytest.mark.parametrize(
    "given, words",
    [
        ("softmaxx", "nearest: softmax"),
        ("tests_of_heads>doubled", "the name of a Keras activation"),
        (1, "Received: classifier_activation=1"),
        (unregistered, "registered by"),
        (lambda x: x, "registered by"),
        (keras.layers.PReLU(), "without weights"),
        (keras.layers.ReLU, "without weights"),
        ({"class_name": 3}, "the name of a Keras activation"),
    ],
)
def test_other_activations_are_one_line(given, words):
    with pytest.raises(kr.ConfigError, match=words) as error:
        SMALL.replace(classifier_activation=given)
    assert "`classifier_activation`" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_activation_that_is_not_there_is_named_when_built():
    gone = {"module": "builtins", "class_name": "function", "config": "nobody>knows",
            "registered_name": "function"}  # fmt: skip
    with pytest.raises(kr.ConfigError, match="import the module that registers it"):
        make(classifier_activation=gone)


def test_the_names_are_keras():
    theirs = {name for name in dir(keras.activations) if name[0].islower()}
    ours = set(ACTIVATION_NAMES)
    assert theirs - {"deserialize", "get", "serialize"} - ours <= {"swish", "hard_swish"}
    assert ours <= theirs


@pytest.mark.parametrize(
    "activation, kind",
    [(None, "logits"), ("linear", "logits"), ("log_softmax", "logits"),
     ("softmax", "probabilities"), ("sigmoid", "probabilities"), ("sparsemax", "probabilities"),
     ("relu", "other"), (doubled, "other")],
)  # fmt: skip
def test_what_outputs_are(activation, kind):
    config = SMALL.replace(classifier_activation=activation)
    assert output_kind(config.classifier_activation) == kind
    if kind == "other":
        with pytest.raises(kr.ConfigError, match="`classifier_activation` must give logits"):
            gives_logits(config)
    else:
        assert gives_logits(config) == (kind == "logits")


POOLINGS = {
    "avg": lambda x: x.mean((1, 2)),
    "max": lambda x: x.max((1, 2)),
    "avgmax": lambda x: (x.mean((1, 2)) + x.max((1, 2))) / 2,
    "catavgmax": lambda x: np.concatenate([x.mean((1, 2)), x.max((1, 2))], -1),
}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_with_and_without_a_classifier(pooling):
    model = make(head_pooling=pooling, classifier_activation=None)
    vectors = make(include_top=False, pooling=pooling)
    maps = make(include_top=False)
    vectors.set_weights(model.get_weights()[:-2])
    maps.set_weights(model.get_weights()[:-2])
    expected = POOLINGS[pooling](answers(maps, images()))
    np.testing.assert_allclose(answers(vectors, images()), expected, atol=1e-6)
    kernel, bias = model.get_weights()[-2:]
    np.testing.assert_allclose(answers(model, images()), expected @ kernel + bias, atol=1e-5)
    for built in (model, vectors):
        assert kr.complexity(built.config).total_params == built.count_params()


@pytest.mark.parametrize(
    "fields, names",
    [
        ({"pooling": "max"}, ("pooling", "include_top", "head_pooling")),
        ({"pooling": "avgmax"}, ("pooling", "include_top", "head_pooling")),
        ({"include_top": False, "head_pooling": "max"}, ("head_pooling", "include_top")),
        ({"include_top": False, "head_dropout": 0.1}, ("head_dropout", "include_top")),
    ],
)
def test_what_would_be_ignored_is_refused(fields, names):
    with pytest.raises(kr.ConfigError) as error:
        make(**fields)
    assert all(name in str(error.value) for name in names)


def test_a_classifiers_options_go_with_it():
    config = SMALL.replace(head_pooling="max", head_dropout=0.1)
    assert kr.create_model(config, include_top=False).config == SMALL.replace(include_top=False)


def test_average_pooling_beside_a_classifier_is_what_it_has():
    assert make(pooling="avg").config.head_pooling == "avg"


def test_configurations_saved_with_an_ignored_pooling_still_load():
    old = SMALL.to_dict() | {"pooling": "max"}
    del old["head_pooling"], old["head_dropout"]
    assert kr.config_from_dict(old) == SMALL
    with pytest.raises(kr.ConfigError, match="`pooling` and `include_top`"):
        kr.config_from_dict({"family": "resnet", "pooling": "max"})


def test_any_size_with_a_classifier():
    model = kr.ResNet18(
        input_shape=(None, None, 3), classes=4, widths=(2, 2, 2, 2), stem_width=4, blocks=(1,) * 4
    )
    for size in (32, 47):
        assert answers(model, images(size=size)).shape == (2, 4)


def test_head_dropout_drops_in_training_alone_and_reloads(tmp_path):
    model = make(head_dropout=0.5, classifier_activation=None)
    plain = make(classifier_activation=None)
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(answers(model, images()), answers(plain, images()), atol=1e-6)
    drawn = [answers(model, images(), training=True) for _ in range(4)]
    assert any(not np.allclose(drawn[0], other) for other in drawn[1:])
    # What a resumed training seeds anew (`training.callbacks`).
    assert [v.name for v in model.variables].count("seed_generator_state") == 1
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert again.get_layer("head_dropout").rate == again.config.head_dropout == 0.5


@pytest.fixture(scope="module")
def trained():
    model = make(dtype="mixed_bfloat16")
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.0, weight.shape))
    return kr.freeze(model, through="stage1")


def test_reset_classifier_keeps_the_body(trained):
    before = trained.get_weights()
    new = kr.reset_classifier(
        trained, 7, pooling="catavgmax", head_dropout=0.2, classifier_activation=None
    )
    assert new.output_shape == (None, 7)
    assert new.config == SMALL.replace(
        classes=7, head_pooling="catavgmax", head_dropout=0.2, classifier_activation=None
    )
    for ours, theirs in zip(new.get_weights()[:-2], before[:-2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(trained.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert new.get_layer("stage1_block1").compute_dtype == "bfloat16"
    assert not new.get_layer("stage1_block1").trainable
    assert new.get_layer("predictions").trainable
    assert not kr.reset_classifier(kr.freeze(make()), 5).get_layer("stem_conv").trainable
    assert kr.reset_classifier(kr.freeze(make()), 5).get_layer("predictions").trainable


@pytest.mark.parametrize("none", [None, 0])
def test_reset_classifier_without_classes_gives_features(trained, none):
    features = kr.reset_classifier(trained, none)
    assert features.output_shape == (None, 8)
    again = kr.reset_classifier(features, 3)
    assert again.config == SMALL
    pooled = kr.reset_classifier(make(head_pooling="max", head_dropout=0.1), none)
    assert pooled.config.pooling == "max"


@pytest.mark.parametrize(
    "classes, options, words",
    [
        (-1, {}, "`classes` must be"),
        (False, {}, "`classes` must be"),
        (3, {"pooling": "mean"}, "`pooling` must be one of"),
        (3, {"classifier_activation": "softmaxx"}, "nearest: softmax"),
        (None, {"head_dropout": 0.1}, "`head_dropout` and `classes`"),
    ],
)
def test_reset_classifier_checks_its_arguments(trained, classes, options, words):
    with pytest.raises(kr.ConfigError, match=words):
        kr.reset_classifier(trained, classes, **options)


def test_reset_classifier_refuses_what_it_would_lose(trained):
    scaled = keras.layers.Rescaling(0.5, name="halved")(keras.Input((8, 8, 3)))
    with pytest.raises(kr.InputError, match="'halved'"):
        kr.reset_classifier(kr.create_model(SMALL, input_tensor=scaled), 5)
    with pytest.raises(kr.InputError, match="a Functional"):
        kr.reset_classifier(keras.Model(trained.input, trained.output), 5)


@pytest.mark.tensorflow
@pytest.mark.large
def test_reset_classifier_refuses_quantised_layers():
    model = make(attention="se")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the layers that Keras leaves as they are
        model.quantize("int8")
    with pytest.raises(kr.InputError, match="must not be quantised"):
        kr.reset_classifier(model, 5)


@pytest.mark.parametrize(
    "name",
    ["resnet50", "resnet20_cifar", "densenet121", "preact_resnet18", "wrn16_4_cifar", "resnet50d"],
)
@pytest.mark.sampled(1)
def test_feature_info_is_what_the_stages_put_out(name):
    config = kr.model_config(name, blocks=(1,) * len(kr.model_config(name).blocks))
    for stride in (None, 2) if "cifar" in name else (None, 8):
        model = kr.create_model(config, input_shape=(64, 64, 3), output_stride=stride)
        found = [
            (stage, output.shape[3], 64 // output.shape[1])
            for stage, output in model.stages.items()
        ]
        assert [tuple(info) for info in model.feature_info] == found
        assert model.config.feature_info == model.feature_info
