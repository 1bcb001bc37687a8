"""keras.applications' layers and ours, one by one."""

import re
from pathlib import Path

import keras
import pytest
from small_networks import small_model
from tiers import matrix

import keras_resnets as kr
from keras_resnets.models.keras_names import KERAS_NETWORKS, keras_layer_paths, nearest_path

PAGE = Path(__file__).parents[2] / "docs" / "from-keras-applications.md"
CUTS = re.findall(
    r"\| `(\w+)`: `base.layers\[:(-?\d+)\]` \| `(\w+)` \| `base.freeze\(until=\"(\w+)\"\)` \|",
    PAGE.read_text("utf-8"),
)

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def pair():
    """Return Keras' network and ours, by Keras' name; built once."""
    built = {}

    def get(name):
        if name not in built:
            theirs = getattr(keras.applications, name)
            keras.utils.clear_session()  # two paddings are unnamed: the first model's are meant
            built[name] = (
                theirs(weights=None, include_top=False, input_shape=(32, 32, 3)),
                kr.create_model(KERAS_NETWORKS[name], include_top=False, input_shape=(32, 32, 3)),
            )
        return built[name]

    return get


SHALLOWEST = ("ResNet50", "ResNet50V2", "DenseNet121")


@pytest.mark.parametrize("name", matrix(KERAS_NETWORKS, ["ResNet50"], gate=SHALLOWEST))
def test_every_layer_corresponds(name, pair):
    theirs, ours = pair(name)
    paths = keras_layer_paths(name)
    known = dict(ours.walk_layers())
    unknown = [layer.name for layer in theirs.layers[1:] if layer.name not in paths]
    assert all("max_pooling2d" in layer for layer in unknown), unknown
    assert not unknown or name.endswith("V2")
    names = {layer.name for layer in theirs.layers}
    assert set(paths) - names == {"avg_pool", "predictions"}  # the top
    for layer in theirs.layers:
        if layer.name in paths and layer.weights:
            there = known[paths[layer.name]]
            assert [tuple(w.shape) for w in layer.weights if w.name != "bias"] == [
                tuple(w.shape) for w in there.weights
            ], layer.name
    reached = set(paths.values())
    for path, layer in known.items():
        inside = any(other.startswith(f"{path}/") for other in reached)
        assert path in reached or inside or isinstance(layer, keras.layers.InputLayer), path


@pytest.mark.parametrize(
    "name, cut, first, part",
    [pytest.param(*cut, marks=[] if cut[0] == "ResNet50" else pytest.mark.large) for cut in CUTS],
)
def test_tutorials_cut_where_the_page_says(name, cut, first, part, pair):
    """What Keras' slice freezes and what ours does hold the same weights."""
    theirs, ours = pair(name)
    assert theirs.layers[int(cut)].name == first
    paths = keras_layer_paths(name)
    frozen = {paths[x.name] for x in theirs.layers[1 : int(cut)] if x.weights}
    ours.freeze(until=part)
    found = {p for p, x in ours.walk_layers() if not x.trainable and x._trainable_variables}
    assert found == frozen


def test_the_page_has_cuts():
    assert len(CUTS) >= 9


@pytest.mark.parametrize(
    "network, theirs, ours",
    [
        ("resnet50", "conv4_block1_0_bn", "stage3_block1/shortcut/bn"),
        ("preact_resnet50", "conv3_block2_1_bn", "stage2_block2/bn2"),
        ("preact_resnet50", "post_bn", "final_bn"),
        ("densenet121", "conv3_block2_1_bn", "stage2_block2/bn2"),
        ("densenet121", "pool3_conv", "transition2/conv"),
        ("densenet121", "bn", "final_bn"),
    ],
)
def test_get_layer_answers_keras_names(network, theirs, ours):
    model = small_model(network)
    with pytest.raises(ValueError, match=f"keras.applications' {theirs} is {ours} here"):
        model.get_layer(theirs)
    assert model.get_layer(ours)


@pytest.mark.parametrize("name", KERAS_NETWORKS)
def test_one_name_and_all_names_agree(name):
    kind = "v2" if name.endswith("V2") else "dense" if name.startswith("Dense") else "v1"
    named = {
        theirs: ours
        for theirs, ours in keras_layer_paths(name).items()
        if not theirs.startswith(("zero_padding", "conv2_block1_preact")) and theirs != "pool1"
    }
    assert {theirs: nearest_path(theirs, kind) for theirs in named} == named


def test_other_names():
    assert nearest_path("stage2_block1") is None
    assert nearest_path(None) is None
    with pytest.raises(kr.InputError, match="`name` must be one of ResNet50"):
        keras_layer_paths("VGG16")
