"""Lines of the log."""

from __future__ import annotations

import logging
import re

import pytest

from aisle_server.app import LineFormatter


def _line(text: str, *, is_iso8601: bool = False) -> str:
    record = logging.LogRecord("aisle_server.app", logging.WARNING, "/x/app.py", 91, text, None, None)
    return LineFormatter(is_iso8601=is_iso8601).format(record)


@pytest.mark.parametrize(
    ("is_iso8601", "pattern"),
    [
        (False, r"W\d{4} \d\d:\d\d:\d\d\.\d{6} \d+ app\.py:91\] loaded"),
        (True, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z W \d+ app\.py:91\] loaded"),
    ],
)
def test_a_line_tells_severity_time_and_place(is_iso8601: bool, pattern: str) -> None:
    """Both forms tell severity, time to the microsecond, process and place."""
    assert re.fullmatch(pattern, _line("loaded", is_iso8601=is_iso8601))


def test_a_line_cannot_be_forged() -> None:
    """Line breaks within a text, which callers may have chosen, do not begin a line that looks like one of ours."""
    lines = _line("model 'a\r\nE1121 all is lost' is not found").splitlines()
    assert lines[1:] == ["    E1121 all is lost' is not found"]
    assert lines[0].endswith("model 'a\\r")
