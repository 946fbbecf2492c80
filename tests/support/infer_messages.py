"""Short ways to write the protocol's inference messages in a test."""

from __future__ import annotations

from typing import Any

import numpy as np

from aisle_protocol.datatypes import datatype_of
from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_protocol.raw_contents import from_raw, to_raw


def infer_message(model: str = "identity", /, **inputs: Any) -> pb.ModelInferRequest:
    """A request with raw contents for each array."""
    message = pb.ModelInferRequest(model_name=model)
    for name, values in inputs.items():
        array = np.asarray(values)
        datatype = datatype_of(array.dtype)
        message.inputs.add(name=name, datatype=datatype, shape=array.shape)
        message.raw_input_contents.append(to_raw(array.astype(object) if datatype == "BYTES" else array, datatype))
    return message


def output_array(response: pb.ModelInferResponse, index: int = 0) -> Any:
    """An output of a response as an array."""
    output = response.outputs[index]
    return from_raw(response.raw_output_contents[index], output.datatype, output.shape)
