"""Batch normalisation's statistics, measured over data."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
from keras import ops

from keras_resnets.errors import InputError
from keras_resnets.models.checks import check, is_int
from keras_resnets.models.families import ResNetConfig
from keras_resnets.models.network import Network
from keras_resnets.surgery.networks import affine, array_of, check_network, rebuilt, weights_of
from keras_resnets.surgery.survival import without_drops

__all__ = ["recalibrate_batch_norm"]


def recalibrate_batch_norm(
    model: Network,
    dataset,
    *,
    batch_size: int = 128,
    steps: int | None = None,
    keep_function: bool = False,
    print_fn: Callable[[str], None] | None = None,
) -> Network:
    """Return the network with its moving statistics replaced by those of a data set.

    The moving averages of training lag behind its last weights and weigh the last batches most;
    here every pixel of every image counts once, as in the models that the authors released. The
    images pass as in training, each batch normalised by its own statistics, without dropout and
    without dropped branches: one pass, and mean and variance of what each normalisation read.

    Args:
        model: The network; it is not changed.
        dataset: Images as an array, or an iterable of batches (a `tf.data.Dataset`), of images or
            of ``(images, labels)``: what the network was trained on, without augmentation.
        batch_size: Images a batch, where `dataset` is an array.
        steps: Batches to use of an iterable; all by default.
        keep_function: Whether gammas and betas compensate for the new statistics. The network then
            stays the same function at inference (and images pass as at inference, so that the
            statistics are exact for it), while training, which normalises by batches, begins near
            it.
        print_fn: Called with a line on the number of images; None for silence.

    Returns:
        A network of the same configuration.

    Raises:
        InputError: The model is none of ours or has no batch normalisation; the images do not fit
            it, there are none, or a variance is not finite.

    Example:
        >>> model = recalibrate_batch_norm(model, train_images)
    """
    config = check_network(model)
    for name, count in (("batch_size", batch_size), ("steps", steps)):
        ok = is_int(count) or (name == "steps" and count is None)
        check(ok, name, "a positive integer", count)
    twin = without_drops(model) if isinstance(config, ResNetConfig) else _without_dropout(model)
    layers = _normalizations(twin)
    if not layers:
        raise InputError(
            "`model` must have batch normalisation. "
            f"Received: model {model.name!r} with normalization={config.normalization!r}"
            f"{', folded' if config.folded else ''}"
        )
    batches = _batches(model, dataset, batch_size, steps)
    moments, images = _measure(twin, layers, batches, training=not keep_function)
    weights = weights_of(model)
    for path, (mean, variance) in moments.items():
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise InputError(
                f"`dataset` must give finite statistics. Received: images for which {path!r} reads "
                "values that are not"
            )
        if keep_function:
            scale, shift = affine(weights, path, config.bn_epsilon)
            weights[f"{path}/gamma"] = scale * np.sqrt(variance + config.bn_epsilon)
            weights[f"{path}/beta"] = shift + scale * mean
        weights[f"{path}/moving_mean"], weights[f"{path}/moving_variance"] = mean, variance
    if print_fn is not None:
        print_fn(f"statistics of {len(moments)} normalisations over {images:,} images")
    return rebuilt(model, config, weights)


def _without_dropout(model: Network) -> Network:
    config = model.config.replace(dropout=0.0, head_dropout=0.0)
    return rebuilt(model, config, weights_of(model))


def _normalizations(model) -> dict[str, keras.layers.Layer]:
    """Return the batch normalisations of a model by their path."""
    return {
        layer.moving_mean.path.removesuffix("/moving_mean"): layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    }


def _batches(model, dataset, batch_size, steps) -> Iterator[np.ndarray]:
    if hasattr(dataset, "shape") or isinstance(dataset, list):
        array = np.asarray(dataset)
        dataset = (array[i : i + batch_size] for i in range(0, len(array), batch_size))
    elif isinstance(dataset, str) or not isinstance(dataset, Iterable):
        raise InputError(
            "`dataset` must be an array of images or an iterable of batches. "
            f"Received: a {type(dataset).__name__}"
        )
    expected = tuple(model.input_shape)
    for number, batch in enumerate(dataset):
        if steps is not None and number >= steps:
            return
        images = batch[0] if isinstance(batch, tuple | list) else batch
        shape = np.shape(images)
        fits = len(shape) == len(expected) and all(
            want is None or want == got for want, got in zip(expected, shape, strict=True)
        )
        if not fits:
            raise InputError(
                f"`dataset` must hold images of shape {expected}. Received: a batch of {shape}"
            )
        if shape[0]:
            yield images


def _measure(model, layers, batches, training):
    """Return mean and variance that each normalisation reads over all batches, and the images."""
    totals: dict[str, list] = {}
    images = 0
    pixels = dict.fromkeys(layers, 0)
    run = _recorder(model, layers, training)
    for batch in batches:
        images += len(batch)
        for path, (mean, variance, count) in run(batch).items():
            mean, variance = array_of(mean), array_of(variance)
            pixels[path] += float(count)
            if path not in totals:
                totals[path] = [mean, variance * float(count)]
                continue
            # Chan 1983: sums of squares about the means of two parts, combined.
            share = float(count) / pixels[path]
            delta = mean - totals[path][0]
            totals[path][0] = totals[path][0] + share * delta
            totals[path][1] += variance * float(count)
            totals[path][1] += delta**2 * share * (pixels[path] - float(count))
    if not images:
        raise InputError("`dataset` must hold at least one batch. Received: none")
    return {p: (mean, squares / pixels[p]) for p, (mean, squares) in totals.items()}, images


def _recorder(model, layers, training) -> Callable:
    """Return a function that runs the model on a batch and returns what normalisations read."""

    def run(batch):
        found = {}
        with contextlib.ExitStack() as stack:
            for path, layer in layers.items():
                stack.enter_context(_recorded(layer, path, found))
            model(batch, training=training)
        return found

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(run, reduce_retracing=True)
    return run


@contextlib.contextmanager
def _recorded(layer, path, found):
    """Note mean, variance and number of what a normalisation reads, while it is open."""
    call = layer.call

    def recording(inputs, *args, **kwargs):
        axes = [a for a in range(len(inputs.shape)) if a != layer.axis % len(inputs.shape)]
        values = inputs if inputs.dtype == "float64" else ops.cast(inputs, "float32")
        mean, variance = ops.moments(values, axes)
        count = ops.prod([ops.cast(ops.shape(inputs)[a], "float64") for a in axes])
        found[path] = (mean, variance, count)
        return call(inputs, *args, **kwargs)

    layer.call = recording
    try:
        yield
    finally:
        del layer.call
