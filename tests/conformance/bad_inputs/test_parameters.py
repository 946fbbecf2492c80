"""Rows 43, 45 and 46 of the list of bad inputs: parameters of requests. Rows 44 and 47 are headers, in `test_security.py`."""

from __future__ import annotations

from typing import Any

import pytest
import tritonclient.grpc as triton
from grpc import StatusCode

from tests.support.triton_requests import raw_request, refused

INVALID = StatusCode.INVALID_ARGUMENT
RESERVED = (
    "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed:"
    " triton_enable_empty_final_response, got '{}'"
)
# Parameter -> kinds of values that it takes, as its refusal names them.
EXPECTED = {
    "sequence_id": "int64_param or string_param",
    "sequence_start": "bool_param",
    "sequence_end": "bool_param",
    "priority": "int64_param or uint64_param",
    "timeout": "int64_param",
    "triton_enable_empty_final_response": "bool_param",
}
VALUES: dict[str, Any] = {
    "bool_param": True,
    "int64_param": 1,
    "string_param": "1",
    "double_param": 1.0,
    "uint64_param": 1,
}


def asked(name: str, kind: str, value: Any, model: str = "identity") -> Any:
    """A request with one parameter."""
    request = raw_request(model)
    setattr(request.parameters[name], kind, value)
    return request


@pytest.mark.parametrize("name", ["triton_magic", "triton_", "triton_final_response"])
def test_d43_d44_reserved_names_are_refused(client: triton.InferenceServerClient, name: str) -> None:
    """Whatever their value; the text says which one is not."""
    for kind, value in VALUES.items():
        with refused(INVALID, RESERVED.format(name)):
            client._client_stub.ModelInfer(asked(name, kind, value), timeout=10)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name, expected in EXPECTED.items() for kind in VALUES if kind not in expected.split()],
)
def test_d45_a_value_of_the_wrong_type_is_refused(client: triton.InferenceServerClient, name: str, kind: str) -> None:
    """The text says which type would do."""
    text = f"invalid value type for '{name}' parameter, expected {EXPECTED[name]}."
    with refused(INVALID, text):
        client._client_stub.ModelInfer(asked(name, kind, VALUES[kind]), timeout=10)


@pytest.mark.parametrize(("name", "kinds"), EXPECTED.items())
def test_d45_a_value_of_the_right_type_is_taken(client: triton.InferenceServerClient, name: str, kinds: str) -> None:
    """Each of them, by a model that has no use for them too."""
    for kind in kinds.split(" or "):
        assert client._client_stub.ModelInfer(asked(name, kind, VALUES[kind]), timeout=10).model_name == "identity"


def test_d46_levels_that_are_none(client: triton.InferenceServerClient) -> None:
    """A negative level is refused; one beyond the last is the default."""
    stub = client._client_stub
    with refused(INVALID, "invalid value for 'priority', expected value >= 0."):
        stub.ModelInfer(asked("priority", "int64_param", -1), timeout=10)
    for model in ("identity", "two_levels"):
        assert stub.ModelInfer(asked("priority", "uint64_param", 2**64 - 1, model), timeout=10).model_name == model


def test_a_sequence_id_has_128_bytes_at_most(client: triton.InferenceServerClient) -> None:
    """What no control tensor holds is not supported."""
    text = "string correlation ID cannot be longer than 128 characters, got 129 bytes"
    with refused(StatusCode.UNIMPLEMENTED, text):
        client._client_stub.ModelInfer(asked("sequence_id", "string_param", "x" * 129), timeout=10)
