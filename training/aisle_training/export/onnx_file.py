"""Write a Keras classifier as an ONNX file, and run such a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from aisle_training.export.classifiers import Classifier, Network
from aisle_training.export.errors import ExportError

# ONNX Runtime reads it since 1.12, so every Triton of the last years does.
OPSET: Final = 17


def write_onnx(classifier: Classifier, path: Path) -> None:
    """Write a classifier as ONNX, with the tensor names of its specification and a batch of any size.

    Not by `model.export(format="onnx")`: that wants a model that has been called, hides what tf2onnx could not
    translate (the exact GELU), and leaves the batch nameless.

    Args:
        classifier: On Keras's TensorFlow backend.
        path: The file to write.

    Raises:
        ExportError: The network uses an operation that ONNX does not have.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    names = [spec.name for spec in classifier.inputs]
    signature = [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in classifier.model.inputs]
    order = [tensor.name for tensor in signature]

    @tf.function  # type: ignore[untyped-decorator]
    def network(*arguments: Any) -> Any:
        return classifier.call(dict(zip(order, arguments, strict=True)))

    proto, _ = tf2onnx.convert.from_function(
        network,
        input_signature=signature,
        opset=OPSET,
        custom_op_handlers={"Erfc": (_erfc, []), "SelectV2": (_where, [])},
    )
    _keep_constants(proto.graph, network.get_concrete_function(*signature).graph)
    for tensor in (*proto.graph.input, *proto.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    try:
        onnx.checker.check_model(proto, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{classifier.name} cannot be written as ONNX: {str(error).splitlines()[0]}") from None
    found = [tensor.name for tensor in proto.graph.input], [tensor.name for tensor in proto.graph.output]
    expected = names, [spec.name for spec in classifier.outputs]
    if any(sorted(some) != sorted(others) for some, others in zip(found, expected, strict=True)):
        raise ExportError(f"the ONNX graph of {classifier.name} has tensors {found}, expected {expected}")
    onnx.save_model(proto, path)


def _keep_constants(graph: Any, traced: Any) -> None:
    """Turn constants that a layer holds outside its weights, such as the mean of a normalisation, into initializers.

    TensorFlow captures them when it traces a function, and tf2onnx takes what is captured for an input.
    """
    from onnx import numpy_helper

    captured = {placeholder.name: value for value, placeholder in traced.captures if hasattr(value, "numpy")}
    for tensor in [tensor for tensor in graph.input if tensor.name in captured]:
        graph.initializer.append(numpy_helper.from_array(np.asarray(captured[tensor.name]), tensor.name))
        graph.input.remove(tensor)


def open_onnx(path: Path) -> Network:
    """Open an ONNX file with ONNX Runtime, on CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a few rows; idle threads of a pool would spin
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda tensors: dict(zip(names, session.run(names, dict(tensors)), strict=True))


def _erfc(context: Any, node: Any, _name: str, _arguments: list[Any]) -> None:
    """Translate `erfc(x)`, of which the exact GELU is made, as `1 - erf(x)`; tf2onnx knows `erf` alone."""
    from tf2onnx.utils import make_name, map_onnx_to_numpy_type

    dtype, shape = context.get_dtype(node.output[0]), context.get_shape(node.output[0])
    context.remove_node(node.name)
    one = context.make_const(make_name("one"), np.ones((), map_onnx_to_numpy_type(dtype)))
    erf = context.make_node("Erf", node.input, dtypes=[dtype], shapes=[shape])
    context.make_node(
        "Sub", [one.output[0], erf.output[0]], name=node.name, outputs=node.output, dtypes=[dtype], shapes=[shape]
    )


def _where(context: Any, node: Any, _name: str, _arguments: list[Any]) -> None:
    """Translate a choice as ONNX's `Where`.

    tf2onnx multiplies both sides by 0 or 1 and adds, which lets the NaN of a missing input through.
    """
    dtype, shape = context.get_dtype(node.output[0]), context.get_shape(node.output[0])
    context.remove_node(node.name)
    context.make_node("Where", node.input, name=node.name, outputs=node.output, dtypes=[dtype], shapes=[shape])
