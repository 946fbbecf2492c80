"""ONNX networks of a few nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

OPSET = [helper.make_opsetid("", 18)]


def save_network(
    directory: Path,
    nodes: Sequence[Any],
    inputs: Sequence[tuple[str, int, Sequence[int | str]]],
    outputs: Sequence[tuple[str, int, Sequence[int | str]]],
    initializers: Sequence[Any] = (),
    filename: str = "model.onnx",
) -> None:
    """Write a network; inputs and outputs are (name, type, shape)."""
    values = [
        [helper.make_tensor_value_info(name, datatype, shape) for name, datatype, shape in tensors]
        for tensors in (inputs, outputs)
    ]
    graph = helper.make_graph(list(nodes), "graph", *values, list(initializers))
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=OPSET, ir_version=9), directory / filename)
