"""What a file of weights says of layers that Keras quantised, or adapted by LoRA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

__all__ = ["merge_lora", "modes_of_arrays", "modes_of_config"]

_FACTORS = ("lora_kernel_a", "lora_kernel_b")


def modes_of_config(saved: dict[str, Any]) -> dict[str, str]:
    """Return how layers are quantised by a saved model's configuration.

    Args:
        saved: The model as Keras serialises it.

    Returns:
        ``int8``, ``int4``, ``float8``, ... by the path of the layer.

    Example:
        >>> modes_of_config(json.loads(archive.read("config.json")))
        {'predictions': 'int8'}
    """
    found = {}
    for path, config in _layers(saved["config"]["layers"]):
        # Layers that cannot be quantised may be under such a policy too.
        policies = {path: config["dtype"]} if "quantization_config" in config else {}
        for name, part in (config.get("quantized") or {}).items():
            policies[f"{path}/{name}"] = part["dtype"]
        modes = {place: _mode(policy) for place, policy in policies.items()}
        found |= {place: mode for place, mode in modes.items() if mode}
    return found


def _layers(value: Any, above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and configuration of each layer in a serialised model."""
    if isinstance(value, list):
        for item in value:
            yield from _layers(item, above)
    if not isinstance(value, dict):
        return
    config = value.get("config")
    if isinstance(config, dict) and isinstance(config.get("name"), str) and "dtype" in config:
        path = above + config["name"]
        yield path, config
        above = f"{path}/"
    for item in value.values():
        yield from _layers(item, above)


def _mode(policy: Any) -> str | None:
    """Return the kind of quantisation in a serialised dtype policy: ``int4`` of ``int4/128``."""
    if isinstance(policy, str):
        mode, named, _ = policy.partition("_from_")
        mode = mode if named else None
    else:
        config = policy.get("config") if isinstance(policy, dict) else None
        mode = config.get("mode") if isinstance(config, dict) else None
    return mode.partition("/")[0] if isinstance(mode, str) else None


def modes_of_arrays(file: h5py.Group) -> dict[str, str]:
    """Return how layers are quantised by what is stored, where there is no configuration.

    Args:
        file: A file of weights, in the layout by objects or by layers.

    Returns:
        As `modes_of_config`; names that the file does not hold are those of Keras' classes.
    """
    groups: dict[str, list[h5py.Dataset]] = {}

    def collect(path, item):
        if isinstance(item, h5py.Dataset):
            groups.setdefault(path.rpartition("/")[0], []).append(item)

    file.visititems(collect)
    modes = {path: _mode_of_arrays(arrays) for path, arrays in groups.items()}
    return {_layer_path(file, path): mode for path, mode in modes.items() if mode}


def _mode_of_arrays(arrays: list[h5py.Dataset]) -> str | None:
    kernels = [x.shape for x in arrays if x.dtype in (np.int8, np.uint8) and len(x.shape) > 1]
    if kernels:
        # Of 4 bits, two numbers lie in one of 8: the outputs are more than the kernel's columns.
        # Their blocks have zero points besides, of 8 bits too.
        outputs = max(x.shape[-1] for x in arrays if x.shape)
        return "int4" if len(kernels) > 1 or outputs > kernels[0][-1] else "int8"
    # Keras' float8 keeps a scale, and a history behind it, of inputs, kernel and gradient.
    return "float8" if sum(x.shape == () for x in arrays) >= 3 else None


def _layer_path(file: h5py.Group, path: str) -> str:
    names, above = [], ""
    for key in path.split("/"):
        above = f"{above}/{key}" if above else key
        if key in ("layers", "vars", "model_weights"):
            continue
        own = file.get(f"{above}/vars")
        name = None if own is None else own.attrs.get("name")
        name = name.decode("utf-8") if isinstance(name, bytes) else name
        names.append(str(name or key))
    return "/".join(names)


def merge_lora(values: dict[str, Any], saved: dict[str, Any] | None) -> str | None:
    """Add to each kernel its adaptation by LoRA, and take the two factors away.

    Args:
        values: Arrays by the path of the weight, with the prefix of the network's layers; changed.
        saved: The model as Keras serialises it, which says how much the adaptation counts.

    Returns:
        The first layer of which that is not said, whose kernel stays as it is; None for none.
    """
    adapted = [path.rpartition("/")[0] for path in values if path.endswith(f"/{_FACTORS[0]}")]
    configs = dict(_layers(saved["config"]["layers"])) if adapted and saved else {}
    for layer in adapted:
        config = configs.get(layer, {})
        rank, alpha = config.get("lora_rank"), config.get("lora_alpha")
        if not rank or alpha is None:
            return layer
        first, second = (np.asarray(values.pop(f"{layer}/{name}"), "float64") for name in _FACTORS)
        kernel = np.asarray(values[f"{layer}/kernel"], "float64")
        values[f"{layer}/kernel"] = kernel + alpha / rank * (first @ second)
    return None
