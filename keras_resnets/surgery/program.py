"""The program behind ``keras-resnets convert``: read, convert, compare on real images, write."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnets.data.options import check_data
from keras_resnets.errors import InputError, RunError
from keras_resnets.files import replacing
from keras_resnets.models.checks import check_choice
from keras_resnets.models.files import check_network_file
from keras_resnets.outputs import check_file
from keras_resnets.verbosity import Printer

if TYPE_CHECKING:
    from keras_resnets.surgery.comparison import Comparison

__all__ = ["CONVERSIONS", "check_output", "run_convert"]

CONVERSIONS = {
    "plain": ("plain", "to_plain"),
    "residual": ("residual", "to_residual"),
    "folded": ("folding", "fold_batch_norm"),
}
"""The module and the function of each conversion."""

_TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
"""Most that an answer may differ, relative to the largest one; under 16 bits it is the rounding
that differs, and only the share of equal classes is said."""


def check_output(output: str | Path, path: str | Path) -> Path:
    """Return where to write a model, checked to be a ``.keras`` file that can be written.

    Raises:
        InputError: It is not, or it is the file that is read.
    """
    check_file(output, "--output", (".keras",))
    output = Path(output)
    if output.resolve() == Path(path).resolve():
        raise InputError(f"`--output` must be another file than MODEL. Received: {output}")
    return output


def run_convert(
    path: str | Path,
    to: str,
    output: str | Path,
    data: dict[str, Any],
    print_fn: Callable[[str], None] = print,
    *,
    recalibrate: bool = False,
    limit: int = 2000,
    verbose: int = 1,
) -> Comparison:
    """Convert a saved network, compare it with the original on test images, and save it.

    Args:
        path: The ``.keras`` file.
        to: ``"plain"``, ``"residual"`` or ``"folded"``.
        output: The ``.keras`` file to write.
        data: Arguments of `load_data`.
        print_fn: Called with lines on what was done and on the comparison.
        recalibrate: With ``"residual"``, whether to measure the branches' statistics on training
            images (the function stays the same).
        limit: Most test images to compare on, and most training images to recalibrate on.
        verbose: 0 for no lines at all.

    Raises:
        InputError: `to` is unknown, a file cannot be read or written, the network cannot be
            converted, or the images do not fit it; nothing is written.
        RunError: The converted network disagrees with the original; nothing is written.
    """
    print_fn = Printer(print_fn, verbose)
    check_choice("to", to, CONVERSIONS)
    if recalibrate and to != "residual":
        raise InputError(f"`--recalibrate` goes with --to residual. Received: --to {to}")
    check_network_file(path)
    output = check_output(output, path)
    check_data(data)
    return _convert(path, to, output, {**data, "print_fn": print_fn}, print_fn, recalibrate, limit)


def _convert(path, to, output, data, print_fn, recalibrate, limit) -> Comparison:
    # After the checks: TensorFlow is slow.
    from keras_resnets.data.fitting import images_for
    from keras_resnets.models.saved import read_model
    from keras_resnets.surgery.comparison import compare
    from keras_resnets.surgery.networks import check_network

    model = read_model(path, compile=False)
    _check_comparable(check_network(model), model, path)
    images = images_for(model.input_shape, data)
    module, function = CONVERSIONS[to]
    conversion = getattr(importlib.import_module(f"keras_resnets.surgery.{module}"), function)
    options = {"dataset": images.images("train", limit)[0]} if recalibrate else {}
    converted = conversion(model, print_fn=print_fn, **options)
    result = compare(model, converted, *images.images("test", limit))
    tolerance = _TOLERANCE.get(model.layers[-2].compute_dtype, 1.0)
    if not result.largest_difference <= tolerance:
        raise RunError(
            f"the {to} network differs from {str(path)!r} by {result.largest_difference:.1e} "
            f"relative (allowed: {tolerance:.0e}); it was not written"
        )
    with replacing(output) as beside:
        converted.save(beside)
    print_fn(f"{result} -> {output}")
    return result


def _check_comparable(config, model, path) -> None:
    if not config.include_top:
        raise InputError(f"{str(path)!r} must hold a network with a classifier to compare by")
    if any(getattr(layer, "data_format", "") == "channels_first" for layer in model.layers):
        raise InputError(f"{str(path)!r} takes channels-first images; data sets are channels last")
