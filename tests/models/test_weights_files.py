"""`weights=` takes every file that Keras writes of a network, and says what does not fit."""

import shutil

import h5py
import keras
import numpy as np
import pytest

import keras_resnets as kr

SMALL = kr.ResNetConfig(
    blocks=(1, 1), widths=(4, 8), stem_width=4, input_shape=(8, 8, 3), classes=3
)
DENSE = kr.DenseNetConfig(
    blocks=(1, 1), growth_rate=4, stem_width=4, input_shape=(8, 8, 3), classes=3
)
FORMATS = ("net.weights.h5", "net.h5", "net.keras")


def write(model, path):
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    elif path.suffix == ".keras":
        model.save(path)
    else:
        # Not by Keras, whose whole-model .h5 files warn that they are old.
        from keras.src.legacy.saving.legacy_h5_format import save_model_to_hdf5

        save_model_to_hdf5(model, path, include_optimizer=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    model = kr.create_model(SMALL, name="net")
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    for name in FORMATS:
        write(model, folder / name)
    frozen = kr.freeze(kr.create_model(SMALL), through="stage1")
    frozen.set_weights(model.get_weights())
    write(frozen, folder / "frozen.h5")
    bare = kr.create_model(SMALL, include_top=False)
    for name in FORMATS:
        write(bare, folder / f"bare_{name}")
    write(kr.create_model(SMALL, blocks=(1, 2)), folder / "deeper.weights.h5")
    write(kr.create_model(SMALL, blocks=(1, 2)), folder / "deeper.h5")
    write(kr.create_model(DENSE), folder / "dense.keras")
    foreign = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    for name in FORMATS:
        write(foreign, folder / f"foreign_{name}")
    with h5py.File(folder / "numbers.h5", "w") as file:
        file["x"] = np.arange(3)
    shutil.copy(folder / "net.weights.h5", folder / "renamed.h5")
    for name in FORMATS:
        whole = (folder / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(whole[: len(whole) // 2])
        (folder / f"empty_{name}").write_bytes(b"")
        (folder / f"text_{name}").write_text("no weights")
    return folder, {weight.path: np.asarray(weight) for weight in model.weights}


def holds(model, expected):
    for weight in model.weights:
        np.testing.assert_array_equal(np.asarray(weight), expected[weight.path], weight.path)


@pytest.mark.parametrize("name", [*FORMATS, "frozen.h5"])
def test_every_format_is_read(files, name):
    folder, expected = files
    holds(kr.create_model(SMALL, weights=folder / name), expected)
    holds(kr.create_model(SMALL, weights=str(folder / name), dropout=0.2, name="other"), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_without_a_top_the_body_is_read(files, name):
    folder, expected = files
    for pooling in (None, "avgmax"):
        body = kr.create_model(SMALL, include_top=False, pooling=pooling, weights=folder / name)
        assert len(body.weights) == len(expected) - 2
        holds(body, expected)


def test_a_constructor_reads_them(tmp_path):
    options = {"blocks": (1, 1, 1, 1), "widths": (2, 2, 2, 2), "stem_width": 4}
    made = kr.ResNet18(classes=4, input_shape=(32, 32, 3), **options)
    made.save(tmp_path / "net.keras")
    again = kr.ResNet18(classes=4, weights=tmp_path / "net.keras", **options)
    holds(again, {weight.path: np.asarray(weight) for weight in made.weights})


MISFITS = [
    ("net.keras", {"classes": 5}, ("classes=3, not 5", "reset_classifier")),
    ("net.h5", {"classes": 5}, ("classes=3, not 5", "reset_classifier")),
    ("net.weights.h5", {"classes": 5}, ("(8, 5)",)),
    ("net.keras", {"blocks": (1, 2)}, ("blocks=(1, 1), not (1, 2)",)),
    ("net.keras", {"shortcut": "D"}, ("shortcut='B', not 'D'",)),
    ("net.keras", {"attention": "se", "widths": (8, 8)}, ("widths=(4, 8)", "attention=None")),
    ("net.keras", {"input_shape": (8, 8, 1)}, ("channels=3, not 1",)),
    ("net.keras", {"head_pooling": "catavgmax"}, ("head_pooling='avg', not 'catavgmax'",)),
    ("bare_net.keras", {}, ("include_top=False, not True", "reset_classifier")),
    ("bare_net.h5", {}, ("include_top=False, not True",)),
    ("bare_net.weights.h5", {}, ("weights, the network has",)),
    ("deeper.weights.h5", {}, ("weights, the network has",)),
    ("deeper.h5", {}, ("blocks=(1, 2), not (1, 1)",)),
    ("dense.keras", {}, ("family='densenet', not 'resnet'",)),
]


@pytest.mark.parametrize("name, changes, words", MISFITS)
def test_weights_of_another_network_are_refused_by_what_differs(files, name, changes, words):
    refused(files[0] / name, words, **changes)


def refused(path, words, **changes):
    with pytest.raises(kr.ConfigError) as error:
        kr.create_model(SMALL, weights=path, **changes)
    message = str(error.value)
    assert "`weights`" in message
    assert "\n" not in message
    assert path.name in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", ["cut", "empty", "text", "foreign"])
def test_damaged_and_foreign_files_are_one_line(files, kind, name):
    refused(files[0] / f"{kind}_{name}", ())


@pytest.mark.parametrize(
    "name, words",
    [
        ("numbers.h5", "does not hold the weights of a Keras model"),
        ("renamed.h5", "must be named .weights.h5"),
        ("missing.keras", "there is no such file"),
        ("net.npz", "no weights are downloaded"),
        ("x" * 300 + ".h5", "there is no such file"),
    ],
)
def test_other_files_are_one_line(files, name, words):
    refused(files[0] / name, (words,))


def test_what_lies_outside_the_file_is_not_read(files, tmp_path):
    folder, _ = files
    path = tmp_path / "linked.h5"
    shutil.copy(folder / "net.h5", path)
    with h5py.File(path, "a") as file:
        group = file["model_weights/stem_conv/stem_conv"]
        del group["kernel"]
        group["kernel"] = h5py.ExternalLink(
            str(folder / "net.h5"), "model_weights/stem_conv/stem_conv/kernel"
        )
    refused(path, ("lies outside the file",))


ATTENTIVE = SMALL.replace(attention="se", widths=(16, 16))


def stirred(config, **options):
    model = kr.create_model(config, **options)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def quantised(model, mode):
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.Dense):  # `model.quantize` knows no filters before 3.13
            layer.quantize(mode)
    return model


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.sampled(1)
def test_weights_of_a_quantised_network_are_refused_by_the_layer(name, mode, tmp_path):
    write(quantised(stirred(SMALL), mode), tmp_path / name)
    refused(tmp_path / name, (f"layer 'predictions' is quantised to {mode}",))
    write(quantised(stirred(ATTENTIVE), mode), tmp_path / name)
    with pytest.raises(kr.ConfigError, match=rf"/attention/\w+' is quantised to {mode}"):
        kr.create_model(ATTENTIVE, include_top=False, weights=tmp_path / name)


@pytest.mark.parametrize("name", FORMATS)
def test_a_quantised_head_does_not_keep_the_body_from_being_read(name, tmp_path):
    model = stirred(SMALL, layer_prefix="left_")
    expected = {w.path.removeprefix("left_"): np.array(w) for w in model.weights}
    model.get_layer("left_predictions").quantize("int8")
    write(model, tmp_path / name)
    prefix = "left_" if name.endswith(".weights.h5") else ""  # the file does not say it
    body = kr.create_model(SMALL, include_top=False, weights=tmp_path / name, layer_prefix=prefix)
    for weight in body.weights:
        np.testing.assert_array_equal(weight, expected[weight.path.removeprefix(prefix)])


@pytest.mark.parametrize("name", FORMATS)
def test_a_policy_under_which_nothing_is_quantised_changes_nothing(name, tmp_path):
    model = stirred(SMALL, dtype="int8_from_float32")
    expected = {weight.path: np.asarray(weight) for weight in model.weights}
    write(model, tmp_path / name)
    for dtype in ("int8_from_float32", "float32"):
        holds(kr.create_model(SMALL, weights=tmp_path / name, dtype=dtype), expected)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("layer", ["predictions", "stem_conv"])
def test_an_adapted_kernel_is_read_with_its_adaptation(layer, name, tmp_path):
    model = stirred(SMALL, layer_prefix="left_")
    adapted = model.get_layer(f"left_{layer}")
    adapted.enable_lora(2, lora_alpha=3)
    adapted.lora_kernel_b.assign(np.full(adapted.lora_kernel_b.shape, 0.3))
    write(model, tmp_path / name)
    again = kr.create_model(SMALL, weights=tmp_path / name)
    images = np.ones((1, 8, 8, 3), "float32")
    np.testing.assert_allclose(model(images), again(images), atol=1e-6)
    np.testing.assert_allclose(
        again.get_layer(layer).kernel, adapted.kernel, atol=1e-6, err_msg="the kernel"
    )


def test_an_adaptation_of_unknown_weight_is_refused(tmp_path):
    model = stirred(ATTENTIVE)
    model.get_layer("stage1_block1/attention/reduce").enable_lora(2)
    write(model, tmp_path / "net.h5")
    with pytest.raises(kr.ConfigError, match=r"/attention/reduce' is adapted by LoRA.*\.keras"):
        kr.create_model(ATTENTIVE, weights=tmp_path / "net.h5")
