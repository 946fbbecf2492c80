"""JSON that strangers send, parsed once its depth and its number of containers are known to be small.

The parser is Python's own: it reads and writes NaN and the infinities, which tensors hold and which faster ones refuse or turn into
null, and tensors that shall be fast come in binary.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import numpy as np

from aisle_server.errors import InvalidArgumentError

MAX_DEPTH: Final = 100
# An empty array is two bytes of text and 64 of memory; a million rows are more than any model here takes.
MAX_CONTAINERS: Final = 1_000_000

# Always matches from a quote on, to the end of an unfinished text if need be, and never looks twice at a byte: linear on any input.
_TEXT: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_OPENING, _CLOSING = b"[{", b"]}"
_STEPS: Final = bytes(1 if byte in _OPENING else 0xFF for byte in range(256))  # 0xFF is -1 as int8
_NEITHER: Final = bytes(byte for byte in range(256) if byte not in _OPENING + _CLOSING)


def parse_json(text: bytes, what: str = "request JSON") -> Any:
    """Return the values of a JSON text.

    Args:
        text: UTF-8, of a bounded size.
        what: For error texts.

    Raises:
        InvalidArgumentError: No JSON, or nested deeper than MAX_DEPTH, or more than MAX_CONTAINERS arrays and objects.
    """
    containers = sum(text.count(each) for each in (b"[", b"{"))
    if containers > MAX_DEPTH:
        steps = np.frombuffer(_TEXT.sub(b"", text).translate(_STEPS, _NEITHER), np.int8)
        if int((steps == 1).sum()) > MAX_CONTAINERS:
            raise InvalidArgumentError(f"the {what} has more than {MAX_CONTAINERS} arrays and objects")
        if steps.size and int(steps.cumsum(dtype=np.int64).max()) > MAX_DEPTH:
            raise InvalidArgumentError(f"the {what} is nested deeper than {MAX_DEPTH} levels")
    try:
        return json.loads(text.decode())
    except ValueError as error:
        # JSONDecodeError and UnicodeDecodeError, or a number of thousands of digits.
        raise InvalidArgumentError(f"failed to parse the {what} buffer: {error}") from None


def parse_json_object(text: bytes, what: str = "request JSON") -> dict[str, Any]:
    """Return the fields of a JSON object; none for an empty text.

    Raises:
        InvalidArgumentError: As `parse_json` says, or another value than an object.
    """
    if not text.strip():
        return {}
    value = parse_json(text, what)
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"the {what} is {kind_of(value)}; expected an object")
    return value


def write_json(value: Any) -> bytes:
    """Return JSON text, without blanks; NaN and the infinities as JavaScript writes them."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def kind_of(value: Any) -> str:
    """Return what JSON calls a value, for error texts."""
    names = {
        type(None): "null",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
    }
    return names.get(type(value), "an object")
