"""Which scripts a catalogue's titles are written in: what tells whether one tokenizer, and one model, will do."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

NO_LETTERS = "no letters"
BLANK = "blank"


def title_script(title: str) -> str:
    """Name the script of a title.

    Returns:
        The one script of its letters ("Latin", "Arabic", "Cjk"), several joined by " + " in the order of their names,
        or `NO_LETTERS`, or `BLANK`.
    """
    if not title.strip():
        return BLANK
    scripts = {script for character in title if (script := _script(character))}
    return " + ".join(sorted(scripts)) or NO_LETTERS


def count_scripts(titles: Iterable[str]) -> list[tuple[str, int]]:
    """Count titles by script, the most frequent first."""
    return Counter(map(title_script, titles)).most_common()


@lru_cache(maxsize=4096)
def _script(character: str) -> str:
    """The script of a letter, which its Unicode name begins with; empty for what is no letter.

    The standard library knows no script property; the first word of a letter's name is it for all living scripts that
    shops write. Widths and styles (`FULLWIDTH LATIN`, `MATHEMATICAL BOLD`) are folded away first.
    """
    if not character.isalpha():
        return ""
    folded = unicodedata.normalize("NFKC", character)[0]
    return unicodedata.name(folded, "other").split()[0].capitalize()
