"""Headers that become request parameters, for python models to read.

Source: Triton, `--grpc-header-forward-pattern` and `--http-header-forward-pattern`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from aisle_server.errors import InvalidArgumentError

_RESERVED: Final = frozenset(
    {"sequence_id", "sequence_start", "sequence_end", "priority", "timeout", "headers", "binary_data_output"}
)
_RESERVED_PREFIX: Final = "triton_"


class HeaderForwarding:
    """Picks headers by their names."""

    def __init__(self, pattern: str = "") -> None:
        """Take a regular expression that finds something in the name of each header to forward; empty for none of them."""
        self._pattern = re.compile(pattern) if pattern else None

    def __bool__(self) -> bool:
        """Whether any header could be forwarded."""
        return self._pattern is not None

    def forwarded(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that become parameters.

        Args:
            headers: Names in lower case, as both doors give them.

        Raises:
            InvalidArgumentError: One has a name that the protocol keeps for parameters of its own.
        """
        if self._pattern is None:
            return {}
        found = {name: value for name, value in headers.items() if self._pattern.search(name)}
        for name in found:
            if name in _RESERVED or name.startswith(_RESERVED_PREFIX):
                raise InvalidArgumentError(f"Header '{name}' is reserved for Triton usage and cannot be forwarded.")
        return found
