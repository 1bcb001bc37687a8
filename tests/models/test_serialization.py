"""Every family is saved here and loaded in one other process, under other global defaults."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from small_networks import FAMILIES, KINDS, small_model
from tiers import matrix

import keras_resnets as kr

# JAX compiles everything for both data formats: the layers' tests have the other one there.
FORMATS = ("channels_last", "channels_first")[: 1 if keras.backend.backend() == "jax" else 2]
CASES = list(itertools.product(FAMILIES, ("float32", "mixed_bfloat16"), FORMATS))
PLAIN = [("float32", "channels_last"), ("mixed_bfloat16", FORMATS[-1])]
EACH_CASE = pytest.mark.parametrize(
    "name, policy, data_format",
    matrix(CASES, [(name, *PLAIN[i % 2]) for i, name in enumerate(KINDS)]),
)


def stem_of(name, policy, data_format):
    return f"{name}.{policy}.{data_format}"


def facts_of(model):
    layers = [part for layer in model.layers[1:] for part in layer._flatten_layers()]
    return {
        "config": model.config.to_dict(),
        "policies": [layer.dtype_policy.name for layer in layers],
        "trainable": [layer.trainable for layer in layers],
        "names": [layer.name for layer in layers],
    }


def vary(model, seed):
    """Give every weight its own values, moving statistics and zero scales included."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        noise = rng.uniform(0.5, 1.5, variable.shape)
        if variable.path.rsplit("/", 1)[-1] in ("gamma", "beta", "moving_mean", "moving_variance"):
            variable.assign(noise)
        else:
            variable.assign(variable * noise)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, request):
    """A folder with the networks of all cases that are tested now, and what they answered here."""
    folder = tmp_path_factory.mktemp("saved")
    expected = {}
    items = [item for item in request.session.items if item.path == request.path]
    tested = [item.callspec.params for item in items if "saved" in item.fixturenames]
    tested = {(case["name"], case["policy"], case["data_format"]) for case in tested}
    for seed, case in enumerate(CASES):
        if case not in tested:
            continue
        name, policy, data_format = case
        model = small_model(name, dtype=policy, data_format=data_format)
        vary(model, seed)
        if seed % 3 == 0:
            kr.freeze(model, through="stage2", batch_norm=seed % 2 == 0)
        inputs = np.random.default_rng(seed).normal(size=(3, *model.input_shape[1:]))
        inputs = inputs.astype("float32")
        stem = stem_of(*case)
        np.save(folder / f"{stem}.inputs.npy", inputs)
        expected[case] = np.asarray(model(inputs, training=False)), facts_of(model)
        model.save(folder / f"{stem}.keras")
        model.save_weights(folder / f"{stem}.weights.h5")
    root = Path(kr.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, Path(__file__).with_name("reload_elsewhere.py"), folder],
        env={**os.environ, "PYTHONPATH": str(root), "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return folder, expected


@EACH_CASE
def test_a_fresh_process_answers_the_same_to_the_bit(saved, name, policy, data_format):
    folder, expected = saved
    case = name, policy, data_format
    outputs, facts = expected[case]
    np.testing.assert_array_equal(np.load(folder / f"{stem_of(*case)}.again.npy"), outputs)
    again = json.loads((folder / f"{stem_of(*case)}.again.json").read_text())
    assert again == json.loads(json.dumps(facts))


@EACH_CASE
def test_weights_alone_are_enough(saved, name, policy, data_format):
    folder, expected = saved
    case = name, policy, data_format
    outputs, _ = expected[case]
    np.testing.assert_array_equal(np.load(folder / f"{stem_of(*case)}.rebuilt.npy"), outputs)


def test_weights_go_with_create_model(tmp_path):
    model = small_model("resnet20_cifar")
    model.save_weights(tmp_path / "model.weights.h5")
    again = kr.create_model(model.config, weights=tmp_path / "model.weights.h5")
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_cut_from_another_has_no_config():
    model = small_model("resnet20_cifar")
    cut = type(model)(model.inputs, model.get_layer("stage1_block1").output)
    with pytest.raises(AttributeError, match="not built from a configuration"):
        cut.config  # noqa: B018
