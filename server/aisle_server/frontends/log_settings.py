"""What the log tells, read and changed while the server runs.

Source: Triton inference protocol, logging extension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from aisle_server.errors import InvalidArgumentError, UnsupportedError

SettingValue = bool | int | str

FORMATS: Final = ("default", "ISO8601")
_LARGEST_LEVEL: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class LogValues:
    """All settings, by the names of the protocol.

    Attributes:
        log_file: Empty: the log goes to standard error.
        log_info: Tell what an operator wants to know.
        log_warning: Tell warnings.
        log_error: Tell errors.
        log_verbose_level: 0, or more for what a developer wants to know.
        log_format: Of FORMATS.
    """

    log_file: str = ""
    log_info: bool = True
    log_warning: bool = True
    log_error: bool = True
    log_verbose_level: int = 0
    log_format: str = "default"


class LogSettings:
    """Keeps the settings, and has them applied when they change."""

    def __init__(
        self, values: LogValues | None = None, apply: Callable[[LogValues], None] = lambda _values: None
    ) -> None:
        """Begin with values that are applied already."""
        self._values = values or LogValues()
        self._apply = apply

    def values(self) -> dict[str, SettingValue]:
        """Return all settings."""
        return asdict(self._values)

    def update(self, changes: Mapping[str, SettingValue | None]) -> None:
        """Change some settings, or none if one of them is wrong. Unknown names are passed over; None is no value of any.

        Raises:
            UnsupportedError: The log's place is not for callers to choose.
            InvalidArgumentError: A value of another kind, or out of range.
        """
        current = self.values()
        wanted: dict[str, Any] = {name: value for name, value in changes.items() if name in current}
        if "log_file" in wanted:
            raise UnsupportedError("log file location can not be updated through network protocol")
        for name, value in wanted.items():
            _check(name, value, current[name])
        if wanted:
            self._values = replace(self._values, **wanted)
            self._apply(self._values)


def _check(name: str, value: SettingValue | None, current: SettingValue) -> None:
    if type(value) is not type(current):
        expected = {bool: "boolean", int: "int32", str: "string"}[type(current)]
        raise InvalidArgumentError(f"expect {expected} for '{name}'")
    if name == "log_verbose_level" and not 0 <= int(value or 0) <= _LARGEST_LEVEL:
        raise InvalidArgumentError(f"log setting '{name}' is {value}; expected 0 to {_LARGEST_LEVEL}")
    if name == "log_format" and value not in FORMATS:
        raise InvalidArgumentError(f"invalid argument for log_format, got: {value}; expected {' or '.join(FORMATS)}")
