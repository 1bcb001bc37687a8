"""Which layers train: by place in the network, by stage, and by type."""

from __future__ import annotations

import re
from collections.abc import Sequence

import keras

from keras_resnets.errors import ConfigError
from keras_resnets.layers.navigation import near_paths, walk_layers

__all__ = ["freeze", "unfreeze"]

_NORMALIZATIONS = (keras.layers.BatchNormalization, keras.layers.GroupNormalization)


def freeze(
    model: keras.Model,
    through: str | None = None,
    batch_norm: bool = True,
    *,
    until: str | None = None,
    types: type | Sequence[type] | None = None,
) -> keras.Model:
    """Keep a network's first layers, or its layers of some types, as they are in training.

    Without `types` the call says it for the whole model: what lies behind the frozen part becomes
    trainable, whatever it was, so that a network thaws by calls with an earlier `through`. With
    `types`, layers of these types are frozen too, and all others stay as they are.

    As for every change of ``trainable``: compile the model (again) afterwards.

    Args:
        model: A network, or any Keras model with one inside; it is changed.
        through: The last part to freeze: ``"stem"``, ``"stage3"``, or the name or path of a layer
            (``"stage3_block2/bn1"``); the whole model by default. Of a network inside another
            model the name need not say which, if there is one alone.
        batch_norm: Whether the batch normalisation of the frozen part is frozen too: it then
            normalises by its moving statistics, in training as in inference, and keeps them.
            Otherwise it goes on to learn its scale, offset and statistics.
        until: Instead of `through`, the first part that is not frozen: as `through`, or
            ``"head"``.
        types: Layer classes, such as ``keras.layers.BatchNormalization``.

    Returns:
        The model.

    Raises:
        ConfigError: There is no such part, both `through` and `until` are given, `types` are not
            layer classes, or `model` is not a Keras model.

    Example:
        >>> model = freeze(create_model("resnet20_cifar"), until="stage3")
        >>> model.get_layer("stage3_block1").trainable
        True
        >>> model = freeze(model, types=keras.layers.BatchNormalization)
        >>> model.get_layer("stage3_block1/bn1").trainable
        False
    """
    if through is not None and until is not None:
        raise ConfigError(
            "`through` is the last frozen part, `until` the first that is not: give one of them. "
            f"Received: through={through!r}, until={until!r}"
        )
    tree = _Tree(model)
    end = tree.span("through", through)[1]
    if until is not None:
        end = tree.span("until", until)[0]
    if types is not None:
        wanted = _types(types)
        chosen = [i for i in tree.leaves if i < end and tree.is_inside(i, wanted)]
        return tree.apply(dict.fromkeys(chosen, False))
    spared = () if batch_norm else _NORMALIZATIONS
    return tree.apply({i: i >= end or tree.is_inside(i, spared) for i in tree.leaves})


def unfreeze(
    model: keras.Model,
    start: str | None = None,
    batch_norm: bool = True,
    *,
    types: type | Sequence[type] | None = None,
) -> keras.Model:
    """Make a network's last layers trainable, or its layers of some types; others stay.

    As for every change of ``trainable``: compile the model (again) afterwards.

    Args:
        model: A network, or any Keras model with one inside; it is changed.
        start: The first part to make trainable, as `freeze` has it in `until`; the whole model by
            default.
        batch_norm: Whether batch normalisation becomes trainable too, or stays as it is.
        types: Layer classes to which the change is limited.

    Returns:
        The model.

    Raises:
        ConfigError: There is no such part, `types` are not layer classes, or `model` is not a
            Keras model.

    Example:
        >>> base = ResNet50(include_top=False)
        >>> base.trainable = False
        >>> base = unfreeze(base, start="stage4", batch_norm=False)
        >>> base.get_layer("stage4_block1/conv1").trainable
        True
    """
    tree = _Tree(model)
    first = 0 if start is None else tree.span("start", start)[0]
    chosen = [i for i in tree.leaves if i >= first]
    if types is not None:
        wanted = _types(types)
        chosen = [i for i in chosen if tree.is_inside(i, wanted)]
    if not batch_norm:
        chosen = [i for i in chosen if not tree.is_inside(i, _NORMALIZATIONS)]
    return tree.apply(dict.fromkeys(chosen, True))


class _Tree:
    """The layers of a model in order, who is inside whom, and which of them train.

    A layer trains if its own ``trainable`` and that of all around it say so.
    """

    def __init__(self, model):
        if not isinstance(model, keras.layers.Layer):
            raise ConfigError(f"`model` must be a Keras model. Received: a {type(model).__name__}")
        self.model = model
        paths, self.layers = zip(*walk_layers(model), strict=True)
        self.paths = _without_prefixes(model, paths, self.layers)
        numbers = {path: i for i, path in enumerate(self.paths)}
        self.around = [
            [numbers[around] for around in _around(path) if around in numbers]
            for path in self.paths
        ]
        parents = {i for around in self.around for i in around}
        self.leaves = [i for i in range(len(self.layers)) if i not in parents]

    def is_inside(self, i, types) -> bool:
        """Return whether a layer, or one around it, is of some types."""
        return any(isinstance(self.layers[k], types) for k in (i, *self.around[i]))

    def apply(self, changes):
        """Make leaves trainable or not; whatever is around a trainable leaf is trainable."""
        trains = {
            i: self.model.trainable and all(self.layers[k].trainable for k in (i, *self.around[i]))
            for i in self.leaves
        } | changes
        states = trains | {k: False for i in self.leaves for k in self.around[i]}
        for i in self.leaves:
            states |= dict.fromkeys(self.around[i], True) if trains[i] else {}
        if any(trains.values()):
            self._set(self.model, True)
        # Outer layers first: each hands its state down before those inside get their own.
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, keras.layers.InputLayer):
                self._set(layer, states[i])
        return self.model

    @staticmethod
    def _set(layer, trainable):
        if layer.trainable != trainable:
            layer.trainable = trainable

    def span(self, argument, part) -> tuple[int, int]:
        """Return where a part begins, and where what follows it does."""
        if part is None:
            return 0, len(self.layers)
        found = []
        if isinstance(part, str):
            nested = [p for p, x in zip(self.paths, self.layers, strict=True) if _is_model(x)]
            part = part.removeprefix(getattr(self.model, "layer_prefix", ""))
            # A name of the model itself is not looked for in the models inside.
            found = self._spans("", part) or [
                span for path in nested for span in self._spans(f"{path}/", part)
            ]
        if len(found) != 1:
            raise ConfigError(self._refusal(argument, part, found))
        return found[0]

    def _spans(self, prefix, part) -> list[tuple[int, int]]:
        """Return the one span of a part of the model whose paths begin so, or nothing."""
        if part == "head":  # what lies behind the stages
            body = [i for i, p in enumerate(self.paths) if re.match(re.escape(prefix) + _BODY, p)]
            return [(body[-1] + 1, len(self.layers))] if body else []
        own = prefix + part
        numbers = [i for i, p in enumerate(self.paths) if p == own or p.startswith(f"{own}/")]
        numbers = numbers or [i for i, p in enumerate(self.paths) if p.startswith(f"{own}_")]
        return [(numbers[0], numbers[-1] + 1)] if numbers else []

    def _refusal(self, argument, part, found):
        names = re.findall(r"(?:^|/)(stage[0-9]+)_", "\n".join(self.paths), re.MULTILINE)
        stages = ", ".join(dict.fromkeys(names)) or "none"
        if found:
            hint = f"; there are several: {', '.join(self.paths[first] for first, _ in found)}"
        else:
            hint = near_paths(self.model, part) if isinstance(part, str) else ""
        head = "" if argument == "through" else "'head', "
        return (
            f"`{argument}` must be None, 'stem', {head}a stage or the name of a layer; the stages "
            f"are {stages}. Received: {argument}={part!r}{hint}"
        )


_BODY = "(stage[0-9]+_|transition[0-9]|final_)"


def _is_model(layer) -> bool:
    return isinstance(layer, keras.Model)


def _around(path):
    """Return the paths of what is around a layer."""
    names = path.split("/")
    return ["/".join(names[:count]) for count in range(1, len(names))]


def _without_prefixes(model, paths, layers) -> list[str]:
    """Return the paths with the layers' own names, without `Network.layer_prefix`."""
    own, prefixes = {"": ""}, {"": getattr(model, "layer_prefix", "")}
    for path, layer in zip(paths, layers, strict=True):
        around, _, name = path.rpartition("/")
        name = name.removeprefix(prefixes.get(around, ""))
        own[path] = f"{own[around]}/{name}" if around else name
        prefixes[path] = getattr(layer, "layer_prefix", "")
    return [own[path] for path in paths]


def _types(types) -> tuple[type, ...]:
    found = tuple(types) if isinstance(types, list | tuple) else (types,)
    kinds = [t for t in found if isinstance(t, type) and issubclass(t, keras.layers.Layer)]
    if not found or len(kinds) < len(found):
        raise ConfigError(
            "`types` must be layer classes, such as keras.layers.BatchNormalization. "
            f"Received: types={types!r}"
        )
    return found
