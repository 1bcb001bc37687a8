import dataclasses

import keras
import numpy as np
import pytest
from small_networks import EACH_FAMILY, small_config, small_model

import keras_resnets as kr


def counted(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def test_by_config_name_and_shape():
    config = kr.model_config("resnet20_cifar")
    assert kr.complexity(config) == kr.complexity("resnet20_cifar")
    larger = kr.complexity("resnet20_cifar", (64, 64, 3))
    assert larger.trainable_params == kr.complexity(config).trainable_params
    assert larger == kr.complexity(config.replace(input_shape=(64, 64, 3)))
    with pytest.raises(kr.ConfigError, match="known height and width"):
        kr.complexity("resnet20_cifar", (None, None, 3))
    with pytest.raises(kr.ConfigError, match="no model is named"):
        kr.complexity("resnet")


@EACH_FAMILY
def test_equals_the_built_model(name):
    model, cost = small_model(name), kr.complexity(small_config(name))
    assert counted(model) == cost.trainable_params
    assert model.count_params() == cost.total_params
    assert sum(part.trainable_params for part in cost.parts) == cost.trainable_params
    for part in cost.parts[1:-1]:
        assert tuple(model.get_layer(part.name).output.shape[1:]) == part.output_shape


@pytest.mark.slow
@pytest.mark.parametrize("name", kr.list_models())
def test_equals_the_built_model_at_full_size(name):
    config = kr.model_config(name)
    # Zeros are quick to make; 937 million random numbers are not.
    model = kr.create_model(config)
    cost = kr.complexity(config)
    assert counted(model) == cost.trainable_params
    assert model.count_params() == cost.total_params
    keras.utils.clear_session()


@pytest.mark.parametrize(
    "name", ["resnet50", "preact_resnet1001_cifar", "densenet_bc_250_24_cifar"]
)
def test_stages_add_up_to_the_whole(name):
    cost = kr.complexity(name)
    stages = cost.stages()
    assert [stage.name for stage in stages[:2]] == ["stem", "stage1"]
    assert len(stages) == len(kr.model_config(name).blocks) + 2
    for field in ("trainable_params", "macs", "all_macs", "total_activation_bytes"):
        assert sum(getattr(stage, field) for stage in stages) == getattr(cost, field)
    assert max(stage.peak_activation_bytes for stage in stages) == cost.peak_activation_bytes
    assert stages[-1].receptive_field == cost.receptive_field


@EACH_FAMILY
def test_height_and_width_count_alike(name):
    """An oblong image costs what it costs upright, and half of two of them side by side."""
    config = small_config(name)
    wide, upright, twice = (
        kr.complexity(config, (*size, 3)) for size in ((32, 64), (64, 32), (64, 64))
    )
    for field in ("macs", "all_macs", "peak_activation_bytes", "total_activation_bytes"):
        assert getattr(wide, field) == getattr(upright, field)
    for part, same in zip(wide.parts[:-1], twice.parts[:-1], strict=True):
        height, width = part.output_shape[:2]
        assert same.output_shape[:2] == (2 * height, width)
        if "attention" not in config.to_dict() or config.attention is None:
            assert same.macs == 2 * part.macs


@pytest.mark.parametrize(
    "name, field",
    # A stem of 3 pixels, then 2 more for each 3x3 convolution, times the distance of its pixels.
    [("plain8_cifar", 3 + 4 + 2 + 4 + 4 + 8), ("resnet18", 435), ("resnet50", 483)],
)
def test_receptive_field(name, field):
    assert kr.complexity(name).receptive_field == field


@pytest.mark.parametrize("name", ["resnet20_b_cifar", "resnet50d", "densenet_bc_100_12_cifar"])
@pytest.mark.sampled(2)
def test_receptive_field_is_what_gradients_see(name):
    """Only pixels within the field change one value in the middle of the last map."""
    config = small_config(name, include_top=False, input_shape=(129, 129, 1), weight_decay=0.0)
    model = kr.create_model(config)
    reach = kr.complexity(config).receptive_field
    images = np.zeros((1, 129, 129, 1), "float32")
    base = np.asarray(model(images))
    row = base.shape[1] // 2
    center = row * config.total_stride
    rng = np.random.default_rng(0)
    outside = rng.normal(size=images.shape).astype("float32") * 100
    outside[:, max(0, center - reach) : center + reach + 1] = 0
    moved = np.asarray(model(images + outside))
    np.testing.assert_array_equal(moved[0, row], base[0, row])
    inside = images.copy()
    inside[0, center] = 100.0
    assert (np.asarray(model(inside))[0, row] != base[0, row]).any()


def test_activations_of_a_plain_net_by_hand():
    config = kr.ResNetConfig(
        blocks=(1,), widths=(4,), stem_width=4, shortcut="none", input_shape=(8, 8, 3), classes=2
    )
    cost = kr.complexity(config)
    map_bytes = 4 * 8 * 8 * 4
    # Stem: conv, BN-ReLU. Block: two convs with BN. Head: pooled channels, classes.
    assert cost.total_activation_bytes == 6 * map_bytes + 4 * 4 + 4 * 2
    assert cost.peak_activation_bytes == 2 * map_bytes
    residual = kr.complexity(dataclasses.replace(config, shortcut="B"))
    assert residual.total_activation_bytes == cost.total_activation_bytes + map_bytes
    assert residual.peak_activation_bytes == 3 * map_bytes


@pytest.mark.parametrize("name", ["resnet1202_cifar", "resnet50", "densenet_bc_250_24_cifar"])
def test_takes_milliseconds(name):
    import time

    kr.complexity(name)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        kr.complexity(name)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.05


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "name", ["resnet20_cifar", "wrn16_4_cifar", "densenet_bc_100_12_cifar", "resnet50", "resnet50d"]
)
@pytest.mark.sampled(1)
def test_macs_are_what_tensorflows_profiler_counts(name):
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2_as_graph,
    )

    config = kr.model_config(name)
    model = kr.create_model(config, weight_decay=0.0)
    shape = tf.TensorSpec((1, *config.input_shape), tf.float32)
    concrete = tf.function(lambda x: model(x, training=False)).get_concrete_function(shape)
    _, graph_def = convert_variables_to_constants_v2_as_graph(concrete)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        options = tf.compat.v1.profiler.ProfileOptionBuilder(
            tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
        )
        options = options.with_empty_output().with_node_names(
            start_name_regexes=[".*"], show_name_regexes=[".*"]
        )
        profile = tf.compat.v1.profiler.profile(graph, cmd="op", options=options.build())
    counted_ops = {child.name: child.float_ops for child in _ops(profile)}
    products = sum(counted_ops.get(op, 0) for op in ("Conv2D", "MatMul"))
    assert products == 2 * kr.complexity(config).macs


def _ops(profile):
    """The profile is a chain: each operation is the child of the one before."""
    while profile.children:
        (profile,) = profile.children
        yield profile
