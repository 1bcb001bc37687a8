"""Every layer, and the model, has the dtype policy that was asked for, after a reload too."""

import keras
import numpy as np
import pytest
from small_networks import FAMILIES, small_model

import keras_resnets as kr

POLICIES = ("mixed_float16", "mixed_bfloat16", "bfloat16", "float16", "float64", "float32")
if keras.backend.backend() == "jax":
    POLICIES = tuple(policy for policy in POLICIES if policy != "float64")  # needs x64

IN_FLOAT32 = ("normalization", "avg_pool", "predictions")
"""What computes in float32 at least: the pixels' normalisation and the head."""

RAW = {"input_mean": (120.0, 110, 100), "input_std": (60.0, 50, 40)}

SMALL = kr.ResNetConfig(
    blocks=(1, 1), widths=(4, 8), stem_width=4, input_shape=(8, 8, 3), classes=5, shortcut="C"
)


def images(side=24):
    return np.random.default_rng(0).integers(0, 256, (2, side, side, 3)).astype("float32")


def reloaded(model, folder, suffix=".keras"):
    model.save(folder / f"model{suffix}")
    return keras.saving.load_model(folder / f"model{suffix}")


def check_policy(model, name):
    """keras-hub's precision test, but for what is in float32 at least."""
    policy = keras.dtype_policies.get(name)
    wide = keras.dtype_policies.get("float64" if name == "float64" else "float32")
    assert model.dtype_policy == policy
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.InputLayer):
            continue
        expected = wide if layer.name in IN_FLOAT32 else policy
        assert layer.compute_dtype == expected.compute_dtype, layer.name
        assert layer.variable_dtype == expected.variable_dtype, layer.name
    for weight in model.weights:
        if "seed_generator" not in weight.path:
            head = weight.path.startswith(IN_FLOAT32)
            assert weight.dtype == (wide if head else policy).variable_dtype, weight.path


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.sampled(2)
def test_the_model_and_each_layer_have_the_policy(policy, tmp_path):
    built = kr.create_model(SMALL, dtype=policy, **RAW)
    for model in (built, reloaded(built, tmp_path), kr.create_model(SMALL, dtype=policy)):
        check_policy(model, policy)
        outputs = model(images(8))
        assert keras.backend.standardize_dtype(outputs.dtype) == model.outputs[0].dtype
        assert np.isfinite(np.asarray(outputs)).all()


@pytest.mark.large
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_every_policy(name, policy):
    model = small_model(name, dtype=policy, include_top=False, pooling=None)
    check_policy(model, policy)
    outputs = model(images())
    spec = model.compute_output_spec(keras.KerasTensor((2, 24, 24, 3)))
    assert keras.backend.standardize_dtype(outputs.dtype) == spec.dtype
    assert spec.dtype == model.compute_dtype


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.sampled(1)
def test_a_global_map_of_policies_stays_as_it_is(dtype, tmp_path):
    model = reloaded(kr.create_model(SMALL, name="resnet"), tmp_path)
    before, policies = keras.config.dtype_policy(), policy_map()
    keras.config.set_dtype_policy(policies)
    try:
        built = kr.create_model(SMALL, dtype=dtype, name="resnet")
        reloaded(model, tmp_path)
        assert built.compute_dtype == "bfloat16"
        assert set(policies) == set(MAP)
        assert len(computes_in(reloaded(built, tmp_path))) == len(computes_in(built))
    finally:
        keras.config.set_dtype_policy(before)


def test_the_global_policy_is_kept_with_the_model(tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = kr.create_model(SMALL)
        model.save(tmp_path / "model.keras")
    finally:
        keras.config.set_dtype_policy(before)
    model = keras.saving.load_model(tmp_path / "model.keras")
    check_policy(model, "mixed_bfloat16")


MAP = {
    "stem_conv": "float32",
    "stage1_block1/conv2": "float32",
    "stage2_block1/shortcut/.*": "float32",
    "predictions": "mixed_bfloat16",
}


def policy_map(default="mixed_bfloat16", entries=MAP):
    policies = keras.dtype_policies.DTypePolicyMap(keras.dtype_policies.get(default))
    for key, policy in entries.items():
        policies[key] = keras.dtype_policies.get(policy)
    return policies


def computes_in(model):
    # What has no weights has no path before it is called by its own.
    return {layer.path or layer.name: layer.compute_dtype for layer in model._flatten_layers()}


@pytest.mark.parametrize("how", ["argument", "global"])
def test_a_map_of_policies_holds_for_every_layer(how, tmp_path):
    if how == "argument":
        built = kr.create_model(SMALL, dtype=policy_map())
    else:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy_map())
        try:
            built = kr.create_model(SMALL)
        finally:
            keras.config.set_dtype_policy(before)
    for model in (built, reloaded(built, tmp_path), reloaded(built, tmp_path, ".h5")):
        assert model.compute_dtype == "bfloat16"
        assert model.variable_dtype == "float32"
        found = computes_in(model)
        inputs = {model.name, "image"}
        wide = {path for path, dtype in found.items() if dtype == "float32"} - inputs
        assert wide == {
            "stem_conv",
            "stage1_block1/conv2",
            "stage2_block1/shortcut/conv",
            "stage2_block1/shortcut/bn",
            "avg_pool",
        }
        assert {found[path] for path in found if path not in wide | inputs} == {"bfloat16"}
        assert {weight.dtype for weight in model.weights} == {"float32"}
        outputs = model(images(8) / 255)
        assert keras.backend.standardize_dtype(outputs.dtype) == model.outputs[0].dtype
        assert model.outputs[0].dtype == "bfloat16"


PARTED = {
    "basic": SMALL,
    "pre": SMALL.replace(activation_order="pre"),
    "dropped whole": SMALL.replace(final_survival=0.5, shortcut="A"),
    "gated": SMALL.replace(shortcut_gate="exclusive"),
    "squeezed": SMALL.replace(attention="se", se_ratio=0.5),
    "dense": kr.DenseNetConfig(
        blocks=(2, 2), growth_rate=4, stem_width=8, input_shape=(8, 8, 3), classes=5
    ),
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("entry", [".*/conv1", ".*/(bn1|reduce|gate|conv)"])
@pytest.mark.parametrize("config", PARTED.values(), ids=PARTED)
@pytest.mark.large
def test_parts_of_other_policies_train_together(config, entry):
    model = kr.create_model(config, dtype=policy_map("mixed_bfloat16", {entry: "float32"}))
    found = computes_in(model)
    assert {"float32", "bfloat16"} == set(found.values())
    model.compile("sgd", "sparse_categorical_crossentropy")
    losses = model.fit(images(8), np.array([0, 1]), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    for layer in model.layers[1:]:
        made = layer(keras.ops.zeros((1, *layer.input.shape[1:]), layer.input.dtype))
        assert keras.backend.standardize_dtype(made.dtype) == layer.compute_dtype, layer.name
        assert layer.output.dtype == layer.compute_dtype, layer.name


def test_a_path_of_two_entries_is_refused():
    entries = {"stem_.*": "float32", ".*_conv": "float32"}
    with pytest.raises(kr.ConfigError, match=r"`dtype`.*stem_conv.*matches multiple"):
        kr.create_model(SMALL, dtype=policy_map(entries=entries))


@pytest.mark.tensorflow
def test_losses_are_scaled_under_mixed_float16():
    """As Keras does it for a model of that policy."""
    model = kr.create_model(SMALL, dtype="mixed_float16")
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
