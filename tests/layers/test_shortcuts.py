"""The shortcuts, each against its formula."""

import numpy as np
import pytest
import references
from checks import CLOSE, Inputs, built, numpy, randomize, run

from keras_resnets.layers import PadShortcut, ProjectionShortcut, Style, make_shortcut

REDUCED = {
    "subsample": lambda x: x[:, ::2, ::2],
    "average": lambda x: references.average(x, 2, 2),
    "blur": lambda x: references.blur(x, 2),
}


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (1, 1)])
@pytest.mark.parametrize("reduction", REDUCED)
@pytest.mark.parametrize("filters", [4, 9])
def test_padding_appends_zeros(filters, reduction, size):
    x = Inputs(4).random(*size)
    outputs = run(PadShortcut(filters, 2, reduction, data_format="channels_last"), x)
    np.testing.assert_allclose(outputs[..., :4], REDUCED[reduction](x), **CLOSE)
    assert outputs.shape[-1] == filters
    assert not outputs[..., 4:].any()


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (1, 1)])
@pytest.mark.parametrize("reduction", REDUCED)
@pytest.mark.parametrize("norm", [None, "batch", "group"])
def test_projection_reduces_then_convolves_then_normalizes(norm, reduction, size):
    def make(**shared):
        style = Style(normalization=norm or "batch", groups=3)
        return ProjectionShortcut(
            9, 2, reduction, normalize=norm is not None, style=style, **shared
        )

    layer = built(make, Inputs(4))
    randomize(layer)
    x = Inputs(4).random(*size)
    expected = references.convolution(REDUCED[reduction](x), numpy(layer.conv.kernel))
    if norm is not None:
        normalize = {"batch": references.batch_norm, "group": references.group_norm}[norm]
        expected = normalize(expected, layer.norm)
    np.testing.assert_allclose(run(layer, x), expected, **CLOSE)


@pytest.mark.parametrize("kind", ["pad", "projection"])
def test_without_a_stride_nothing_is_reduced(kind):
    x = Inputs(4).random(6, 5)
    for reduction in REDUCED:
        make = {"pad": PadShortcut, "projection": ProjectionShortcut}[kind]
        layer = make(4, 1, reduction, data_format="channels_last")
        layer.build(x.shape)
        randomize(layer)
        outputs = run(layer, x)
        if kind == "pad":
            np.testing.assert_array_equal(outputs, x.astype("float32"))
        else:
            expected = references.convolution(x, numpy(layer.conv.kernel))
            np.testing.assert_allclose(
                outputs, references.batch_norm(expected, layer.norm), **CLOSE
            )


@pytest.mark.parametrize(
    "kind, antialias, made, reduction",
    [
        ("pad", False, PadShortcut, "subsample"),
        ("pad", True, PadShortcut, "blur"),
        ("pool_pad", False, PadShortcut, "average"),
        ("pool_pad", True, PadShortcut, "average"),
        ("projection", False, ProjectionShortcut, "subsample"),
        ("projection", True, ProjectionShortcut, "blur"),
        ("pool_projection", True, ProjectionShortcut, "average"),
    ],
)
def test_make_shortcut(kind, antialias, made, reduction):
    layer = make_shortcut(kind, 8, 2, antialias=antialias, data_format="channels_first")
    assert (type(layer), layer.reduction) == (made, reduction)
    assert (layer.filters, layer.strides, layer.pool_size) == (8, 2, 2)
    assert (layer.name, layer.data_format) == ("shortcut", "channels_first")


@pytest.mark.parametrize("kind", ["identity", "none"])
def test_some_kinds_need_no_layer(kind):
    assert make_shortcut(kind, 8, 2) == kind
