"""The gRPC endpoint: ports, limits, encryption, start and stop.

Source: gRPC core channel arguments; tritonserver's gRPC flags.
"""

from __future__ import annotations

import time
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.frontends.access import grpc_access
from aisle_server.frontends.address import address_text, listening_socket
from aisle_server.frontends.grpc.binding import bind
from aisle_server.frontends.grpc.health import HealthServicer
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.grpc.traffic import Traffic
from aisle_server.frontends.inflight_bytes import InflightBytes
from aisle_server.options import GrpcOptions, KeepaliveOptions, TlsOptions

# Calls that gRPC core holds until they are taken. By itself it drops some at random from 1,000 on and all from 3,000 on, and their
# callers read CANCELLED; what is too much is for the servicer to say.
MAX_PENDING_CALLS: Final = 16_384
_QUIET_S: Final = 0.1
_PATIENCE_S: Final = 1.0
# grpc_compression_level of gRPC core: which algorithm that means is agreed with each caller.
_COMPRESSION_LEVELS: Final = {"none": 0, "low": 1, "medium": 2, "high": 3}


class GrpcEndpoint:
    """The inference service and the health service on one port."""

    def __init__(
        self,
        inference: InferenceServicer,
        health: HealthServicer,
        options: GrpcOptions,
        inflight_bytes: InflightBytes | None = None,
    ) -> None:
        self._options = options
        self._inference = inference
        self._health = health
        self._traffic = Traffic()
        access = grpc_access(options.restrictions)
        self._server: Any = grpc.aio.server(
            handlers=[
                bind(
                    pb.DESCRIPTOR.services_by_name["GRPCInferenceService"],
                    self._inference,
                    {},
                    self._traffic,
                    access,
                    inflight_bytes,
                ),
                bind(health_pb2.DESCRIPTOR.services_by_name["Health"], self._health, {}, self._traffic, access),
            ],
            options=channel_arguments(options),
        )

    async def start(self) -> str:
        """Listen.

        Returns:
            The address with the port that was taken.

        Raises:
            OSError: The port cannot be had, or a certificate or key cannot be read or used.
        """
        address = address_text(self._options.address, self._options.port)
        tls = self._options.tls
        try:
            if tls.use_ssl:
                port = self._server.add_secure_port(address, server_credentials(tls))
            else:
                port = self._server.add_insecure_port(address)
        except RuntimeError:
            # gRPC core does not say why; the operating system does.
            listening_socket(self._options.address, self._options.port).close()
            what = "with this certificate and key" if tls.use_ssl else "over gRPC"
            raise OSError(f"cannot listen on {address} {what}") from None
        await self._server.start()
        return address_text(self._options.address, port)

    async def stop(self, grace_s: float) -> None:
        """Refuse what is new, and answer what was accepted.

        Args:
            grace_s: When this has passed, calls under way are cancelled.
        """
        self._inference.stop_accepting()
        self._health.stop_accepting()
        started_s = time.monotonic()
        await self._traffic.drained(grace_s, quiet_s=_QUIET_S, patience_s=_PATIENCE_S)
        await self._server.stop(max(0.0, grace_s - (time.monotonic() - started_s)))


def channel_arguments(options: GrpcOptions) -> list[tuple[str, int]]:
    """Return the limits of an endpoint as gRPC core names them."""
    keepalive: KeepaliveOptions = options.keepalive
    arguments = [
        # By default gRPC lets two servers share a port, and callers would meet one or the other by chance.
        ("grpc.so_reuseport", 0),
        ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),
        ("grpc.max_receive_message_length", options.max_message_bytes),
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.keepalive_time_ms", keepalive.time_ms),
        ("grpc.keepalive_timeout_ms", keepalive.timeout_ms),
        ("grpc.keepalive_permit_without_calls", int(keepalive.permit_without_calls)),
        ("grpc.http2.max_pings_without_data", keepalive.max_pings_without_data),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            keepalive.min_recv_ping_interval_without_data_ms,
        ),
        ("grpc.http2.max_ping_strikes", keepalive.max_ping_strikes),
    ]
    if options.infer_response_compression_level != "none":
        level = _COMPRESSION_LEVELS[options.infer_response_compression_level]
        arguments.append(("grpc.default_compression_level", level))
    if keepalive.max_connection_age_ms:
        arguments.append(("grpc.max_connection_age_ms", keepalive.max_connection_age_ms))
    if keepalive.max_connection_age_grace_ms:
        arguments.append(("grpc.max_connection_age_grace_ms", keepalive.max_connection_age_grace_ms))
    return arguments


def server_credentials(tls: TlsOptions) -> grpc.ServerCredentials:
    """Return the credentials of an encrypted endpoint.

    Raises:
        OSError: A file cannot be read.
    """
    assert tls.server_cert is not None
    assert tls.server_key is not None
    root = tls.root_cert.read_bytes() if tls.root_cert is not None else None
    return grpc.ssl_server_credentials(
        [(tls.server_key.read_bytes(), tls.server_cert.read_bytes())], root, tls.use_ssl_mutual
    )
