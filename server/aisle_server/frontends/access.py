"""Restricted protocols: kinds of requests that need a header with a secret.

Source: Triton, `--grpc-restricted-protocol` and `--http-restricted-api`; their texts.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aisle_server.errors import RestrictedError
from aisle_server.options import Restriction

# Category -> its RPCs; over HTTP the same RPCs are asked under paths of their own.
RPCS: Final[Mapping[str, frozenset[str]]] = {
    "health": frozenset({"ServerLive", "ServerReady", "ModelReady", "Check", "Watch"}),
    "metadata": frozenset({"ServerMetadata", "ModelMetadata"}),
    "inference": frozenset({"ModelInfer", "ModelStreamInfer"}),
    "shared-memory": frozenset(
        f"{kind}SharedMemory{verb}" for kind in ("System", "Cuda") for verb in ("Status", "Register", "Unregister")
    ),
    "model-config": frozenset({"ModelConfig"}),
    "model-repository": frozenset({"RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"}),
    "statistics": frozenset({"ModelStatistics"}),
    "trace": frozenset({"TraceSetting"}),
    "logging": frozenset({"LogSettings"}),
}

Guard = Callable[[Mapping[str, str]], None]


class Access:
    """Tells which RPCs of one door are guarded."""

    def __init__(self, restrictions: Sequence[Restriction] = (), *, header_prefix: str = "", noun: str = "API") -> None:
        """Read what the process was told.

        Args:
            restrictions: Categories, header and secret of each.
            header_prefix: What this door puts before a restriction's key to name its header.
            noun: What this door calls a category.
        """
        self._guards = {
            rpc: _guard(header_prefix + restriction.key, restriction.value, noun)
            for restriction in restrictions
            for category in restriction.categories
            for rpc in RPCS[category]
        }

    def guard(self, rpc: str) -> Guard | None:
        """Return what takes a caller's headers, by names in lower case, and refuses those who lack the secret; None for an open RPC."""
        return self._guards.get(rpc)


def grpc_access(restrictions: Sequence[Restriction]) -> Access:
    """Return the access over gRPC; its headers are `triton-grpc-protocol-<key>`."""
    return Access(restrictions, header_prefix="triton-grpc-protocol-", noun="protocol")


def _guard(header: str, secret: str, noun: str) -> Guard:
    name = header.lower()
    expected = secret.encode()

    def check(headers: Mapping[str, str]) -> None:
        # In constant time, so that nobody can learn the secret letter by letter.
        if not hmac.compare_digest(headers.get(name, "").encode(), expected):
            raise RestrictedError(f"This {noun} is restricted, expecting header '{header}'")

    return check
