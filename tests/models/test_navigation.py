"""Every layer by its path, through blocks and nested models."""

import keras
import numpy as np
import pytest
from small_networks import FAMILIES, small_model

import keras_resnets as kr
from keras_resnets.layers import BasicBlock, SqueezeExcite

BN = keras.layers.BatchNormalization


@pytest.fixture(scope="module")
def model():
    return small_model("resnet20_b_cifar")


@pytest.fixture(scope="module")
def nesting(model):
    """A user's model around a network."""
    return keras.Sequential([model, keras.layers.Dense(3, name="new_head")])


def test_every_batch_normalisation_is_reached(model):
    """The recipe ``for l in model.layers: if isinstance(l, BatchNormalization)`` reaches one."""
    assert sum(isinstance(layer, BN) for layer in model.layers) == 1
    paths = [path for path, layer in model.walk_layers() if isinstance(layer, BN)]
    assert paths == [
        "stem_bn",
        *(
            f"stage{block}/{name}"
            for block, names in (
                ("1_block1", ("bn1", "bn2")),
                ("2_block1", ("bn1", "bn2", "shortcut/bn")),
                ("2_block2", ("bn1", "bn2")),
                ("3_block1", ("bn1", "bn2", "shortcut/bn")),
            )
            for name in names
        ),
    ]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if i in (2, 5, 24, 31) else pytest.mark.large)
        for i, name in enumerate(FAMILIES)
    ],
)
def test_the_walk_holds_every_weight_once_and_each_path_leads_back(name):
    model = small_model(name)
    walked = model.walk_layers()
    assert len({id(layer) for _, layer in walked}) == len(walked)
    own = [
        variable
        for _, layer in walked
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables)
    ]
    assert {id(v) for v in own} == {id(v) for v in model.weights}
    for path, layer in walked:
        assert model.get_layer(path) is layer
        assert kr.get_layer(model, path) is layer
    # In order: each layer of the graph before those inside it and those behind it.
    outer = [layer for path, layer in walked if "/" not in path]
    assert [layer is other for layer, other in zip(outer, model.layers, strict=True)]


ORDERS = {
    "post": ["conv1", "bn1", "conv2", "bn2"],
    "pre": ["bn1", "conv1", "bn2", "conv2"],
    "relu_only": ["conv1", "bn1", "conv2", "bn2"],
    "bn_after_addition": ["conv1", "bn1", "conv2", "bn2"],
}


@pytest.mark.parametrize("order, names", ORDERS.items())
def test_a_blocks_layers_are_in_the_order_of_its_work(order, names):
    block = BasicBlock(
        4, 2, "projection", order, attention=SqueezeExcite(0.5, name="attention"), dropout=0.5
    )
    block.build((None, 8, 8, 4))
    found = [layer.name for layer in block.layers]
    assert [name for name in found if name[:2] in ("co", "bn")] == names
    assert found.index("dropout") < found.index("conv2")
    assert found.index("conv2") < found.index("attention") < found.index("shortcut")
    assert (found[-1] == "bn2") == (order == "bn_after_addition")


def test_a_block_gives_its_layers_by_name(model):
    block = model.get_layer("stage2_block1")
    assert block.get_layer("bn2") is model.get_layer("stage2_block1/bn2") is block.normalizations[1]
    assert block.get_layer("shortcut/bn") is block.shortcut.norm
    with pytest.raises(ValueError, match="no layer of 'stage2_block1' is named 'bn3'; nearest: bn"):
        block.get_layer("bn3")


def test_indices_and_errors_are_keras(model):
    assert model.get_layer(index=1) is model.layers[1]
    with pytest.raises(ValueError, match="index 99"):
        model.get_layer(index=99)
    with pytest.raises(ValueError, match="Provide either"):
        model.get_layer()
    with pytest.raises(ValueError, match="only a layer name or a layer index"):
        model.get_layer("stem_conv", 1)


WRONG = {
    "stage2_blok1/bn2": "nearest: stage2_block1/bn2",
    "bn2": "nearest: stage1_block1/bn2, stage2_block1/bn2",
    "stage2_block1/bn7": "nearest: stage2_block1/bn",
    "stage2_block1/bn1/gamma": "nearest: stage2_block1/bn1",
    "conv3_block1_out": "keras.applications' conv3_block1_out is stage2_block1 here",
    "conv3_block1_0_bn": "conv3_block1_0_bn is stage2_block1/shortcut/bn here",
    "": "is named ''; `keras_resnets.walk_layers` lists the paths$",
    " ": "`keras_resnets.walk_layers` lists the paths$",
    "stage2_block1/": "is named 'stage2_block1/'; nearest: stage2_block1",
}


@pytest.mark.parametrize("name, hint", WRONG.items())
def test_a_wrong_name_is_answered_with_the_nearest(model, name, hint):
    for find in (model.get_layer, lambda path: kr.get_layer(model, path)):
        with pytest.raises(ValueError, match=hint):
            find(name)


def test_a_nested_network_is_walked_and_searched(model, nesting):
    paths = dict(kr.walk_layers(nesting))
    inside = kr.get_layer(nesting, "resnet20_b_cifar/stage2_block1/shortcut/conv")
    assert paths["resnet20_b_cifar/stage2_block1/shortcut/conv"] is inside
    assert inside is model.get_layer("stage2_block1/shortcut/conv")
    assert list(paths)[-1] == "new_head"
    with pytest.raises(ValueError, match="nearest: resnet20_b_cifar/stage2_block1/bn1"):
        kr.get_layer(nesting, "stage2_block1/bn1")
    with pytest.raises(ValueError, match="is resnet20_b_cifar/stage2_block1 here"):
        kr.get_layer(nesting, "conv3_block1_out")


def test_other_models_are_walked_too():
    inner = keras.layers.TimeDistributed(keras.layers.Dense(2, name="inside"), name="around")
    other = keras.Sequential([keras.Input((3, 4)), inner])
    assert [path for path, _ in kr.walk_layers(other)] == ["around", "around/inside"]
    with pytest.raises(kr.InputError, match="`model` must be a Keras model or layer"):
        kr.walk_layers("resnet50")


def test_inner_layers_have_no_outputs_as_in_keras(model):
    """A block is one node of the graph: what is inside has none, as inside Keras' own layers."""
    around = keras.layers.TimeDistributed(keras.layers.Dense(2))
    keras.Sequential([keras.Input((3, 4)), around])
    insides = [layer for path, layer in model.walk_layers() if "/" in path]
    for layer in [around.layer, *insides]:
        for name in ("output", "input"):
            with pytest.raises(AttributeError, match="has never been called"):
                getattr(layer, name)
    assert model.get_layer("stage2_block1").output.shape == (None, 12, 12, 16)


def test_the_summary_expands_blocks(model):
    lines = []
    model.summary(expand_nested=True, print_fn=lines.append, line_length=100)
    text = "\n".join(lines)
    for path, layer in model.walk_layers():
        assert layer.name in text, path
    assert "└ bn2" in text
    assert text.count("(BatchNormalization)") == 11


@pytest.mark.tensorflow
def test_weights_lie_in_files_where_they_lay(model, tmp_path):
    """That a block lists its layers moves no weight: files of earlier versions load."""
    import h5py

    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5") as file:
        block = file["layers/residual_block_1"]
        assert set(block) >= {"convolutions", "normalizations", "shortcut"}
        assert "layers" not in block
        kernel = np.array(block["shortcut/conv/vars/0"])
    expected = keras.ops.convert_to_numpy(model.get_layer("stage2_block1/shortcut/conv").kernel)
    np.testing.assert_array_equal(kernel, expected)
