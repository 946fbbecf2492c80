"""That the books are whole: each bad input and each text has a test that bears its number."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.support.triton_books import BAD_INPUTS, TEXTS

TESTS = Path(__file__).parents[1]
NUMBER = re.compile(r"(?<![A-Za-z0-9])([dDbB])(\d\d)(?![0-9])")
# A scheduler that stops is out of a caller's reach: requests that a server has accepted are answered before it stops.
ELSEWHERE = TESTS / "unit/server/scheduling/test_dynamic_batcher.py"


def collected_numbers() -> dict[str, set[int]]:
    """Book -> numbers that stand in the names and ids of collected tests."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    listing = subprocess.run(
        [*command, str(TESTS / "conformance"), str(ELSEWHERE)], capture_output=True, text=True, timeout=280, check=True
    )
    numbers: dict[str, set[int]] = {"D": set(), "B": set()}
    for line in listing.stdout.splitlines():
        name = line.partition("::")[2].replace("_", " ").replace("test", " ")
        for book, number in NUMBER.findall(name):
            numbers[book.upper()].add(int(number))
    return numbers


def test_every_bad_input_and_every_text_has_a_test() -> None:
    """1 to 97 of the bad inputs and all of the texts, and no number that stands in neither book."""
    numbers = collected_numbers()
    assert numbers["D"] == set(range(1, len(BAD_INPUTS) + 1))
    assert numbers["B"] == set(range(1, len(TEXTS) + 1))
    assert len(BAD_INPUTS) == 97
