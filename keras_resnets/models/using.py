"""What users do with a built network: take its stages, freeze it, decay it by halves."""

from __future__ import annotations

import keras

from keras_resnets.errors import ConfigError
from keras_resnets.models.network import Network

__all__ = ["feature_pyramid", "freeze", "weight_decay_mask"]

_NORMALIZATIONS = (keras.layers.BatchNormalization, keras.layers.GroupNormalization)


def feature_pyramid(model: Network, by: str = "level") -> dict:
    """Return a network's feature maps by resolution, for detection and segmentation heads.

    Args:
        model: A network of ours.
        by: ``"level"`` for ``P2, P3, ...``, where ``Pn`` is 2**n times smaller than the image (of
            several stages of one resolution, the last); ``"stage"`` for ``stage1, stage2, ...``.

    Returns:
        Dict of symbolic outputs, finest first.

    Raises:
        ConfigError: `by` is neither, or the model is none of ours.

    Example:
        >>> backbone = ResNet50(include_top=False)
        >>> list(feature_pyramid(backbone))
        ['P2', 'P3', 'P4', 'P5']
        >>> extractor = keras.Model(backbone.input, feature_pyramid(backbone))
    """
    _check_model(model)
    if by not in ("level", "stage"):
        raise ConfigError(f"`by` must be 'level' or 'stage'. Received: by={by!r}")
    stages = model.stages
    if by == "stage":
        return stages
    pyramid = {}
    stride = model.config.stem_stride
    for step, output in zip(model.config.stage_steps(), stages.values(), strict=True):
        stride *= step.strides
        if stride & (stride - 1):
            raise ConfigError(
                f"`by`='level' needs strides that are powers of 2; a stage has stride {stride}: "
                "use by='stage'. Received: by='level'"
            )
        pyramid[f"P{stride.bit_length() - 1}"] = output
    return pyramid


def freeze(model: Network, through: str | None = None, batch_norm: bool = True) -> Network:
    """Keep a network's first layers as they are in training.

    What lies behind `through` becomes trainable, whatever it was, so that a network thaws by calls
    with an earlier `through`. Compile the model (again) afterwards.

    Args:
        model: A network of ours; it is changed.
        through: The last part to freeze: ``"stem"``, ``"stage3"``, or a layer's name; the whole
            network by default.
        batch_norm: Whether the batch normalisation of the frozen part is frozen too: it then
            normalises by its moving statistics, in training as in inference, and keeps them.
            Otherwise it goes on to learn its scale, offset and statistics.

    Returns:
        The model.

    Raises:
        ConfigError: There is no such part, or the model is none of ours.

    Example:
        >>> model = freeze(create_model("resnet20_cifar"), through="stage2")
        >>> model.get_layer("stage3_block1").trainable
        True
    """
    _check_model(model)
    last = _last_layer(model, through)
    for i, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        # Outer layers first: each hands its state down before those inside get their own.
        for part in layer._flatten_layers():
            spared = not batch_norm and _holds_normalization(part)
            _set_trainable(part, i > last or spared)
    return model


def _check_model(model) -> None:
    if not isinstance(model, Network):
        raise ConfigError(
            "`model` must be a network of ours, from `create_model`. "
            f"Received: a {type(model).__name__}"
        )


def _set_trainable(layer, trainable: bool) -> None:
    # On TensorFlow, setting `trainable` to what it is does nothing, yet what is inside may differ.
    layer.trainable = not trainable
    layer.trainable = trainable


def _last_layer(model, through) -> int:
    names = [layer.name.removeprefix(model.layer_prefix) for layer in model.layers]
    if through is None:
        return len(names) - 1
    through = str(through).removeprefix(model.layer_prefix)
    if through in names:
        return names.index(through)
    own = [i for i, name in enumerate(names) if name.startswith(f"{through}_")]
    if not own:
        raise ConfigError(
            f"`through` must be None, 'stem', a stage or the name of a layer; the stages are "
            f"{', '.join(model.stages)}. Received: through={through!r}"
        )
    return own[-1]


def _holds_normalization(layer) -> bool:
    return any(isinstance(part, _NORMALIZATIONS) for part in layer._flatten_layers())


def weight_decay_mask(model: keras.Model) -> list[bool]:
    """Say which weights to decay where BN and biases are left alone.

    The papers of the networks decay everything (so does ``weight_decay`` in a configuration);
    training for long or in large batches spares scales, offsets and biases (Goyal 2017; He 2018,
    arXiv:1812.01187, section 3.1).

    Args:
        model: Any model.

    Returns:
        One bool for each of ``model.trainable_variables``, in their order.

    Example:
        >>> optimizer = keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=1e-4)
        >>> spared = [
        ...     v for v, decays in zip(model.trainable_variables, weight_decay_mask(model))
        ...     if not decays
        ... ]
        >>> optimizer.exclude_from_weight_decay(var_list=spared)
    """
    return [
        variable.path.rsplit("/", 1)[-1] not in ("gamma", "beta", "bias")
        for variable in model.trainable_variables
    ]
