"""Plain networks from residual ones, and folded ones: sizes, operations, exports, refusals."""

import json

import keras
import numpy as np
import pytest
from small_networks import small_config
from surgical import apart, hard_weights, kind_weights, made, real_images

import keras_resnets as kr
from keras_resnets import surgery
from keras_resnets.export import export_saved_model, export_tflite

LOGITS = {"classifier_activation": None, "input_shape": (None, None, 3)}

DERIVED = {
    "resnet20_cifar": 502_042,
    "resnet56_cifar": 1_665_274,
    "resnet18": 20_176_360,
    "resnet34": 40_383_400,
}
"""Parameters after conversion, stem normalisation kept, derived from RMNet 2021's construction."""


@pytest.mark.parametrize("name, expected", DERIVED.items())
@pytest.mark.sampled(1)
def test_the_parameters_that_were_derived(name, expected):
    said = []
    plain = surgery.to_plain(kr.create_model(name), print_fn=said.append)
    trainable = sum(int(np.prod(w.shape)) for w in plain.trainable_variables)
    assert trainable == kr.complexity(plain.config).trainable_params == expected
    assert f"-> {expected:,}" in said[0]


@pytest.mark.parametrize(
    "name", ["resnet20_cifar", "resnet50d", "wrn16_4_cifar", "preact_resnet50"]
)
@pytest.mark.sampled(1)
def test_the_graph_adds_nothing_but_biases(name):
    import tensorflow as tf

    plain = surgery.to_plain(made(small_config(name, **LOGITS), dtype="float32"), print_fn=None)
    function = tf.function(plain).get_concrete_function(tf.TensorSpec((1, 16, 16, 3)))
    biases = {v.handle._id: tuple(v.shape) for v in plain.variables}
    assert biases
    graph = function.graph
    for op in graph.get_operations():
        if op.type in ("Add", "AddV2", "AddN"):
            ranks = sorted(len(x.shape) for x in op.inputs)
            assert ranks[0] <= 1, op.name  # a bias
    kinds = {type(layer).__name__ for layer in plain.layers}
    assert kinds <= {
        "InputLayer",
        "SymmetricConv2D",
        "BatchNormalization",
        "ReLU",
        "SymmetricMaxPool",
        "ChannelwiseReduction",
        "GlobalAveragePooling2D",
        "Dense",
    }
    for layer in plain.layers[1:]:  # a chain: each reads the one before alone
        (node,) = layer._inbound_nodes
        assert len(node.input_tensors) == 1


@pytest.mark.large
def test_the_3x3_of_a_bottleneck_has_groups_where_that_is_cheaper():
    plain = surgery.to_plain(kr.create_model("resnet50", classes=2), print_fn=None).config
    groups = {spec.name: spec.groups for spec in plain.convolutions}
    assert groups["stage1_block2_conv2"] == 5  # four of the carried channels, one of the branch
    assert groups["stage1_block1_conv2"] == 2
    assert groups["stage1_block2_conv1"] == groups["stage1_block2_conv3"] == 1
    grouped = surgery.to_plain(kr.create_model("resnext50_32x4d", classes=2), print_fn=None).config
    groups = {spec.name: spec.groups for spec in grouped.convolutions}
    assert groups["stage1_block2_conv2"] == 256 // 4 + 32


@pytest.mark.parametrize("name", ["resnet20_cifar", "preact_resnet50", "resnet50d"])
def test_a_chain_is_described_drawn_and_tapped_like_any_network(name):
    from keras_resnets.analysis.description import part_rows, sketch, summarize
    from keras_resnets.analysis.drawing import draw_network

    model = made(small_config(name, input_shape=(32, 32, 3)), dtype="float32")
    plain = surgery.to_plain(model, print_fn=None)
    assert "one convolution after another" in summarize(plain.config)
    rows, old = part_rows(plain.config), part_rows(model.config)
    assert [row["part"] for row in rows] == [row["part"] for row in old]
    assert [row["macs"] for row in rows[1:-1]] > [row["macs"] for row in old[1:-1]]
    assert len(sketch(plain.config).splitlines()) == len(plain.config.blocks)
    assert draw_network(plain.config).axes
    for by in ("level", "stage"):
        shapes = [
            [tuple(tensor.shape[1:3]) for tensor in kr.feature_pyramid(m, by).values()]
            for m in (plain, model)
        ]
        assert shapes[0] == shapes[1]
    again = kr.config_from_dict(json.loads(plain.config.to_json()))
    assert again == plain.config
    assert hash(again) == hash(plain.config)


BAD_CHAINS = {
    "no name": ({"convolutions": [(1, 3, 8)]}, "a name, an odd size"),
    "even": ({"convolutions": [("a", 2, 8)]}, "a name, an odd size"),
    "short": ({"convolutions": [("a", 3)]}, "ChainSpec, or their fields"),
    "groups": ({"convolutions": [("a", 3, 8, 1, 1, 3)]}, "groups that divide 16 and 8 channels"),
    "twice": ({"convolutions": [("a", 3, 8), ("a", 3, 8)]}, "of different names"),
    "reduction": (
        {"convolutions": [("a", 3, 8, 1, 1, 1, True, (((4, "average"),), 2))]},
        "reductions of all filters",
    ),
    "type": ({"convolutions": "abc"}, "a sequence of ChainSpec"),
    "stem_end": ({"stem_end": "relu"}, "`stem_end` must be one of"),
    "origin": ({"origin": 3}, "`origin` must be None or a configuration"),
}


@pytest.mark.parametrize("fields, message", BAD_CHAINS.values(), ids=list(BAD_CHAINS))
def test_chains_that_cannot_be_are_refused(fields, message):
    with pytest.raises(kr.ConfigError, match=message) as error:
        kr.ChainConfig(**fields)
    assert "Received: " in str(error.value)


def test_a_dead_scale_is_carried_another_way():
    """Where y = scale * x + shift does not give x back, x itself is carried."""
    config = small_config("preact_resnet20_cifar", **LOGITS)
    kind = surgery.to_plain(kind_weights(kr.create_model(config, dtype="float64")), print_fn=None)
    hard = surgery.to_plain(made(config), print_fn=None)
    wide = {spec.name: spec.filters for spec in kind.config.convolutions}
    wider = {spec.name: spec.filters for spec in hard.config.convolutions}
    assert any(wider[name] > wide[name] for name in wide)


def test_folding_leaves_convolutions_and_says_what_it_kept():
    said = []
    config = small_config("wrn16_4_cifar", **LOGITS)
    folded = surgery.fold_batch_norm(made(config), print_fn=said.append)
    kept = {fold.norm for fold in surgery.foldings(config) if fold.into is None}
    found = {
        layer.gamma.path.removesuffix("/gamma")
        for layer in folded._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert found == kept
    count = len(surgery.foldings(config))
    assert said[0] == f"folded {count - len(kept)} of {count} batch normalisations"
    reasons = [line for line in said if line.startswith("kept")]
    assert sum(int(line.split()[1]) for line in reasons) == len(kept)
    assert all("sum" in line for line in reasons)


@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet50", "resnet50d", "resnetv2_50x1_bit"])
def test_a_post_activation_network_keeps_no_normalisation(name):
    config = small_config(name, **LOGITS)
    if config.normalization == "batch":
        assert all(fold.into for fold in surgery.foldings(config))
    else:
        with pytest.raises(kr.ConfigError, match="`folded` and `normalization` disagree"):
            config.replace(folded=True)


def test_folding_twice_and_folding_a_chain():
    model = made(small_config("resnet20_cifar", **LOGITS))
    once = surgery.fold_batch_norm(model, print_fn=None)
    twice = surgery.fold_batch_norm(once, print_fn=None)
    assert once.config == twice.config
    chain = surgery.fold_batch_norm(surgery.to_plain(model, print_fn=None), print_fn=None)
    straight = surgery.to_plain(once, print_fn=None)
    assert chain.count_params() == straight.count_params()
    for other in (twice, chain, straight):
        assert apart(model, other, real_images((16, 16), 4)) < 1e-9


@pytest.mark.parametrize("function", [surgery.fold_batch_norm, surgery.to_plain])
@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet50d", "preact_resnet20_cifar"])
@pytest.mark.sampled(1)
def test_exports_agree_with_the_original(function, name, tmp_path):
    model = kr.create_model(small_config(name))
    hard_weights(model)
    new = function(model, print_fn=None)
    images = real_images((24, 24), 6)
    for export in (export_saved_model, export_tflite):
        result = export(new, tmp_path / export.__name__, images)
        assert result.agreement == 1
    from keras_resnets.export.saved_model import run_saved_model
    from keras_resnets.export.tflite import run_tflite

    expected = np.asarray(model(images))
    for run in (run_saved_model, run_tflite):
        found = run(tmp_path / run.__name__.replace("run", "export"), images)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_chain_that_was_trained_does_not_come_back():
    plain = surgery.to_plain(made(small_config("resnet20_cifar", **LOGITS)), print_fn=None)
    layer = plain.get_layer("stage1_block1_conv1")
    layer.bias.assign(layer.bias + 1e-3)
    with pytest.raises(kr.InputError, match="trained since, whose 'stage1_block1_conv1/bias'"):
        surgery.to_residual(plain, print_fn=None)


@pytest.mark.large
def test_residual_branches_train_on():
    """Every weight gets a gradient, and the loss goes down."""
    config = small_config("plain20_cifar", input_shape=(16, 16, 3))
    model = kind_weights(kr.create_model(config))
    images = real_images((16, 16), 16)
    labels = np.arange(16) % 5
    residual = surgery.to_residual(model, dataset=images, print_fn=None)
    assert apart(model, residual, images) < 1e-4
    assert apart(residual, residual, images) == 0
    loss = keras.losses.SparseCategoricalCrossentropy()
    # Recalibrated on the images, training mode is inference mode, for these images.
    np.testing.assert_allclose(
        np.asarray(residual(images, training=True)), np.asarray(model(images)), atol=1e-3
    )
    residual.compile(keras.optimizers.SGD(0.01), loss, jit_compile=False)
    losses = residual.fit(images, labels, batch_size=16, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


BAD = {
    "squeeze": (surgery.to_plain, "se_resnet50", "squeeze-and-excitation"),
    "gates": (surgery.to_plain, {"shortcut_gate": "exclusive"}, "gates"),
    "groups": (surgery.to_plain, "resnetv2_50x1_bit", "group normalisation"),
    "dense": (surgery.to_plain, "densenet121", "family densenet"),
    "not plain": (surgery.to_residual, "resnet20_cifar", "shortcut='A'"),
    "plain bottleneck": (surgery.to_residual, {"shortcut": "none", "block": "bottleneck"},
                         "block='bottleneck'"),
    "no norm": (surgery.fold_batch_norm, "resnetv2_50x1_bit", "group normalisation"),
}  # fmt: skip


@pytest.mark.parametrize("function, network, named", BAD.values(), ids=list(BAD))
def test_refusals_name_what_cannot_be(function, network, named):
    options = network if isinstance(network, dict) else {}
    config = small_config("resnet20_cifar" if options else network, **LOGITS, **options)
    with pytest.raises(kr.InputError, match=named) as error:
        function(kr.create_model(config))
    assert "`model` must" in str(error.value)
    assert "Received: " in str(error.value)
