"""The protocol is Triton's, byte for byte, and lives beside NVIDIA's client in one process."""

from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2 as their_model_config
from tritonclient.grpc import service_pb2 as their_service

from aisle_protocol.generated import grpc_service_pb2, model_config_pb2


def _definition(module):
    definition = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(definition)
    # Where the file lies is ours; everything a byte on the wire depends on must be equal.
    for field in ("name", "dependency", "source_code_info"):
        definition.ClearField(field)
    for method in (method for service in definition.service for method in service.method):
        method.ClearField("options")
    for message in definition.message_type:
        _forget_options(message)
    return definition


def _forget_options(message):
    for field in message.field:
        field.ClearField("json_name")
    message.field.sort(key=lambda field: field.number)
    for nested in message.nested_type:
        _forget_options(nested)
    message.nested_type.sort(key=lambda nested: nested.name)


def test_the_service_is_tritons():
    """Every message, field number, type and method equals those of NVIDIA's client."""
    assert _definition(grpc_service_pb2) == _definition(their_service)


def test_the_model_configuration_is_tritons():
    """Every field of config.pbtxt equals Triton's."""
    assert _definition(model_config_pb2) == _definition(their_model_config)


def test_both_live_in_one_process():
    """Bytes written by NVIDIA's client are read by our stubs."""
    theirs = their_service.ModelInferRequest(model_name="identity", raw_input_contents=[b"\x00"])
    ours = grpc_service_pb2.ModelInferRequest.FromString(theirs.SerializeToString())
    assert ours.model_name == "identity"
    assert ours.raw_input_contents == [b"\x00"]
