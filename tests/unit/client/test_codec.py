"""Calls as bytes: what goes out is Triton's, and what comes back is read or refused."""

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as theirs

from aisle_client import InvalidInputError, ProtocolError, RequestedOutput, codec
from aisle_protocol.generated import grpc_service_pb2 as pb


def test_a_request_is_read_by_nvidias_stubs():
    """Names, shapes, datatypes, parameters and raw contents stand where NVIDIA's own messages have them."""
    call = codec.model_infer(
        "m",
        {"A": np.array([[1.5, 2.5]], np.float32), "B": [["کفش", "x"]]},
        [RequestedOutput("C", classification=3), "D"],
        version="2",
        request_id="r1",
        parameters={"priority": 2, "on": True, "rate": 0.5, "who": "me", "big": 2**63},
    )
    request = theirs.ModelInferRequest.FromString(call.body)
    assert (request.model_name, request.model_version, request.id) == ("m", "2", "r1")
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in request.inputs] == [
        ("A", "FP32", [1, 2]),
        ("B", "BYTES", [1, 2]),
    ]
    assert request.raw_input_contents[0] == np.array([1.5, 2.5], "<f4").tobytes()
    assert request.raw_input_contents[1] == b"\x06\x00\x00\x00" + "کفش".encode() + b"\x01\x00\x00\x00x"
    assert [(output.name, output.parameters["classification"].int64_param) for output in request.outputs] == [
        ("C", 3),
        ("D", 0),
    ]
    parameters = {key: value.WhichOneof("parameter_choice") for key, value in request.parameters.items()}
    assert parameters == {
        "priority": "int64_param",
        "on": "bool_param",
        "rate": "double_param",
        "who": "string_param",
        "big": "uint64_param",
    }


def test_bytes_keep_their_zeros():
    """A picture that ends in zero bytes keeps them, though NumPy's own byte strings would not."""
    call = codec.model_infer("m", {"IMAGE": [b"ab\x00\x00"]})
    assert pb.ModelInferRequest.FromString(call.body).raw_input_contents[0] == b"\x04\x00\x00\x00ab\x00\x00"


@pytest.mark.parametrize("value", [np.array([1j]), np.array(["2020-01-01"], "datetime64[D]"), np.array([object()])])
def test_what_the_protocol_cannot_carry(value):
    """An input of complex numbers, dates or objects is refused by its name."""
    with pytest.raises(InvalidInputError, match="input 'X'"):
        codec.model_infer("m", {"X": value})


@pytest.mark.parametrize("value", [None, [1], 2**64])
def test_parameters_that_cannot_be(value):
    """A parameter is a bool, a 64-bit integer, a float or text."""
    with pytest.raises(InvalidInputError, match="parameter 'p'"):
        codec.model_infer("m", {}, parameters={"p": value})


def test_a_step_of_a_sequence_is_not_repeatable():
    """A sequence model keeps state, so a call that it may have seen is not made again."""
    assert codec.model_infer("m", {}).is_repeatable
    assert not codec.model_infer("m", {}, parameters={"sequence_id": 7}).is_repeatable


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-1, 2]),
        ("UINT16", "uint_contents", [1, 65535]),
        ("INT64", "int64_contents", [-(2**40), 1]),
        ("UINT64", "uint64_contents", [2**63, 1]),
        ("FP32", "fp32_contents", [0.5, 2.0]),
        ("FP64", "fp64_contents", [0.1, 2.0]),
        ("BYTES", "bytes_contents", [b"a\x00", b""]),
    ],
)
def test_typed_contents_are_read(datatype, field, values):
    """Servers that answer in typed fields instead of raw contents are understood."""
    response = pb.ModelInferResponse()
    output = response.outputs.add(name="Y", datatype=datatype, shape=[1, 2])
    getattr(output.contents, field).extend(values)
    result = codec.model_infer("m", {}).decode(response.SerializeToString())
    assert result.outputs["Y"].tolist() == [values]


def _response(**output):
    response = pb.ModelInferResponse()
    response.outputs.add(**output)
    return response


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xff\xff",
        pb.ModelInferResponse(raw_output_contents=[b"", b""], outputs=[{"name": "Y"}]).SerializeToString(),
        pb.ModelInferResponse(
            outputs=[{"name": "Y", "datatype": "FP32", "shape": [2]}], raw_output_contents=[b"1234"]
        ).SerializeToString(),
        _response(name="Y", datatype="FP16", shape=[1]).SerializeToString(),
        _response(name="Y", datatype="FP32", shape=[3]).SerializeToString(),
        _response(name="Y", datatype="WHAT", shape=[1]).SerializeToString(),
    ],
)
def test_broken_answers(body):
    """An answer that is no message, or whose contents do not fit its shapes, is a protocol error and no crash."""
    with pytest.raises(ProtocolError, match="the answer to ModelInfer cannot be read"):
        codec.model_infer("m", {}).decode(body)


def test_a_configuration_is_plain():
    """A configuration comes as nested dicts: numbers as numbers, enums by name, maps and lists as themselves."""
    response = pb.ModelConfigResponse()
    config = response.config
    config.name, config.max_batch_size = "m", 64
    config.input.add(name="X", data_type="TYPE_UINT8", dims=[96, 96, 3])
    config.instance_group.add(count=2, kind="KIND_CPU")
    config.dynamic_batching.preferred_batch_size.extend([8, 16])
    config.dynamic_batching.priority_queue_policy[1].max_queue_size = 5
    config.parameters["threshold"].string_value = "0.5"
    assert codec.model_config("m", "").decode(response.SerializeToString()) == {
        "name": "m",
        "max_batch_size": 64,
        "input": [{"name": "X", "data_type": "TYPE_UINT8", "dims": [96, 96, 3]}],
        "instance_group": [{"count": 2, "kind": "KIND_CPU"}],
        "dynamic_batching": {"preferred_batch_size": [8, 16], "priority_queue_policy": {1: {"max_queue_size": 5}}},
        "parameters": {"threshold": {"string_value": "0.5"}},
    }
