"""Restricted protocols, the bound on requests under way, and headers that become parameters."""

from __future__ import annotations

import pytest

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.errors import InvalidArgumentError, RestrictedError, UnavailableError
from aisle_server.frontends.access import RPCS, Access, grpc_access
from aisle_server.frontends.admission import Admission
from aisle_server.frontends.forwarding import HeaderForwarding
from aisle_server.options import CATEGORIES, Restriction

INFERENCE = (Restriction(("inference", "statistics"), "Admin-Key", "s3cret"),)


def test_every_rpc_has_one_category() -> None:
    """What the flags may name covers the whole service, and the health service with it."""
    assert tuple(RPCS) == CATEGORIES
    service = {method.name for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods}
    named = [rpc for rpcs in RPCS.values() for rpc in rpcs]
    assert sorted(named) == sorted(service | {"Check", "Watch"})


@pytest.mark.parametrize("headers", [{}, {"admin-key": "s3cre"}, {"admin-key": "s3crets"}, {"admin-key": "ß"}])
def test_a_restricted_rpc_needs_its_secret(headers: dict[str, str]) -> None:
    """Without the header, or with another value, the text names the header; other RPCs are open."""
    access = Access(INFERENCE)
    assert access.guard("ServerLive") is None
    guard = access.guard("ModelInfer")
    assert guard is not None
    with pytest.raises(RestrictedError, match="^This API is restricted, expecting header 'Admin-Key'$"):
        guard(headers)
    guard({"admin-key": "s3cret"})


def test_over_grpc_the_header_has_a_prefix() -> None:
    """The name that Triton's clients send, and the text that they compare."""
    guard = grpc_access(INFERENCE).guard("ModelStatistics")
    assert guard is not None
    with pytest.raises(
        RestrictedError, match="^This protocol is restricted, expecting header 'triton-grpc-protocol-Admin-Key'$"
    ):
        guard({"admin-key": "s3cret"})
    guard({"triton-grpc-protocol-admin-key": "s3cret"})


def test_one_request_too_many_is_refused_at_once() -> None:
    """At the bound UNAVAILABLE is told; when a request is done, or has failed, there is room again."""
    admission = Admission(2)
    with admission:
        with pytest.raises(ZeroDivisionError), admission:
            raise ZeroDivisionError
        with admission, pytest.raises(UnavailableError, match="has 2 requests under way"), admission:
            pass
        with admission:
            pass


def test_zero_is_no_bound() -> None:
    """0 admits everybody."""
    admission = Admission(0)
    with admission, admission, admission:
        pass


def test_headers_are_found_by_pattern() -> None:
    """The pattern may match anywhere in the name, as Triton's does; no pattern forwards nothing."""
    headers = {"x-shop": 'a "b" \\c', "tenant": "7", "te": "trailers"}
    assert HeaderForwarding("^x-|nan").forwarded(headers) == {"x-shop": 'a "b" \\c', "tenant": "7"}
    assert HeaderForwarding("").forwarded(headers) == {}


@pytest.mark.parametrize(
    "name",
    [
        "sequence_id",
        "sequence_start",
        "sequence_end",
        "priority",
        "timeout",
        "headers",
        "binary_data_output",
        "triton_x",
    ],
)
def test_44_reserved_headers_are_not_forwarded(name: str) -> None:
    """A header that would pass for a parameter of the protocol is refused, unless it was not to be forwarded anyway."""
    with pytest.raises(
        InvalidArgumentError, match=f"^Header '{name}' is reserved for Triton usage and cannot be forwarded.$"
    ):
        HeaderForwarding(".*").forwarded({name: "1"})
    assert HeaderForwarding("^x-").forwarded({name: "1"}) == {}
