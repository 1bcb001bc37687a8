"""What users do with a built network: take its stages, decay it by halves."""

from __future__ import annotations

import keras

from keras_resnets.errors import ConfigError
from keras_resnets.models.network import Network

__all__ = ["feature_pyramid", "weight_decay_mask"]


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


def _check_model(model) -> None:
    if not isinstance(model, Network):
        raise ConfigError(
            "`model` must be a network of ours, from `create_model`. "
            f"Received: a {type(model).__name__}"
        )


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
