"""Freezing by place, stage and type, in networks, around them and through files."""

import keras
import numpy as np
import pytest
from small_networks import small_model

import keras_resnets as kr
from keras_resnets.layers import ConvSpec, ResidualBlock, SqueezeExcite

BN = keras.layers.BatchNormalization
NETWORKS = [
    "resnet20_b_cifar",
    pytest.param("preact_resnet164_cifar", marks=pytest.mark.large),
    "densenet_40_12_cifar",
    pytest.param("plain20_cifar", marks=pytest.mark.large),
    pytest.param("se_resnet50", marks=pytest.mark.large),
    pytest.param("resnetv2_50x1_bit", marks=pytest.mark.large),
]


def trainable(model):
    return [variable.path for variable in model.trainable_variables]


def states(model):
    return {path: layer.trainable for path, layer in kr.walk_layers(model)}


@pytest.mark.parametrize("name", NETWORKS)
def test_until_a_stage(name):
    model = small_model(name)
    assert model.freeze(until="stage3") is model
    found = {path.split("_")[0].split("/")[0] for path in trainable(model)}
    assert found == {
        path.split("_")[0].split("/")[0]
        for path in trainable(small_model(name))
        if not path.startswith(("stem", "stage1", "stage2", "transition1", "transition2"))
    }
    assert "stage3" in found


@pytest.mark.parametrize("name", NETWORKS)
def test_by_type(name):
    model = small_model(name)
    kinds = (BN, keras.layers.GroupNormalization)
    kr.freeze(model, types=kinds)
    assert not [p for p in trainable(model) if p.endswith(("gamma", "beta"))]
    assert [p for p in trainable(model) if p.endswith("kernel")] == [
        p for p in trainable(small_model(name)) if p.endswith("kernel")
    ]
    kr.unfreeze(model, types=kinds)
    assert trainable(model) == trainable(small_model(name))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "nested"])
@pytest.mark.sampled(2)
def test_it_survives_a_file(name, nested, tmp_path):
    base = small_model(name, include_top=not nested)
    model = keras.Sequential([base, keras.layers.GlobalAveragePooling2D()]) if nested else base
    kr.freeze(model, until="stage2")
    kr.freeze(model, types=BN)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert states(loaded) == states(model)
    assert trainable(loaded) == trainable(model)


@pytest.mark.large
@pytest.mark.tensorflow
def test_it_survives_a_fresh_process(run_python, tmp_path):
    """Two layers deep, ``shortcut/bn``, and alone in a frozen block."""
    model = small_model("resnet20_b_cifar")
    model.get_layer("stage2_block1/shortcut/bn").trainable = False
    model.get_layer("stage3_block1").trainable = False
    model.get_layer("stage3_block1/bn2").trainable = True
    model.save(tmp_path / "model.keras")
    program = (
        "import sys, keras, keras_resnets as kr; model = keras.saving.load_model(sys.argv[1]);"
        "print({path: layer.trainable for path, layer in kr.walk_layers(model)})"
    )
    assert run_python(program, tmp_path / "model.keras").strip() == str(states(model))


def test_a_name_inside_a_part_is_not_the_blocks():
    """Frozen layers are kept by path: another of the same name stays trainable."""
    attention = keras.Sequential([keras.layers.Conv2D(4, 1, name="conv1")], name="attention")
    block = ResidualBlock([ConvSpec(3, 4)], attention=attention, name="block")
    block.build((None, 8, 8, 4))
    block.get_layer("conv1").trainable = False
    again = ResidualBlock.from_config(block.get_config())
    again.build((None, 8, 8, 4))
    assert not again.get_layer("conv1").trainable
    assert again.get_layer("attention/conv1").trainable


def test_files_of_earlier_versions_name_frozen_layers_without_a_path():
    block = small_model("resnet20_b_cifar").get_layer("stage2_block1")
    again = type(block).from_config(block.get_config() | {"frozen": ["bn", "bn1"]})
    frozen = [path for path, layer in kr.walk_layers(again) if not layer.trainable]
    assert frozen == ["bn1", "shortcut/bn"]
    again.build((None, 8, 8, 8))
    again.get_layer("shortcut/bn").trainable = True
    assert again.get_config()["frozen"] == ["bn1"]


@pytest.mark.parametrize("frozen", [True, False])
def test_layers_that_are_made_late_keep_their_state(frozen):
    """Squeeze-and-excitation makes its layers in `build`."""
    attention = SqueezeExcite(0.5)
    attention.build((None, 8, 8, 4))
    attention.trainable = not frozen
    attention.reduce.trainable = frozen
    config = SqueezeExcite.from_config(attention.get_config()).get_config()
    assert config == attention.get_config()
    again = SqueezeExcite.from_config(config)
    again.build((None, 8, 8, 4))
    assert again.get_config() == config
    assert states(again) == states(attention) == {"reduce": frozen, "expand": not frozen}


def test_last_layers_thaw_and_batch_norm_stays():
    """The fine-tuning recipe: all frozen, then the last stage but for its batch normalisation."""
    base = small_model("resnet20_b_cifar", include_top=False)
    base.trainable = False
    model = keras.Sequential([base, keras.layers.Flatten(), keras.layers.Dense(2, name="new")])
    assert len(model.trainable_variables) == 2
    kr.unfreeze(base, start="stage3", batch_norm=False)
    expected = [f"stage3_block1/{name}/kernel" for name in ("conv1", "conv2", "shortcut/conv")]
    assert sorted(trainable(base)) == expected
    assert sorted(trainable(model))[-3:] == expected
    assert not [p for p, layer in kr.walk_layers(base) if isinstance(layer, BN) and layer.trainable]


def test_frozen_batch_norm_keeps_its_statistics_when_the_block_trains():
    model = small_model("resnet20_b_cifar", weight_decay=0.0)
    kr.freeze(model, types=BN)
    before = {v.path: np.array(v) for v in model.weights}
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    model.fit(rng.normal(2, 3, (4, 24, 24, 3)), np.arange(4), batch_size=4, verbose=0)
    moved = {v.path for v in model.weights if not np.array_equal(before[v.path], np.array(v))}
    assert {path.rsplit("/")[-1] for path in moved} == {"kernel", "bias"}


@pytest.fixture(scope="module")
def base_and_around():
    """A network, and a model around it."""
    base = small_model("resnet20_b_cifar")
    return base, keras.Sequential([base, keras.layers.Dense(2, name="new")])


@pytest.mark.parametrize(
    "part, first",
    [
        ("stem", "stem_conv"),
        ("stage2", "stage2_block1"),
        ("stage2_block1", "stage2_block1"),
        ("stage2_block1/shortcut", "stage2_block1/shortcut"),
        ("head", "avg_pool"),
        ("predictions", "predictions"),
    ],
)
@pytest.mark.parametrize("nested", [False, True], ids=["alone", "nested"])
def test_parts(part, first, nested, base_and_around):
    base, around = base_and_around
    model = around if nested else base
    prefix = f"{base.name}/" if nested else ""
    parts = [part, prefix + part] if nested and part != "head" else [part]
    for named in parts:
        kr.freeze(model, until=named)
        leaves = [p for p, x in kr.walk_layers(model) if x.trainable and x.trainable_variables]
        order = [p for p, _ in kr.walk_layers(model)]
        where = order.index(prefix + first)
        around = [p for p in leaves if (prefix + first).startswith(f"{p}/")]
        assert all(order.index(p) >= where for p in leaves if p not in around)
        frozen = [p for p, x in kr.walk_layers(model) if not x.trainable]
        assert all(order.index(p) < where for p in frozen)
        kr.unfreeze(model)
        assert all(states(model).values())


def test_through_and_until_meet():
    one = kr.freeze(small_model("resnet20_b_cifar"), through="stage2")
    other = kr.freeze(small_model("resnet20_b_cifar"), until="stage3")
    assert states(one) == states(other)


def test_a_frozen_model_thaws():
    """As from Keras' ``model.trainable = False``, which a call on the layers did not undo."""
    model = small_model("resnet20_b_cifar")
    model.trainable = False
    kr.freeze(model, through="stage2")
    assert trainable(model) == trainable(kr.freeze(small_model("resnet20_b_cifar"), "stage2"))


WRONG = [
    ({"through": "stage9"}, "`through` must be None, 'stem', a stage.*stage1, stage2, stage3"),
    ({"until": "stage2_blok1"}, "`until` must be .*'head'.*nearest: stage2_block1"),
    ({"until": 143}, "Received: until=143"),
    ({"through": "stage1", "until": "stage2"}, "give one of them"),
    ({"types": "BatchNormalization"}, "`types` must be layer classes"),
    ({"types": []}, "`types` must be layer classes"),
    ({"types": [BN, np.ndarray]}, "`types` must be layer classes"),
]


@pytest.mark.parametrize("arguments, words", WRONG)
def test_wrong_arguments_change_nothing(arguments, words):
    model = small_model("resnet20_cifar")
    with pytest.raises(kr.ConfigError, match=words):
        kr.freeze(model, **arguments)
    assert all(states(model).values())


def test_a_stage_of_two_networks_must_say_which():
    inputs = keras.Input((24, 24, 3))
    twins = [small_model("resnet20_cifar"), small_model("plain20_cifar")]
    model = keras.Model(inputs, [twin(inputs) for twin in twins])
    with pytest.raises(kr.ConfigError, match=r"several: resnet20_cifar/stage2.*plain20_cifar"):
        kr.freeze(model, until="stage2")
    with pytest.raises(kr.ConfigError, match="`model` must be a Keras model"):
        kr.unfreeze("resnet20_cifar")
