"""Narrower networks and dropped blocks: what is kept is what was chosen."""

import re

import keras
import numpy as np
import pytest
from small_networks import EACH_FAMILY, FAMILIES, small_config
from surgical import apart, kind_weights, made, real_images, scaled

import keras_resnets as kr
from keras_resnets import surgery

LOGITS = {"classifier_activation": None, "input_shape": (16, 16, 3)}
IMAGES = real_images((16, 16), 8)


def halved(config):
    return scaled(config, 0.5)


@EACH_FAMILY
@pytest.mark.sampled(2)
def test_every_family_becomes_narrower(name):
    criterion = ("l1", "scale", "random")[FAMILIES.index(name) % 3]
    model = made(small_config(name, **LOGITS), dtype="float32")
    config = halved(model.config)
    small = surgery.narrow(model, config, criterion=criterion, print_fn=None)
    assert small.config == config
    assert np.isfinite(np.asarray(small(IMAGES))).all()


@pytest.mark.parametrize("criterion", ["l1", "scale"])
@pytest.mark.parametrize("name", ["resnet20_cifar", "resnet50", "resnext50_32x4d", "wrn16_4_cifar",
                                  "densenet_bc_100_12_cifar"])  # fmt: skip
@pytest.mark.sampled(1)
def test_channels_that_do_nothing_are_the_ones_to_go(name, criterion):
    """A network with dead channels narrows to the same function, by either criterion."""
    small = kind_weights(kr.create_model(small_config(name, **LOGITS), dtype="float64"))
    config = small.config
    large = surgery.widen(small, scaled(config, 2), print_fn=None)
    # Make one of each two copies dead: whatever reads the pair then reads the other.
    for weight in large.weights:
        value = np.array(keras.ops.convert_to_numpy(weight))
        last = weight.path.rsplit("/")[-1]
        if last in ("kernel", "gamma", "beta", "moving_mean") and "predictions" not in weight.path:
            value[..., 1::2] = 0
        weight.assign(value)
    back = surgery.narrow(large, config, criterion=criterion, print_fn=None)
    assert apart(large, back, IMAGES) < 1e-9


def test_a_stream_keeps_the_same_channels_everywhere():
    model = made(small_config("resnet20_cifar", **LOGITS), dtype="float32")
    small = surgery.narrow(model, halved(model.config), criterion="random", seed=3, print_fn=None)
    old, new = ({w.path: keras.ops.convert_to_numpy(w) for w in m.weights} for m in (model, small))
    stem = old["stem_conv/kernel"].reshape(-1, 8)
    kept = [
        int(np.flatnonzero((stem == column[:, None]).all(0))[0])
        for column in new["stem_conv/kernel"].reshape(-1, 4).T
    ]
    assert kept == sorted(kept)
    for path in ("stage1_block1/bn2/beta", "stem_bn/moving_mean"):
        np.testing.assert_array_equal(new[path], old[path][kept])


@pytest.mark.parametrize("name", ["resnet20_cifar", "preact_resnet50", "se_resnet50",
                                  "stochastic_depth_resnet110_cifar"])  # fmt: skip
@pytest.mark.sampled(1)
def test_a_dropped_block_is_one_whose_branch_is_nothing(name):
    model = kind_weights(kr.create_model(small_config(name, **LOGITS), dtype="float64"))
    deeper = surgery.deepen(model, 2, 1, print_fn=None)
    back = surgery.drop_blocks(deeper, "stage2_block3", print_fn=None)
    assert back.config == model.config
    assert apart(deeper, back, IMAGES) < 1e-9
    lesion = surgery.drop_blocks(model, ["stage2_block2"], print_fn=None)
    assert apart(model, lesion, IMAGES) > 1e-3
    assert lesion.config.blocks[1] == 1


BAD = {
    "criterion": (lambda m: surgery.narrow(m, halved(m.config), criterion="l2"), "`criterion`"),
    "wider": (
        lambda m: surgery.narrow(m, m.config.replace(stem_width=16, widths=(16, 32, 64))),
        "at most as wide",
    ),
    "unknown block": (lambda m: surgery.drop_blocks(m, "stage2_blok2"), "nearest: stage2_block2"),
    "no names": (lambda m: surgery.drop_blocks(m, None), "`blocks` must be names of blocks"),
    "first block": (lambda m: surgery.drop_blocks(m, "stage2_block1"), "shape of their input"),
    "all blocks": (lambda m: surgery.drop_blocks(m, "stage1_block1"), "one block in every stage"),
}


@pytest.mark.parametrize("shrink, message", BAD.values(), ids=list(BAD))
def test_bad_input_is_refused(shrink, message):
    model = kr.create_model(small_config("resnet20_cifar", **LOGITS))
    with pytest.raises(kr.InputError, match=re.escape(message)) as error:
        shrink(model)
    assert "Received: " in str(error.value)
