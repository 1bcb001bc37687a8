"""Several trained networks as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

from keras_resnets.errors import InputError
from keras_resnets.models.checks import check_choice
from keras_resnets.models.classifier import classifier_activation
from keras_resnets.models.heads import output_kind
from keras_resnets.models.integrity import check_as_built
from keras_resnets.models.network import Network
from keras_resnets.models.raw_images import image_dtype
from keras_resnets.models.saved import read_model
from keras_resnets.surgery.networks import check_network, rebuilt, weights_of

__all__ = ["COMBINATIONS", "average_checkpoints", "ensemble"]

COMBINATIONS = ("mean_probability", "mean_logit")


def ensemble(
    models: Sequence[Network], combine: str = "mean_probability", name: str = "ensemble"
) -> keras.Model:
    """Return one model that answers with the mean of several networks' answers.

    An ordinary functional Keras model, saved and exported like any other; the networks are copies,
    under the names ``member1``, ``member2``, ... (``get_layer("member1").config``).

    Args:
        models: At least two networks with classifiers that take the same images, raw or not, and
            know the same number of classes. They may be of different architectures.
        combine: ``"mean_probability"``: the mean of the probabilities (of logits' softmax, where
            the networks put out logits). ``"mean_logit"``: the networks' activation of the mean of
            the logits, or that mean where they have none: the normalised geometric mean of the
            probabilities.
        name: Name of the model.

    Returns:
        A `keras.Model`.

    Raises:
        InputError: A model is none of ours, has no classifier, or disagrees with the first in
            images, classes, activation or data format; or `combine` is unknown.

    Example:
        >>> ensemble([first, second], combine="mean_logit").save("ensemble.keras")

    Reference:
        He 2015, section 4.1 (the winner of ILSVRC 2015 was an ensemble of six).
    """
    check_choice("combine", combine, COMBINATIONS)
    models = list(models) if isinstance(models, list | tuple) else [models]
    if len(models) < 2:
        raise InputError(
            f"`models` must be a sequence of at least two networks. Received: {len(models)}"
        )
    first = check_network(models[0])
    for number, model in enumerate(models, start=1):
        _check_member(model, number, first, models[0])
    inner, outer = _activations(first.classifier_activation, combine)
    spec = models[0].inputs[0]
    image = keras.Input(spec.shape[1:], dtype=spec.dtype, name="image")
    answers = []
    for number, model in enumerate(models, start=1):
        config = model.config.replace(classifier_activation=inner)
        member = rebuilt(model, config, weights_of(model), name=f"member{number}")
        answers.append(member(image))
    dtype = models[0].layers[-1].compute_dtype  # float32 at least, see `create_model`
    mean = keras.layers.Average(dtype=dtype, name="mean")(answers)
    if outer is not None:
        outer = classifier_activation(first, dtype)
        mean = keras.layers.Activation(outer, dtype=dtype, name="predictions")(mean)
    return keras.Model(image, mean, name=name)


def _activations(activation, combine):
    """Return the activation of each member, and the one behind their mean."""
    kind = output_kind(activation)
    if combine == "mean_logit":
        return None, None if activation in (None, "linear") else activation
    if kind == "other":
        raise InputError(
            "`combine`='mean_probability' needs networks whose outputs are logits or "
            f"probabilities. Received: classifier_activation={activation!r}"
        )
    return ("softmax" if kind == "logits" else activation), None


def _check_member(model, number, first, other):
    config = check_network(model)
    for what in ("include_top", "classes", "classifier_activation"):
        value, expected = getattr(config, what), getattr(first, what)
        if what == "include_top":
            expected = True
        if value != expected:
            raise InputError(
                f"`models` must have {what}={expected!r}, all of them. Received: model {number} "
                f"with {what}={value!r}"
            )
    for what in ("shape", "dtype"):
        value, expected = (_images_of(m)[what] for m in (model, other))
        if value != expected:
            raise InputError(
                f"`models` must take the same images, of {what} {expected}. "
                f"Received: model {number} that takes {what} {value}"
            )


def _images_of(model):
    return {"shape": model.inputs[0].shape, "dtype": image_dtype(model)}


def average_checkpoints(paths: Sequence[str | Path]) -> Network:
    """Return a network whose weights are the mean of several checkpoints' weights.

    Of one training's last epochs, it often does better than any of them (Izmailov 2018,
    arXiv:1803.05407). Its batch normalisation's statistics are averages too:
    `recalibrate_batch_norm` measures them.

    Args:
        paths: ``.keras`` files of networks of one configuration.

    Returns:
        A network of that configuration, not compiled.

    Raises:
        InputError: There are none, one is no network of ours, or is of another configuration.

    Example:
        >>> model = average_checkpoints(["epoch28.keras", "epoch29.keras", "epoch30.keras"])
    """
    if not isinstance(paths, list | tuple) or not paths:
        raise InputError(f"`paths` must be a sequence of .keras files. Received: paths={paths!r}")
    first, total = None, None
    for count, path in enumerate(paths, start=1):
        model = read_model(path, compile=False)
        check_as_built(model, f"{str(path)!r}")
        weights = weights_of(model)
        if first is None:
            first, total = model, weights
            continue
        if model.config != first.config:
            raise InputError(
                "`paths` must be checkpoints of one configuration. "
                f"Received: {str(path)!r}, of another one than {str(paths[0])!r}"
            )
        for name, value in weights.items():
            total[name] += (value - total[name]) / count
    return rebuilt(first, first.config, total)
