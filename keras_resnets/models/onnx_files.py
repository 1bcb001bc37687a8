"""ONNX files of networks: what tf2onnx does not know, and whether the file can be run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import wrapt

from keras_resnets.errors import InputError

__all__ = ["check_operations"]


@wrapt.when_imported("tf2onnx.handler")
def _teach(handler):
    """Tell tf2onnx of operations that it does not know: GELU's ``Erfc``, and CELU's ``Expm1``."""
    # ONNX has the error function from version 9 on.
    handler.tf_op("Erfc").register_compat_handler(_complement, 9)
    handler.tf_op("Expm1").register_compat_handler(_less_one, 9)


def _complement(graph, node, **_):
    """Put 1 - erf(x) in the place of erfc(x)."""
    function, one, made = _function_and_one(graph, node, "Erf")
    graph.make_node("Sub", [one, function], **made)


def _less_one(graph, node, **_):
    """Put exp(x) - 1 in the place of expm1(x)."""
    function, one, made = _function_and_one(graph, node, "Exp")
    graph.make_node("Sub", [function, one], **made)


def _function_and_one(graph, node, name: str):
    """Take a node out; return a function of what it read, a one, and what its place asks for."""
    from tf2onnx import utils

    (source,), (result,) = node.input, node.output
    made = {"shapes": [graph.get_shape(result)], "dtypes": [graph.get_dtype(result)]}
    number = np.array(1, utils.map_onnx_to_numpy_type(graph.get_dtype(result)))
    one = graph.make_const(utils.make_name("one"), number)
    graph.remove_node(node.name)
    function = graph.make_node(name, [source], **made)
    return function.output[0], one.output[0], {**made, "outputs": [result]}


def check_operations(path: str | Path, what: str) -> None:
    """Raise `InputError` for an ONNX file with operations that ONNX has not.

    tf2onnx leaves TensorFlow's name where it knows no other, and says so on stderr alone.

    Args:
        path: The file.
        what: What was exported, for the message.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    unknown = Counter(
        node.op_type
        for node in model.graph.node
        if not onnx.defs.has(node.op_type, versions.get(node.domain, 1), node.domain)
    )
    if unknown:
        raise InputError(
            f"{what} cannot be exported to ONNX, which has no operation for TensorFlow's "
            f"{', '.join(sorted(unknown))}; export it as 'tf_saved_model' or 'litert'"
        )
