"""Reading a shop's products from JSON Lines."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import Columns
from aisle_training.catalogue.tables.json_lines_records import MAX_LINE_BYTES, read_json_lines

COLUMNS = Columns(id="id", title=("name",), category=("category",), image="image.url")
GOOD = {"id": 7, "name": " Mug ", "category": ["Home", "Mugs"], "image": {"url": "7.jpg", "width": 8}}


def read(path: Path, *lines: bytes, columns: Columns = COLUMNS) -> list[Record | SkippedRow]:
    """Write a file and read it."""
    path = path / "shop.jsonl"
    path.write_bytes(b"\n".join(lines))
    return list(read_json_lines(path, columns))


def test_line_becomes_a_record(tmp_path: Path) -> None:
    """Numbers become text, a list is a path, a dot leads into an object, and blank lines are no rows."""
    rows = read(tmp_path, b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), b"", b'{"id": "8", "category": "Mugs"}', b"")
    assert rows == [
        Record("line 1", "7", "Mug", ("Home", "Mugs"), "7.jpg"),
        Record("line 3", "8", "", ("Mugs",), None),
    ]


def test_a_number_leads_into_a_list(tmp_path: Path) -> None:
    """A number in a column's name is a place in a list; a list that is too short leaves the cell empty."""
    columns = Columns(id="id", title=("name",), category=("categories.0",), image="images.1.url")
    line = {"id": 7, "name": "Mug", "categories": [["Home", "Mugs"], ["Gifts"]], "images": [{}, {"url": "7.jpg"}]}
    rows = read(tmp_path, json.dumps(line).encode(), json.dumps(line | {"images": [{}]}).encode(), columns=columns)
    assert rows == [
        Record("line 1", "7", "Mug", ("Home", "Mugs"), "7.jpg"),
        Record("line 2", "7", "Mug", ("Home", "Mugs"), None),
    ]


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (b"{", "it is no JSON: "),
        (b"[" * 100_000, "it is no JSON: "),
        (b'["id"]', "it is a JSON list, expected an object"),
        (b'{"id": "caf\xe9"}', "it is not UTF-8"),
        (b'{"id": 8, "name": {"en": "Mug"}, "category": "Mugs"}', "a field holds dict"),
        (b'{"id": "8\\ud800", "name": "Mug", "category": "Mugs"}', "it is not UTF-8"),
        (b'{"name": "Mug", "category": "Mugs"}', "its id is empty"),
        (b'{"id": 8, "name": "' + b"M" * MAX_LINE_BYTES + b'"}', f"it has more than {MAX_LINE_BYTES} bytes"),
        (b'{"id": ' + b"8" * 5000 + b"}", "it is no JSON: "),
    ],
    ids=lambda value: value[:16].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_broken_line(tmp_path: Path, line: bytes, detail: str) -> None:
    """A broken line is reported with its number and its fault, and the lines around it are read."""
    good = json.dumps(GOOD).encode()
    first, broken, last = read(tmp_path, good, line, good)
    assert isinstance(broken, SkippedRow)
    assert (broken.where, broken.reason) == ("line 2", SkipReason.MALFORMED)
    assert broken.detail.startswith(detail)
    assert [row.where for row in (first, last)] == ["line 1", "line 3"]


def test_key_that_no_line_has(tmp_path: Path) -> None:
    """A column that is a key of no line at all ends the import, and the text names the keys there are."""
    with pytest.raises(CatalogueError, match="has the key 'titel'; its keys are id, name, category, image"):
        read(tmp_path, json.dumps(GOOD).encode(), columns=Columns("id", ("titel",), ("category",)))


def test_missing_file(tmp_path: Path) -> None:
    """A file that does not exist is an error of its own."""
    with pytest.raises(CatalogueError, match="No such file"):
        list(read_json_lines(tmp_path / "shop.jsonl", COLUMNS))


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_no_line_is_lost(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    """Whatever the bytes, each line that is not blank comes out once."""
    content = b"\n".join(lines)
    expected = sum(bool(line.strip(b"\xef\xbb\xbf \t\r")) for line in content.split(b"\n"))
    assert len(read(tmp_path_factory.mktemp("jsonl"), content)) == expected
