"""Model versions as callers write them.

Source: Triton inference protocol, "model version"; `std::stol` reads it there, so blanks in front and letters behind are passed over.
"""

from __future__ import annotations

import re

from aisle_server import messages
from aisle_server.errors import InvalidArgumentError
from aisle_server.inference import LATEST_VERSION

_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]{1,19})(?![0-9])")
_LONGEST = 2**63 - 1


def parse_model_version(text: str) -> int:
    """Return the version that a caller asks for: LATEST_VERSION for an empty text.

    Raises:
        InvalidArgumentError: No number, too large a one, or a negative one.
    """
    if not text:
        return LATEST_VERSION
    match = _INTEGER.match(text)
    version = int(match[1]) if match else None
    if version is None or abs(version) > _LONGEST:
        raise InvalidArgumentError(messages.version_not_integral(text))
    if version < 0:
        raise InvalidArgumentError(messages.version_negative(text))
    return version
