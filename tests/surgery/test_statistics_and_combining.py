"""Population statistics, ensembles and averages, against their definitions."""

import re

import keras
import numpy as np
import pytest
from small_networks import small_config
from surgical import apart, kind_weights, made, real_images, values_of

import keras_resnets as kr
from keras_resnets import surgery
from keras_resnets.export import export_saved_model, export_tflite

LOGITS = {"classifier_activation": None, "input_shape": (16, 16, 3)}
IMAGES = real_images((16, 16), 20)


def statistics(model, path):
    return [
        keras.ops.convert_to_numpy(w)
        for name in ("moving_mean", "moving_variance")
        for w in model.weights
        if w.path == f"{path}/{name}"
    ]


def read_by(model, name):
    """Return what the normalisation behind a layer reads."""
    layer = keras.Model(model.input, model.get_layer(name).output)
    return np.asarray(layer(IMAGES))


@pytest.mark.parametrize("batch_size", [20, 7])
@pytest.mark.sampled(1)
def test_statistics_are_those_of_every_pixel(batch_size):
    """Whatever the batches, the last one smaller: mean and variance over the whole set."""
    model = made(small_config("resnet20_cifar", **LOGITS, dropout=0.5, final_survival=0.5))
    before = values_of(model)
    found = surgery.recalibrate_batch_norm(model, IMAGES, batch_size=batch_size)
    values = read_by(model, "stem_conv")
    mean, variance = statistics(found, "stem_bn")
    np.testing.assert_allclose(mean, values.mean((0, 1, 2)), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(variance, values.var((0, 1, 2)), rtol=1e-6)
    assert found.config == model.config
    for old, now in zip(before, values_of(model), strict=True):
        np.testing.assert_array_equal(old, now)


@pytest.mark.large
def test_in_one_batch_training_and_inference_become_one():
    model = kind_weights(
        kr.create_model(small_config("preact_resnet50", **LOGITS), dtype="float64")
    )
    found = surgery.recalibrate_batch_norm(model, IMAGES, batch_size=20)
    expected = np.asarray(model(IMAGES, training=True))
    np.testing.assert_allclose(np.asarray(found(IMAGES)), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.large
def test_data_sets_and_steps():
    import tensorflow as tf

    model = made(small_config("resnet20_cifar", **LOGITS))
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, np.zeros(20))).batch(5)
    whole = surgery.recalibrate_batch_norm(model, IMAGES, batch_size=5)
    same = surgery.recalibrate_batch_norm(model, pairs)
    some = surgery.recalibrate_batch_norm(model, pairs, steps=2)
    half = surgery.recalibrate_batch_norm(model, IMAGES[:10], batch_size=5)
    for one, two in ((whole, same), (some, half)):
        for a, b in zip(values_of(one), values_of(two), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def three():
    names = ("resnet20_cifar", "densenet_40_12_cifar", "wrn16_4_cifar")
    return [
        made(small_config(name, input_shape=(16, 16, 3)), dtype="float32", seed=i)
        for i, name in enumerate(names)
    ]


@pytest.mark.parametrize("combine", ["mean_probability", "mean_logit"])
@pytest.mark.large
def test_an_ensemble_is_its_mean_saved_and_exported(combine, tmp_path):
    models = three()
    probabilities = np.stack([np.asarray(model(IMAGES)) for model in models])
    expected = probabilities.mean(0)
    if combine == "mean_logit":
        geometric = np.exp(np.log(probabilities).mean(0))
        expected = geometric / geometric.sum(-1, keepdims=True)
    both = surgery.ensemble(models, combine)
    np.testing.assert_allclose(np.asarray(both(IMAGES)), expected, atol=1e-5)
    both.save(tmp_path / "both.keras")
    loaded = keras.saving.load_model(tmp_path / "both.keras")
    np.testing.assert_allclose(np.asarray(loaded(IMAGES)), expected, atol=1e-5)
    assert loaded.get_layer("member2").config.family == "densenet"
    for export in (export_saved_model, export_tflite):
        assert export(loaded, tmp_path / export.__name__, IMAGES).agreement == 1


def test_logits_become_probabilities_only_where_they_are_averaged_as_such():
    config = small_config("resnet20_cifar", **LOGITS)
    models = [made(config, dtype="float32", seed=i) for i in range(2)]
    logits = np.stack([np.asarray(model(IMAGES)) for model in models])
    found = np.asarray(surgery.ensemble(models, "mean_logit")(IMAGES))
    np.testing.assert_allclose(found, logits.mean(0), rtol=1e-4, atol=1e-4)
    sums = np.asarray(surgery.ensemble(models)(IMAGES)).sum(-1)
    np.testing.assert_allclose(sums, 1, atol=1e-5)


def test_checkpoints_are_averaged(tmp_path):
    config = small_config("resnet20_cifar", **LOGITS, final_survival=0.5)
    models = [made(config, dtype="float32", seed=i) for i in range(3)]
    paths = []
    for i, model in enumerate(models):
        paths.append(tmp_path / f"{i}.keras")
        model.save(paths[-1])
    mean = surgery.average_checkpoints(paths)
    for found, *parts in zip(*map(values_of, (mean, *models)), strict=True):
        if np.issubdtype(found.dtype, np.floating):
            np.testing.assert_allclose(found, np.mean(parts, axis=0), rtol=1e-5, atol=1e-6)
    alone = surgery.average_checkpoints(paths[:1])
    assert apart(alone, models[0], IMAGES) == 0


def other(**changes):
    return kr.create_model(small_config("resnet20_cifar", **{**LOGITS, **changes}))


BAD = {
    "no batch norm": (
        lambda m, _: surgery.recalibrate_batch_norm(
            surgery.fold_batch_norm(m, print_fn=None), IMAGES
        ),
        "folded",
    ),
    "no images": (lambda m, _: surgery.recalibrate_batch_norm(m, IMAGES[:0]), "at least one"),
    "shape": (lambda m, _: surgery.recalibrate_batch_norm(m, IMAGES[:, :8]), "of shape"),
    "type": (lambda m, _: surgery.recalibrate_batch_norm(m, 3), "Received: a int"),
    "no data": (lambda m, _: surgery.recalibrate_batch_norm(m, "abc"), "Received: a str"),
    "no shape": (lambda m, _: surgery.recalibrate_batch_norm(m, [{}]), "of shape"),
    "batch size": (
        lambda m, _: surgery.recalibrate_batch_norm(m, IMAGES, batch_size=0),
        "`batch_size` must be a positive integer. Received: batch_size=0",
    ),
    "steps": (lambda m, _: surgery.recalibrate_batch_norm(m, IMAGES, steps=0), "`steps` must"),
    "no paths": (lambda m, d: surgery.average_checkpoints(None), "`paths` must be a sequence"),
    "no path": (lambda m, d: surgery.average_checkpoints([3]), "Received: 3"),
    "not finite": (
        lambda m, _: surgery.recalibrate_batch_norm(m, IMAGES * np.nan),
        "finite statistics",
    ),
    "one model": (lambda m, _: surgery.ensemble([m]), "at least two networks. Received: 1"),
    "combine": (lambda m, _: surgery.ensemble([m, m], "vote"), "combine='vote'"),
    "classes": (lambda m, _: surgery.ensemble([m, other(classes=3)]), "model 2 with classes=3"),
    "head": (lambda m, _: surgery.ensemble([m, other(include_top=False)]), "include_top=False"),
    "size": (
        lambda m, _: surgery.ensemble([m, other(input_shape=(8, 8, 3))]),
        "take the same images",
    ),
    "no file": (lambda m, d: surgery.average_checkpoints([d / "no.keras"]), "existing .keras file"),
    "a string": (lambda m, d: surgery.average_checkpoints("m.keras"), "`paths` must be a sequence"),
    "another": (
        lambda m, d: surgery.average_checkpoints([d / "m.keras", d / "other.keras"]),
        "of one configuration",
    ),
    "damaged": (lambda m, d: surgery.average_checkpoints([d / "damaged.keras"]), "cannot be read"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    other().save(folder / "m.keras")
    other(classes=3).save(folder / "other.keras")
    (folder / "damaged.keras").write_bytes((folder / "m.keras").read_bytes()[:5000])
    return folder


@pytest.mark.parametrize("call, message", BAD.values(), ids=list(BAD))
@pytest.mark.sampled(4)
def test_bad_input_is_refused(call, message, files):
    with pytest.raises(kr.InputError, match=re.escape(message)):
        call(other(), files)
