"""What becomes of each field of a configuration, as the protocol's page counts it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aisle_server.errors import InferenceServerError
from aisle_server.model_config.autocomplete import complete_from_files
from aisle_server.model_config.message import to_message
from aisle_server.model_config.pbtxt import from_message
from aisle_server.model_config.validation import validate_config
from tests.support.protocol_counts import REFUSED, counts, fields, setting, standing

PAGE = Path(__file__).parents[4] / "docs/protocol.md"
WAYS = dict(fields())


@pytest.mark.parametrize("path", WAYS)
def test_a_field_is_echoed_whatever_becomes_of_it(path: str) -> None:
    """A configuration that sets it alone says so when it is told again."""
    config = setting(WAYS[path])
    assert _set_fields(config) <= _set_fields(to_message(from_message(config)))


@pytest.mark.parametrize("path", REFUSED)
def test_a_refused_field_keeps_its_model_from_loading(path: str) -> None:
    """A model that sets it is not served as if it had not."""
    config = replace(from_message(setting(WAYS[path])), name="m", backend="identity")
    with pytest.raises(InferenceServerError):
        validate_config(complete_from_files(config, "m", {}))


def test_every_field_has_a_standing() -> None:
    """Those that are refused are fields, and no more than those that are counted so."""
    assert {path for path, way in WAYS.items() if standing(path, way) == "refused"} == set(REFUSED)


def test_the_page_has_the_counts() -> None:
    """As `python -m tests.support.protocol_counts` prints them."""
    page = re.sub(r"\s+", " ", PAGE.read_text())
    told = counts()
    honoured, accepted, refused = (told[f"configuration fields {each}"] for each in ("honoured", "accepted", "refused"))
    assert (
        f"Of {told['configuration fields']} fields {honoured} are honoured, {accepted} accepted and {refused} refused"
        in page
    )
    assert f"All {told['RPCs answered']} RPCs are answered" in page
    assert f"{told['bad inputs tested']} bad inputs and {told['texts tested']} texts" in page


def _set_fields(message: Any, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        found.add(path)
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                found |= _set_fields(each, f"{path}.")
    return found
