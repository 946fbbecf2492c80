"""Tensors on the wire, in all three forms: what a caller sends is what a model gets, and what a model gives is what a caller reads."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from aisle_protocol.datatypes import DATATYPES, dtype_of
from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_protocol.raw_contents import to_raw
from aisle_server.errors import InferenceServerError
from aisle_server.frontends.grpc.convert import decode_request, encode_response
from aisle_server.frontends.http.convert import decode_infer, encode_infer
from aisle_server.frontends.http.json_text import parse_json_object, write_json
from aisle_server.frontends.shared_memory import SharedMemoryRegions
from aisle_server.inference import InferenceResponse, Tensor
from aisle_server.model_config.schema import ModelConfig
from tests.fuzz.grpc_calls import infer_requests
from tests.support.infer_messages import output_array

_CONTENTS: Final = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_CONFIG: Final = ModelConfig(name="m", platform="", backend="identity", max_batch_size=0)


@st.composite
def _tensors(draw: st.DrawFn, datatypes: Collection[str] = DATATYPES) -> Tensor:
    datatype = draw(st.sampled_from(sorted(datatypes)))
    shape = draw(stn.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
    if datatype == "BYTES":
        array = np.empty(shape, dtype=object)
        array.reshape(-1)[:] = draw(st.lists(st.binary(max_size=8), min_size=array.size, max_size=array.size))
    else:
        array = draw(stn.arrays(dtype_of(datatype), shape))
    return Tensor("X", datatype, array)


def _decoded(message: pb.ModelInferRequest) -> Tensor:
    return decode_request(message, _CONFIG, -1, None, SharedMemoryRegions()).inputs["X"]


def _is_same(one: Any, other: Any) -> bool:
    if one.dtype == object:
        return one.shape == other.shape and one.tolist() == other.tolist()
    return one.shape == other.shape and one.tobytes() == other.tobytes()


def _message(tensor: Tensor) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="m")
    message.inputs.add(name="X", datatype=tensor.datatype, shape=tensor.shape)
    return message


@settings(deadline=None)
@given(_tensors())
def test_raw_contents_survive_there_and_back(tensor: Tensor) -> None:
    """Of every datatype and shape, bit for bit, not-a-numbers included."""
    message = _message(tensor)
    message.raw_input_contents.append(to_raw(tensor.data, tensor.datatype))
    decoded = _decoded(pb.ModelInferRequest.FromString(message.SerializeToString()))
    assert _is_same(decoded.data, tensor.data)
    response = encode_response(InferenceResponse("m", 1, outputs=(decoded,)), (decoded,))
    assert _is_same(output_array(pb.ModelInferResponse.FromString(response.SerializeToString())), tensor.data)


@settings(deadline=None)
@given(_tensors(_CONTENTS))
def test_typed_contents_are_what_raw_contents_are(tensor: Tensor) -> None:
    """Every datatype that has typed contents: the model gets the same array."""
    if tensor.data.size == 0:
        return  # typed contents without elements are none at all
    message = _message(tensor)
    getattr(message.inputs[0].contents, _CONTENTS[tensor.datatype]).extend(tensor.data.reshape(-1).tolist())
    decoded = _decoded(pb.ModelInferRequest.FromString(message.SerializeToString()))
    np.testing.assert_array_equal(decoded.data, tensor.data)
    assert decoded.data.dtype == tensor.data.dtype


@settings(deadline=None)
@given(_tensors())
def test_binary_tensors_over_http_survive_there_and_back(tensor: Tensor) -> None:
    """JSON in front, bytes behind: both ways, for every datatype."""
    raw = to_raw(tensor.data, tensor.datatype)
    described = {"name": "X", "datatype": tensor.datatype, "shape": list(tensor.shape)}
    header = write_json(
        {
            "inputs": [{**described, "parameters": {"binary_data_size": len(raw)}}],
            "parameters": {"binary_data_output": True},
        }
    )
    message, binary = decode_infer(header + raw, str(len(header)), _CONFIG, "")
    decoded = _decoded(message)
    assert _is_same(decoded.data, tensor.data)
    body, length = encode_infer(encode_response(InferenceResponse("m", 1, outputs=(decoded,)), (decoded,)), binary)
    fields = parse_json_object(body[:length])
    assert fields["outputs"] == [{**described, "parameters": {"binary_data_size": len(raw)}}]
    assert body[length:] == raw


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(infer_requests())
def test_any_message_is_decoded_or_refused(message: pb.ModelInferRequest) -> None:
    """Whatever its tensors say of themselves, nothing but an error of ours comes of it."""
    try:
        decode_request(message, _CONFIG, -1, None, SharedMemoryRegions())
    except InferenceServerError:
        return
