"""Layers inside layers, by path: ``stage2_block3/shortcut/conv``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras

from keras_resnets.errors import InputError, nearest

__all__ = ["get_layer", "inner_layers", "near_paths", "walk_layers"]


def walk_layers(model: keras.layers.Layer) -> list[tuple[str, keras.layers.Layer]]:
    """Return every layer of a model with its path, blocks and nested models before what is inside.

    ``model.layers`` ends at the blocks: a block is one layer there. This list goes on inside, in
    the order in which the layers compute (a block's branch, then its shortcut, then their sum).

    Args:
        model: Any Keras model, also one that nests a network (``Sequential([base, Dense(10)])``),
            or a block.

    Returns:
        ``(path, layer)`` of each layer, once; names in a path are separated by ``/``.

    Raises:
        InputError: `model` is not a Keras model or layer.

    Example:
        >>> model = create_model("resnet20_cifar")
        >>> [path for path, layer in walk_layers(model)][3:6]
        ['stem_relu', 'stage1_block1', 'stage1_block1/conv1']
    """
    _check_layer(model)
    return list(_walk(model, "", {id(model)}))


def get_layer(
    model: keras.layers.Layer, path: str, hint: Callable[[], str] = str
) -> keras.layers.Layer:
    """Return the layer at a path.

    Args:
        model: Any Keras model or block.
        path: Names from the outside in, ``"stage2_block3/bn2"``; of a nested network with the
            network's name in front, ``"resnet50/stage2_block3/bn2"``.
        hint: Returns what the error says in the place of the nearest paths, if it is not empty.

    Raises:
        InputError: There is no such layer; the message names the nearest paths.

    Example:
        >>> get_layer(create_model("resnet20_cifar"), "stage2_block1/conv1").strides
        (2, 2)
    """
    _check_layer(model)
    layer = model
    names = path.split("/") if isinstance(path, str) else [path]
    for name in names:
        layer = next((inner for inner in inner_layers(layer) if inner.name == name), None)
        if layer is None:
            raise InputError(
                f"no layer of {model.name!r} is named {path!r}{hint() or near_paths(model, path)}"
            )
    return layer


def inner_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Return the layers directly inside a layer; of models and blocks in the order of work."""
    listed = getattr(layer, "layers", None)
    if isinstance(listed, list | tuple):
        return list(listed)
    return list(layer._flatten_layers(include_self=False, recursive=False))


def near_paths(model: keras.layers.Layer, path) -> str:
    """Return ``"; nearest: ..."`` for the paths most like a wrong one, or what lists them all."""
    paths = [known for known, _ in walk_layers(model)]
    wanted = str(path)
    inside = [known for known in paths if known.endswith(f"/{wanted}")]
    if inside:
        return f"; nearest: {', '.join(inside[:3])}"
    # Of a nested network's layers also without the network's name.
    near = nearest(wanted, paths) or nearest(wanted, [p.partition("/")[2] for p in paths])
    return near or "; `keras_resnets.walk_layers` lists the paths"


def _walk(layer, prefix: str, seen: set) -> Iterator[tuple[str, keras.layers.Layer]]:
    for inner in inner_layers(layer):
        if id(inner) not in seen:
            seen.add(id(inner))
            yield prefix + inner.name, inner
            yield from _walk(inner, f"{prefix}{inner.name}/", seen)


def _check_layer(model) -> None:
    if not isinstance(model, keras.layers.Layer):
        raise InputError(
            f"`model` must be a Keras model or layer. Received: a {type(model).__name__}"
        )
