"""Masks: what passes them on in Keras does here, what destroys them says so here too."""

import warnings

import keras
import numpy as np
import pytest

from keras_resnets import layers
from keras_resnets.layers import (
    BasicBlock,
    BatchNormalization,
    BlurPool,
    BottleneckBlock,
    ChannelwiseReduction,
    ConvSpec,
    DenseBlockLayer,
    DropBlock,
    DropoutMerge,
    GatedMerge,
    ImageNormalization,
    PadShortcut,
    ProjectionShortcut,
    ResidualBlock,
    ScaledMerge,
    SqueezeExcite,
    StochasticDepth,
    SymmetricConv2D,
    SymmetricMaxPool,
    TransitionLayer,
)

conv, add = keras.layers.Conv2D(4, 1), keras.layers.Add()
EQUIVALENT = [
    (SymmetricConv2D(4, 3), conv),
    (BatchNormalization(), keras.layers.BatchNormalization()),
    (BlurPool(2), keras.layers.AveragePooling2D(2)),
    (SymmetricMaxPool(2), keras.layers.MaxPooling2D()),
    (ChannelwiseReduction([(4, "average")]), keras.layers.AveragePooling2D(2)),
    (PadShortcut(8), keras.layers.ZeroPadding2D()),
    (ProjectionShortcut(4), conv),
    (SqueezeExcite(0.5), keras.layers.GlobalAveragePooling2D()),
    (StochasticDepth(0.5), keras.layers.Dropout(0.5)),
    (DropBlock(0.5), keras.layers.Dropout(0.5)),
    (ImageNormalization((0.0,) * 4, (1.0,) * 4), keras.layers.Rescaling(1.0)),
    (ScaledMerge(), add),
    (DropoutMerge(), add),
    (GatedMerge(4), add),
    (ResidualBlock([ConvSpec(3, 4)]), conv),
    (BasicBlock(4), conv),
    (BottleneckBlock(1), conv),
    (DenseBlockLayer(4), conv),
    (TransitionLayer(4), conv),
]
"""Our layer, and the one of Keras that decides what becomes of a mask."""


@pytest.mark.parametrize("ours, keras_layer", EQUIVALENT, ids=lambda x: type(x).__name__)
def test_masks_are_supported_as_in_keras(ours, keras_layer):
    assert ours.supports_masking == keras_layer.supports_masking


def test_no_layer_is_left_out():
    kinds = {getattr(layers, name) for name in layers.__all__}
    kinds = {k for k in kinds if isinstance(k, type) and issubclass(k, keras.layers.Layer)}
    assert {type(ours) for ours, _ in EQUIVALENT} == kinds


@pytest.mark.parametrize("ours, keras_layer", EQUIVALENT, ids=lambda x: type(x).__name__)
def test_a_mask_passes_or_is_said_to_end(ours, keras_layer):
    merges = isinstance(ours, layers.ScaledMerge | layers.DropoutMerge | layers.GatedMerge)
    masked = keras.layers.Masking()(keras.Input((4, 4, 4)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outputs = ours([masked] * 3 if merges else masked)
    ended = [w for w in caught if f"'{ours.name}'" in str(w.message)]
    assert (keras.src.backend.get_keras_mask(outputs) is None) == bool(ended)
    assert bool(ended) != keras_layer.supports_masking


def test_merged_masks_are_those_of_an_addition():
    rng = np.random.default_rng(0)
    masks = [rng.integers(0, 2, (2, 4, 4)).astype(bool) for _ in range(3)]
    x = [np.ones((2, 4, 4, 1))] * 3
    found = ScaledMerge().compute_mask(x, masks)
    np.testing.assert_array_equal(np.array(found), masks[1] | masks[2])
    assert ScaledMerge().compute_mask(x, [masks[0], masks[1], None]) is None
    assert ScaledMerge().compute_mask(x, None) is None
