"""Titles as people and shops type them, Persian or English, to one spelling of each.

A Persian title reaches us with Arabic letters and digits, with or without diacritics, with invisible marks, and with
three ways to join a suffix. The rules below give all of these one form, and leave what is Latin (`T-Shirt`, `A52s`,
`128GB`) as it is. Letter case stays; folding it is the tokenizer's concern.

This file is copied beside the repository's `model.py`: it imports the standard library alone.
"""

import codecs
import re
import unicodedata
from typing import Final

# Longer than any real title (the longest of 49,000 catalogue titles has 393); what follows is not looked at.
MAXIMUM_CHARACTERS: Final = 1_000

_ZWNJ: Final = "\u200c"

# Letters of the Arabic script: what "a Persian letter" means below. Digits and marks of the script stand apart.
_LETTER: Final = "\u0620-\u063f\u0641-\u064a\u066e\u066f\u0671-\u06d3\u06d5\u06ee\u06ef\u06fa-\u06ff\u0750-\u077f"

# Unicode's format characters, the ZWNJ alone excepted (bidi marks, U+200B, U+200D, BOM, soft hyphen), the variation
# selectors of emoji, and lone surrogates, which no encoder accepts.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u0600-\u0605\u061c\u06dd\u070f\u180b-\u180e\u200b\u200d-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]+"
)
_TRADE_MARKS: Final = re.compile("[\u2122\u2120\u00ae\u00a9]")  # before NFKC, which would make `GalaxyTM` of `Galaxy™`
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_LETTERS_AND_DIGITS: Final = str.maketrans(
    {
        **dict.fromkeys("يىې", "ی"),
        **dict.fromkeys("كڪ", "ک"),
        **dict.fromkeys("ةۀ", "ه"),
        **dict.fromkeys("أإٱ", "ا"),
        "٫": ".",
        "٪": "%",
        **{chr(zero + digit): str(digit) for zero in (0x06F0, 0x0660) for digit in range(10)},
        "\u0640": None,  # tatweel, which only stretches a word; below, the diacritics
        **{
            chr(code): None for code in (*range(0x0610, 0x061B), *range(0x064B, 0x0660), 0x0670, *range(0x06D6, 0x06EE))
        },
    }
)

_THOUSANDS: Final = re.compile("(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_ARABIC_THOUSANDS: Final = re.compile("(?<=[0-9])٬(?=[0-9])")
_DIGIT_BESIDE_LETTER: Final = re.compile(f"(?<=[0-9]){_ZWNJ}*(?=[{_LETTER}])|(?<=[{_LETTER}]){_ZWNJ}*(?=[0-9])")
# A run of marks that touches a Persian letter, or that holds a Persian mark itself. `\w` has digits and letters.
_MARKS_IN_PERSIAN: Final = re.compile(
    rf"(?<=[{_LETTER}])[^\w\s{_ZWNJ}]+|[^\w\s{_ZWNJ}]+(?=[{_LETTER}])|[^\w\s{_ZWNJ}]*[،؛؟«»٬][^\w\s{_ZWNJ}]*"
)
_PREFIX: Final = re.compile(f"(?<![{_LETTER}{_ZWNJ}])(ن?می) (?=[{_LETTER}])")
_SUFFIX: Final = re.compile(f"(?<=[{_LETTER}]) (?=(?:های?|تر(?:ین)?|ای)(?![{_LETTER}{_ZWNJ}]))")
_SPACES: Final = re.compile(rf"[\s{_ZWNJ}]*\s[\s{_ZWNJ}]*")
_ZWNJ_RUN: Final = re.compile(f"{_ZWNJ}{{2,}}")


class TitleError(ValueError):
    """The bytes given are not a title; the text says why and may be shown to the sender."""


def decode_title(data: bytes) -> str:
    """Read a title from UTF-8.

    Args:
        data: The title's bytes. Those beyond what `MAXIMUM_CHARACTERS` can need are neither read nor checked.

    Returns:
        The title as it was typed, or the beginning of a very long one.

    Raises:
        TitleError: The bytes are not UTF-8.
    """
    longest = 4 * MAXIMUM_CHARACTERS
    try:
        # An incremental decoder forgives a character that the cut goes through.
        return codecs.getincrementaldecoder("utf-8")().decode(data[:longest], final=len(data) <= longest)
    except UnicodeDecodeError as error:
        raise TitleError(f"the title is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}") from None


def is_blank(title: str) -> bool:
    """Whether nothing legible is left of a title; such a title counts as missing."""
    return not normalize_title(title)


def normalize_title(text: str) -> str:
    """Give a title its one spelling.

    Only the first `MAXIMUM_CHARACTERS` are read, and no more are returned. Applying it twice changes nothing.

    Args:
        text: A title as it was typed; any string at all.

    Returns:
        The title: letters and digits folded, invisible marks gone, single spaces; empty when nothing legible is left.

    Source: rules of hazm 0.10 (letters, digits, affixes), with its and parsivar's defects left out.
    """
    text = _rewrite(text[:MAXIMUM_CHARACTERS])
    while len(text) > MAXIMUM_CHARACTERS:
        # One ligature may stand for eighteen letters. Cut before a word: half a word could look like a suffix.
        head = text[:MAXIMUM_CHARACTERS]
        text = _rewrite(head[: head.rfind(" ")] if " " in head else head)
    return text


def _rewrite(text: str) -> str:
    """All rules in order; each leaves what the earlier ones did alone, which makes the whole idempotent."""
    text = _CONTROL.sub(" ", text)
    if text.isascii():
        return _THOUSANDS.sub("", " ".join(text.split()))
    text = _TRADE_MARKS.sub(" ", _INVISIBLE.sub("", text))
    # Composed first, so that alef with a loose madda becomes آ before loose marks go; and again after they have gone.
    text = unicodedata.normalize("NFKC", text).translate(_LETTERS_AND_DIGITS)
    text = unicodedata.normalize("NFKC", text)
    text = _THOUSANDS.sub("", _ARABIC_THOUSANDS.sub("", text))
    text = _MARKS_IN_PERSIAN.sub(lambda marks: f" {marks[0]} ", text)
    text = _DIGIT_BESIDE_LETTER.sub(" ", text)
    text = _ZWNJ_RUN.sub(_ZWNJ, _SPACES.sub(" ", text).strip(f" {_ZWNJ}"))
    return _SUFFIX.sub(_ZWNJ, _PREFIX.sub(rf"\1{_ZWNJ}", text))
