"""Constructors as in keras.applications, a column of names; and the CIFAR families by parameter."""

from __future__ import annotations

from keras_resnets.errors import ConfigError
from keras_resnets.models.builder import create_model
from keras_resnets.models.checks import is_int
from keras_resnets.models.constructor_table import NAMES, TABLE
from keras_resnets.models.network import Network

__all__ = [*NAMES]

_DOC = """Build {title}.

    Args:
        include_top: Whether the network ends in a classifier.
        weights: None for random weights, or the path of a ``.weights.h5``, ``.h5`` or ``.keras``
            file of this network (see `create_model`).
        input_tensor: Keras tensor to build upon, in the place of an input of its own.
        input_shape: Shape of one image in the order of `data_format`; height and width may be None.
            With a classifier the catalog's by default (224 x 224 pixels of 3 channels; ResNet-RS
            has its own sizes), without one any size.
        pooling: Without a classifier: None (feature maps come out), ``"avg"``, ``"max"``,
            ``"avgmax"`` or ``"catavgmax"``.
        classes: Number of classes.
        classifier_activation: Activation of the classifier: None for logits, a name or function of
            `keras.activations`, or a layer without weights.
        name: Name of the model.
        **options: `data_format`, `dtype`, and fields of the configuration: ``final_survival=0.8``.

    Returns:
        An uncompiled `keras.Model`. Unlike keras.applications' it takes no preprocessed images of
        one kind: give `input_mean` and `input_std` to let it normalise raw ones itself.

    Raises:
        ConfigError: An argument is illegal; the message names it and says what is expected.

    Example:
        >>> {constructor}(classes=10, input_shape=(64, 64, 3)).output_shape
        (None, 10)

    Reference:
        {reference}
    """


def _constructor(constructor: str, catalog_name: str, title: str, reference: str):
    def build(
        include_top=True,
        weights=None,
        input_tensor=None,
        input_shape=None,
        pooling=None,
        classes=1000,
        classifier_activation="softmax",
        name=catalog_name,
        **options,
    ) -> Network:
        if input_shape is None and input_tensor is None and not include_top:
            channels_first = _data_format(options) == "channels_first"
            input_shape = (3, None, None) if channels_first else (None, None, 3)
        return create_model(
            catalog_name,
            include_top=include_top,
            weights=weights,
            input_tensor=input_tensor,
            input_shape=input_shape,
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
            **options,
        )

    build.__name__ = build.__qualname__ = constructor
    build.__doc__ = _DOC.format(title=title, constructor=constructor, reference=reference)
    return build


def _data_format(options):
    import keras

    return options.get("data_format") or keras.config.image_data_format()


for _row in TABLE:
    globals()[_row[0]] = _constructor(*_row)


def _whole(argument, value):
    if not is_int(value):
        raise ConfigError(
            f"`{argument}` must be a positive integer. Received: {argument}={value!r}"
        )
    return int(value)


def _flag(argument, value, legal=(True, False)):
    if not any(value is flag for flag in legal):
        words = ", ".join(map(str, legal))
        raise ConfigError(f"`{argument}` must be one of {words}. Received: {argument}={value!r}")
    return value


def CifarResNet(depth, **options) -> Network:
    """Build the ResNet for 32x32 images of He 2015, section 4.2.

    Args:
        depth: 6n+2 for basic blocks with shortcut A (20, 32, 44, 56, 110, 1202); 9n+2 for
            bottlenecks (a depth that is both is of basic blocks below 164).
        **options: Arguments of `create_model`: `include_top`, `classes`, `name`, ...

    Returns:
        An uncompiled `keras.Model`.

    Raises:
        ConfigError: The depth is illegal; the message gives the nearest legal ones.

    Example:
        >>> CifarResNet(20).count_params()
        271098
    """
    return create_model(f"resnet{_whole('depth', depth)}_cifar", **options)


def CifarPlainNet(depth, **options) -> Network:
    """Build the plain network (no shortcuts) of He 2015, section 4.2.

    Args:
        depth: 6n+2.
        **options: Arguments of `create_model`: `include_top`, `classes`, `name`, ...

    Returns:
        An uncompiled `keras.Model`.

    Raises:
        ConfigError: The depth is illegal; the message gives the nearest legal ones.

    Example:
        >>> CifarPlainNet(56, classes=100).output_shape
        (None, 100)
    """
    return create_model(f"plain{_whole('depth', depth)}_cifar", **options)


def CifarPreActResNet(depth, bottleneck=None, **options) -> Network:
    """Build the pre-activation ResNet for 32x32 images of He 2016.

    Args:
        depth: 6n+2 for basic blocks (110), 9n+2 for bottlenecks (164, 1001).
        bottleneck: Which of the two; by default what the depth says, bottlenecks from 164 on where
            it says both.
        **options: Arguments of `create_model`: `include_top`, `classes`, `name`, ...

    Returns:
        An uncompiled `keras.Model`.

    Raises:
        ConfigError: The depth is illegal; the message gives the nearest legal ones.

    Example:
        >>> CifarPreActResNet(164).config.block
        'bottleneck'
    """
    _flag("bottleneck", bottleneck, (True, False, None))
    kind = {None: "", True: "_bottleneck", False: "_basic"}[bottleneck]
    return create_model(f"preact_resnet{_whole('depth', depth)}{kind}_cifar", **options)


def CifarWideResNet(depth, width, dropout=0.0, block="B(3,3)", **options) -> Network:
    """Build WRN-depth-width for 32x32 images of Zagoruyko 2016.

    Args:
        depth: 6n+4, for n blocks a group (the paper counts two convolutions a block).
        width: Widening factor k.
        dropout: Rate of the dropout between a block's convolutions; the paper has 0.3 on CIFAR and
            0.4 on SVHN.
        block: ``"B(3,3)"``, ``"B(3,1)"``, ``"B(1,3)"``, ``"B(1,3,1)"``, ``"B(3,1,1)"`` or
            ``"B(3,1,3)"``.
        **options: Arguments of `create_model`: `include_top`, `classes`, `name`, ...

    Returns:
        An uncompiled `keras.Model`.

    Raises:
        ConfigError: An argument is illegal; the message says which values are legal.

    Example:
        >>> CifarWideResNet(16, 4).config.widths
        (64, 128, 256)
    """
    kinds = ("B(3,3)", "B(3,1)", "B(1,3)", "B(1,3,1)", "B(3,1,1)", "B(3,1,3)")
    if block not in kinds:
        raise ConfigError(f"`block` must be one of {', '.join(kinds)}. Received: block={block!r}")
    suffix = "" if block == "B(3,3)" else "_b" + block[2:-1].replace(",", "")
    name = f"wrn{_whole('depth', depth)}_{_whole('width', width)}{suffix}_cifar"
    return create_model(name, dropout=dropout, **options)


def CifarStochasticDepthResNet(depth, final_survival=0.5, **options) -> Network:
    """Build the ResNet with stochastic depth for 32x32 images of Huang 2016.

    Args:
        depth: 6n+2 (110, 1202).
        final_survival: Survival probability of the last block.
        **options: Arguments of `create_model`; ``survival_mode="sample"`` for the modern form.

    Returns:
        An uncompiled `keras.Model`.

    Raises:
        ConfigError: An argument is illegal; the message says which values are legal.

    Example:
        >>> CifarStochasticDepthResNet(110).config.final_survival
        0.5
    """
    name = f"stochastic_depth_resnet{_whole('depth', depth)}_cifar"
    return create_model(name, final_survival=final_survival, **options)


def CifarDenseNet(depth, growth_rate=12, bottleneck=True, compression=0.5, **options) -> Network:
    """Build the DenseNet for 32x32 images of Huang 2016, section 3.

    Args:
        depth: 6n+4 with bottlenecks (100, 190, 250), 3n+4 without (40, 100).
        growth_rate: Channels that each layer adds (k).
        bottleneck: Whether layers have a 1x1 convolution first (DenseNet-B).
        compression: Part of the channels that a transition keeps (below 1: DenseNet-C).
        **options: Arguments of `create_model`: `include_top`, `classes`, `name`, ...

    Returns:
        An uncompiled `keras.Model`. The stem has ``2 * growth_rate`` channels with bottlenecks and
        compression, 16 otherwise, as in the paper.

    Raises:
        ConfigError: An argument is illegal; the message says which values are legal.

    Example:
        >>> CifarDenseNet(40, bottleneck=False, compression=1.0).config.blocks
        (12, 12, 12)
    """
    compresses = isinstance(compression, int | float) and compression < 1
    _flag("bottleneck", bottleneck)
    kind = ("b" if bottleneck else "") + ("c" if compresses else "")
    name = f"densenet{'_' if kind else ''}{kind}_{_whole('depth', depth)}"
    name += f"_{_whole('growth_rate', growth_rate)}_cifar"
    return create_model(name, compression=compression, **options)
