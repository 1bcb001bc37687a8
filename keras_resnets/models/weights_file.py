"""Files of weights: which network they are of, and reading them into one."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_resnets.errors import ConfigError, InputError
from keras_resnets.layers.navigation import walk_layers
from keras_resnets.models.adapted_files import merge_lora, modes_of_arrays, modes_of_config
from keras_resnets.models.config import NetworkConfig, config_from_dict
from keras_resnets.models.field_groups import HEAD, WEIGHTLESS
from keras_resnets.models.files import check_network_file
from keras_resnets.reading import reason

__all__ = ["WeightsFile", "differing_fields"]

_SUFFIXES = (".weights.h5", ".h5", ".keras")
_CLASSIFIER = "predictions"
_DAMAGED = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError)
"""What h5py and Keras raise on damaged files and on those of another network."""


class WeightsFile:
    """A file of weights for a network, checked before the network is built.

    Args:
        path: A ``.weights.h5``, ``.h5`` (a whole model, or weights by layer) or ``.keras`` file.
        config: Configuration of the network that takes the weights.

    Raises:
        ConfigError: It is no such file, is damaged, or holds the configuration of another network;
            the message names what differs.

    Example:
        >>> WeightsFile("model.keras", model_config("resnet20_cifar")).load_into(model)
    """

    def __init__(self, path: str | Path, config: NetworkConfig):
        self.path = _checked_path(path)
        self.config = config
        self.kind, self._saved = _looked_into(self.path)
        network = _network(self.path, self._saved)
        if network is not None:
            self._check_fit(network)

    def _check_fit(self, saved: NetworkConfig):
        differing = differing_fields(saved, self.config)
        if not differing:
            return
        pairs = ", ".join(f"{name}={theirs!r}, not {ours!r}" for name, theirs, ours in differing)
        hint = "; `load_weights` of the built model takes them all the same where shapes agree"
        if {name for name, _, _ in differing} <= set(HEAD):
            hint = "; build it with include_top=False, then call keras_resnets.reset_classifier"
        raise self._error(f"the file's network has {pairs}{hint}")

    def _error(self, why: str) -> ConfigError:
        return ConfigError(
            "`weights` do not fit the network; they must be of one of the same options. "
            f"Received: weights={str(self.path)!r}: {why}"
        )

    def load_into(self, model: keras.Model) -> None:
        """Give a network of the configuration the file's weights.

        Raises:
            ConfigError: The file is damaged, or holds weights of other layers or shapes, or of
                layers that are quantised where the network's are not.
        """
        try:
            self._check_quantization(model)
            if self.kind == "layers":
                self._load_by_path(model)
                return
            self._check_count(model)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the error says more
                model.load_weights(self.path)
        except ConfigError:
            raise
        except Exception as error:  # whatever a damaged archive can raise
            raise self._error(reason(error)) from error

    def _check_quantization(self, model):
        """Check that the file has no quantised layers, but for a head that is not read."""
        theirs = self._modes()
        if not self.config.include_top:
            theirs = {path: x for path, x in theirs.items() if not _is_classifier(path)}
        if theirs and not any(layer.quantization_mode for _, layer in walk_layers(model)):
            path, mode = next(iter(theirs.items()))
            raise self._error(
                f"the file's layer {path!r} is quantised to {mode}; write a file of the network as "
                "it was before `quantize`"
            )

    def _modes(self) -> dict[str, str]:
        if self._saved is not None:
            return modes_of_config(self._saved)
        with h5py.File(self.path, "r") as file:
            return modes_of_arrays(file)

    def _check_count(self, model):
        """Check that nothing is left over: Keras reads past layers that a network does not have."""
        found = _saved_weights(self.path)
        if not self.config.include_top:
            found = [name for name in found if name != _CLASSIFIER]
        if len(found) != len(model.weights):
            raise self._error(
                f"the file holds {len(found)} weights, the network has {len(model.weights)}"
            )

    def _load_by_path(self, model):
        """Read the layout in which each weight lies under the name of its layer and its own."""
        with h5py.File(self.path, "r") as file:
            group = file if "layer_names" in file.attrs else _inside(file, "model_weights")
            prefix = model.layer_prefix if self._saved is None else _layer_prefix(self._saved)
            values = {}
            for layer in group.attrs["layer_names"]:
                own = _inside(group, _text(layer))
                for name in own.attrs["weight_names"]:
                    values[_text(name)] = _inside(own, _text(name))
            adapted = merge_lora(values, self._saved)
            if adapted is not None:
                raise self._error(
                    f"the file's layer {adapted!r} is adapted by LoRA, and the file does not say "
                    "by how much; save the network as .keras"
                )
            values = {name.removeprefix(prefix): value for name, value in values.items()}
            wanted = {w.path.removeprefix(model.layer_prefix): w for w in model.weights}
            spare = {
                name
                for name in values
                if not self.config.include_top and name.startswith(f"{_CLASSIFIER}/")
            }
            missing = [name for name in wanted if name not in values]
            extra = [name for name in values if name not in wanted and name not in spare]
            if missing or extra:
                lacks = f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r} besides"
                raise self._error(f"the file {lacks}; it holds {len(values)} weights")
            arrays = {name: np.asarray(values[name]) for name in wanted}
        for name, weight in wanted.items():
            if arrays[name].shape != tuple(weight.shape):
                raise self._error(
                    f"the file's {name!r} has shape {arrays[name].shape}, not {tuple(weight.shape)}"
                )
        for name, weight in wanted.items():
            weight.assign(arrays[name])


def differing_fields(saved: NetworkConfig, config: NetworkConfig) -> list[tuple]:
    """Return the fields that keep a network from taking another's weights.

    Args:
        saved: Configuration of the network that has the weights.
        config: Configuration of the one to take them.

    Returns:
        ``(name, value of saved, value of config)`` of each field at odds; empty if they fit.

    Example:
        >>> differing_fields(model_config("resnet20_cifar"), model_config("resnet32_cifar"))
        [('blocks', (3, 3, 3), (5, 5, 5))]
    """
    if type(saved) is not type(config):
        return [("family", saved.family, config.family)]
    free = set(WEIGHTLESS)
    if not config.include_top:
        free |= set(HEAD)
    found = [
        (name, getattr(saved, name), getattr(config, name))
        for name in config.to_dict()
        if name not in free and name != "family"
    ]
    found.append(("channels", saved.input_shape[2], config.input_shape[2]))
    found = [row for row in found if row[1] != row[2]]
    if config.include_top and not saved.include_top:
        found = [row for row in found if row[0] == "include_top" or row[0] not in HEAD]
    return found


def _checked_path(path) -> Path:
    received = f"Received: weights={path!r}" if not isinstance(path, Path) else None
    received = received or f"Received: weights={str(path)!r}"
    if not isinstance(path, str | Path) or not str(path).endswith(_SUFFIXES):
        raise ConfigError(
            "`weights` must be None or the path of a .weights.h5, .h5 or .keras file; no weights "
            f"are downloaded. {received}"
        )
    path = Path(path)
    try:
        there = path.is_file()
    except OSError:  # a name too long
        there = False
    if not there:
        raise ConfigError(
            "`weights` must be None or the path of an existing .weights.h5, .h5 or .keras file; no "
            f"weights are downloaded. {received} (there is no such file)"
        )
    return path


def _looked_into(path: Path) -> tuple[str, dict | None]:
    """Return a file's layout, ``"objects"`` or ``"layers"``, and the model as Keras wrote it."""
    if path.suffix == ".keras":
        try:
            check_network_file(path, "weights")
        except InputError as error:
            message = str(error)
            named = message if "`weights`" in message else f"`weights` must be readable: {message}"
            raise ConfigError(named) from None
        with zipfile.ZipFile(path) as archive:
            return "objects", json.loads(archive.read("config.json"))
    try:
        with h5py.File(path, "r") as file:
            if "layer_names" in file.attrs or "model_weights" in file:
                text = file.attrs.get("model_config")
                return "layers", None if text is None else json.loads(_text(text))
            new = any(name in file for name in ("layers", "_layer_checkpoint_dependencies"))
    except _DAMAGED as error:
        raise _unreadable(path, "it is damaged, or not an HDF5 file") from error
    if not new:
        raise _unreadable(path, "it does not hold the weights of a Keras model")
    if not path.name.endswith(".weights.h5"):
        raise _unreadable(path, "a file of its layout must be named .weights.h5")
    return "objects", None


def _network(path: Path, saved) -> NetworkConfig | None:
    """Return the configuration of our network in a model's, None if there is none."""
    if saved is None:
        return None
    config = saved.get("config") if isinstance(saved, dict) else None
    network = config.get("network") if isinstance(config, dict) else None
    if network is None:
        raise ConfigError(
            "`weights` must be of a keras_resnets network, saved with its configuration. "
            f"Received: weights={str(path)!r}"
        )
    try:
        return config_from_dict(network)
    except ConfigError as error:
        raise _unreadable(path, f"its configuration is damaged: {error}") from error


def _is_classifier(path: str) -> bool:
    """Return whether a layer is the head's; not each file says the prefix of its names."""
    return "/" not in path and path.endswith(_CLASSIFIER)


def _layer_prefix(saved: dict | None) -> str:
    return "" if saved is None else saved["config"].get("layer_prefix", "")


def _unreadable(path: Path, why: str) -> ConfigError:
    return ConfigError(f"`weights` cannot be read. Received: weights={str(path)!r}: {why}")


def _saved_weights(path: Path) -> list[str]:
    """Return the name of the outermost layer of each weight in a file of the layout by objects."""
    if path.suffix == ".keras":
        with (
            zipfile.ZipFile(path) as archive,
            archive.open("model.weights.h5") as stream,
            h5py.File(stream, "r") as file,
        ):
            return _names(file)
    with h5py.File(path, "r") as file:
        return _names(file)


def _names(file: h5py.File) -> list[str]:
    found = []
    for key in _inside(file, "layers"):
        layer = _inside(_inside(file, "layers"), key)
        # Files of a Keras that writes no names: the classifier is the only dense layer outside.
        name = _CLASSIFIER if key == "dense" else key

        def count(path, item, name=name):
            if isinstance(item, h5py.Dataset) and "seed_generator" not in path:
                found.append(name)

        layer.visititems(count)
    return found


def _inside(group: h5py.Group, name: str):
    """Return what lies in a group of a file, and in that file alone."""
    for part in name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{part!r} lies outside the file, or is missing")
        group = group[part]
    if isinstance(group, h5py.Dataset) and (group.external or group.is_virtual):
        raise ValueError(f"{name!r} lies outside the file")
    return group


def _text(value) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
