"""The networks as one writes them with stock Keras layers, at Keras' defaults."""

from functools import partial

import keras
from keras import layers, ops


def make(network) -> keras.Model:
    """Return a network of `benchmarks.grid`, written with the functional API."""
    inputs = keras.Input((network.size, network.size, 3))
    x = _FAMILIES[network.family](inputs, *network.numbers)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(network.classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name=network.name)


def _conv(x, filters, size, strides=1):
    return layers.Conv2D(
        filters, size, strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)


def _norm_relu(x):
    return layers.ReLU()(layers.BatchNormalization()(x))


def _conv_norm(x, *args):
    return layers.BatchNormalization()(_conv(x, *args))


def _bottleneck(x, width, strides, projects):
    """Convolve with 1x1, 3x3 and 1x1 pixels; `strides` are of the first two and the shortcut."""
    first, second = strides
    y = layers.ReLU()(_conv_norm(x, width, 1, first))
    y = layers.ReLU()(_conv_norm(y, width, 3, second))
    y = _conv_norm(y, 4 * width, 1)
    if projects:
        x = _conv_norm(x, 4 * width, 1, first * second)
    return layers.ReLU()(layers.Add()([x, y]))


def _resnet50(x, reducing=(2, 1)):
    """ResNet-50 (He 2015, Table 1), strides in the first 1x1 convolutions; in the 3x3 for v1.5."""
    x = layers.ReLU()(_conv_norm(x, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            strides = reducing if stage and not block else (1, 1)
            x = _bottleneck(x, 64 * 2**stage, strides, not block)
    return x


def _basic(x, width, strides):
    y = layers.ReLU()(_conv_norm(x, width, 3, strides))
    y = _conv_norm(y, width, 3)
    if strides > 1:  # option A: every other pixel, and zeros for the new channels
        new = width - x.shape[-1]
        x = ops.pad(x[:, ::strides, ::strides], [(0, 0), (0, 0), (0, 0), (0, new)])
    return layers.ReLU()(layers.Add()([x, y]))


def _resnet(x, depth):
    """ResNet for CIFAR (He 2015, section 4.2)."""
    x = layers.ReLU()(_conv_norm(x, 16, 3))
    for stage in range(3):
        for block in range((depth - 2) // 6):
            x = _basic(x, 16 * 2**stage, 2 if stage and not block else 1)
    return x


def _preactivated(x, width, strides):
    activated = _norm_relu(x)
    y = _norm_relu(_conv(activated, width, 3, strides))
    y = _conv(y, width, 3)
    if x.shape[-1] != width:
        x = _conv(activated, width, 1, strides)
    return layers.Add()([x, y])


def _wrn(x, depth, factor):
    """Wide residual network (Zagoruyko 2016, Table 1)."""
    x = _conv(x, 16, 3)
    for stage in range(3):
        for block in range((depth - 4) // 6):
            x = _preactivated(x, 16 * factor * 2**stage, 2 if stage and not block else 1)
    return _norm_relu(x)


def _densenet_bc(x, depth, growth):
    """DenseNet-BC for CIFAR (Huang 2016, section 4)."""
    x = _conv(x, 2 * growth, 3)
    for stage in range(3):
        for _ in range((depth - 4) // 6):
            y = _conv(_norm_relu(x), 4 * growth, 1)
            y = _conv(_norm_relu(y), growth, 3)
            x = layers.Concatenate()([x, y])
        if stage < 2:
            x = _conv(_norm_relu(x), x.shape[-1] // 2, 1)
            x = layers.AveragePooling2D(2)(x)
    return _norm_relu(x)


_FAMILIES = {
    "resnet50": _resnet50,
    "resnet50_v1_5": partial(_resnet50, reducing=(1, 2)),
    "resnet": _resnet,
    "wrn": _wrn,
    "densenet_bc": _densenet_bc,
}
