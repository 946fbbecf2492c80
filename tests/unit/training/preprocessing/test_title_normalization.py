"""The rules that give a title its one spelling."""

import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aisle_training.preprocessing.title_normalization import (
    MAXIMUM_CHARACTERS,
    TitleError,
    decode_title,
    is_blank,
    normalize_title,
)

ZWNJ = "\u200c"

# What the rules speak of, so that drawn titles meet them: letters and digits of both scripts, marks, invisible ones.
PERSIAN = "ابپتسشکگمنوهیآئؤيىېكڪةۀأإٱﻻﷺ﷼"
SIGNS = "۰۵۹٠٥٩059,٬٫.٪%-/()«»،؛؟!+&😀™"
INVISIBLE = " \u00a0\t\n\u200b\u200c\u200d\u200e\u200f\u202b\u2066\ufeff\u00ad\u0640\u064b\u0651\u0653\u0654\u0670\u0301\x00\ud800"
WORDS = ["می", "نمی", "ها", "های", "تر", "ترین", "ای", "T-Shirt", "A52s", "128GB", "کتاب", "1,200,500"]
titles = st.lists(
    st.one_of(st.text(PERSIAN + SIGNS + INVISIBLE + "aZé", max_size=6), st.sampled_from(WORDS), st.just(" "))
).map("".join)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ي ى ې", "ی ی ی"),
        ("ك ڪ", "ک ک"),
        ("ة ۀ", "ه ه"),
        ("أ إ ٱ", "ا ا ا"),
        ("آب", "آب"),
        ("ا\u0653ب", "آب"),
        ("ﻛﻔﺶ", "کفش"),
        ("ﻻ", "لا"),
        ("ﷺ", "صلی الله علیه وسلم"),
        ("﷼", "ریال"),
        ("۰۱۲۳۴۵۶۷۸۹", "0123456789"),
        ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
        ("۱٫۵", "1.5"),
        ("۵۰٪", "50%"),
        ("1,200,500", "1200500"),
        ("۱٬۲۰۰٬۵۰۰", "1200500"),
        ("6,7,8", "6,7,8"),
        ("مُحَمَّد", "محمد"),
        ("رحمٰن", "رحمن"),
        ("کتـــاب", "کتاب"),
        ("کفش\u00a0چرم", "کفش چرم"),
        ("\ufeff\u202bکفش\u200f\u202c \u200bچر\u200dم", "کفش چرم"),
        (f"کفش{ZWNJ}{ZWNJ}ها", f"کفش{ZWNJ}ها"),
        (f"{ZWNJ}کفش {ZWNJ}چرم{ZWNJ}", "کفش چرم"),
        ("  کفش \t\n چرم  ", "کفش چرم"),
        ("۹متر", "9 متر"),
        ("متر۹", "متر 9"),
        (f"9{ZWNJ}متر", "9 متر"),
        ("گوشی A52s ۱۲۸GB", "گوشی A52s 128GB"),
        ("می روم", f"می{ZWNJ}روم"),
        ("نمی شود", f"نمی{ZWNJ}شود"),
        ("قدیمی کتاب", "قدیمی کتاب"),
        ("کتاب ها", f"کتاب{ZWNJ}ها"),
        ("کتاب های خوب", f"کتاب{ZWNJ}های خوب"),
        ("بزرگ تر", f"بزرگ{ZWNJ}تر"),
        ("بزرگ ترین", f"بزرگ{ZWNJ}ترین"),
        ("خانه ای", f"خانه{ZWNJ}ای"),
        ("کتاب هایلایت", "کتاب هایلایت"),
        ("کفش،مردانه", "کفش ، مردانه"),
        ("کفش(مردانه)", "کفش ( مردانه )"),
        ("کفش/Nike", "کفش / Nike"),
        ("تی-شرت T-Shirt", "تی - شرت T-Shirt"),
        ("کفش😀ورزشی", "کفش 😀 ورزشی"),
        ("Galaxy™ گوشی", "Galaxy گوشی"),
    ],
)
def test_rules(typed: str, expected: str) -> None:
    """Each rule for Persian titles does what its line says."""
    assert normalize_title(typed) == expected


@pytest.mark.parametrize(
    "title",
    [
        "Nike Men's T-Shirt, Black & White (Pack of 2)",
        "Samsung Galaxy A52s 5G 128GB/6GB",
        "Levi's 511 Jeans",
        "U.S. Polo Assn. Women's Flip-Flops #1 50% off $9.99",
        "Crème brûlée torch",
    ],
)
def test_english_is_left_alone(title: str) -> None:
    """An English title comes out as it was typed."""
    assert normalize_title(title) == title


def test_english_spaces_are_tidied() -> None:
    """Runs of spaces become one, also in English."""
    assert normalize_title("  Quechua  Blue\tSipper ") == "Quechua Blue Sipper"


@settings(max_examples=500, deadline=None)
@given(titles)
@example("e\u0653\u0301")
@example("1,2٬00")
@example("آ" * 999 + " ها" + "ﷺ")
@example("ﷺ" * 60)
@example("ﻼ" * 1000 + "ها")
def test_twice_is_once(title: str) -> None:
    """Normalising what is normal changes nothing."""
    once = normalize_title(title)
    assert normalize_title(once) == once
    assert len(once) <= MAXIMUM_CHARACTERS
    once.encode("utf-8")  # no lone surrogate is left


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec=None), max_size=60))
def test_any_text_survives(title: str) -> None:
    """Any text at all, surrogates included, has a normal form of bounded length, and that form is stable."""
    once = normalize_title(title)
    assert normalize_title(once) == once
    assert len(once) <= MAXIMUM_CHARACTERS


def test_every_character_survives() -> None:
    """Each character of the basic plane has a stable normal form, alone, in a Persian word and in an English one."""
    for code in range(0x10000):
        once = normalize_title(f"{chr(code)} کت{chr(code)}اب Ab{chr(code)}9")
        assert normalize_title(once) == once, hex(code)


@pytest.mark.parametrize(("first", "last"), [(0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670), (0x06D6, 0x06ED)])
def test_every_diacritic_goes(first: int, last: int) -> None:
    """Whatever diacritic a letter carries, the word is the same; alef keeps its madda alone, which makes it another."""
    for code in range(first, last + 1):
        expected = "کاپ" if code != 0x0653 else "کآپ"
        assert normalize_title(f"کا{chr(code)}پ") == expected, hex(code)


def test_presentation_forms_are_folded() -> None:
    """No form that a letter takes within a word is left, of all that Unicode has, ligatures included."""
    for code in (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFF00)):
        folded = normalize_title(f"{chr(code)}ک")
        assert not any("\ufb50" <= letter <= "\ufdff" or "\ufe70" <= letter <= "\ufeff" for letter in folded) or (
            unicodedata.category(chr(code)) in ("Cn", "Ps", "Pe", "So", "Sk")
        ), hex(code)


@settings(deadline=None)
@given(st.text("ابتکهیگچ 0123456789", max_size=40))
def test_arabic_letters_and_digits_are_equal(title: str) -> None:
    """A title and its variant with Arabic letters and digits have one spelling."""
    arabic = str.maketrans("یکه0123456789", "يكة٠١٢٣٤٥٦٧٨٩")
    persian = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
    assert normalize_title(title.translate(arabic)) == normalize_title(title)
    assert normalize_title(title.translate(persian)) == normalize_title(title)


@pytest.mark.parametrize("title", ["", " ", "\u200f\u200e", ZWNJ, "\x00\n", "\ufeff \u00a0", "\ud800"])
def test_blank(title: str) -> None:
    """A title of nothing but spaces and invisible marks is blank."""
    assert is_blank(title)


@pytest.mark.parametrize("title", ["a", "😀", "۱", "-", "\u0301"])
def test_not_blank(title: str) -> None:
    """A title with anything to see is not blank."""
    assert not is_blank(title)


@pytest.mark.parametrize("title", ["کتاب ها " * 7000, "x" * 50_000, "1,234," * 9000, " \u200c" * 25_000, "ﷺ" * 50_000])
def test_long_titles_are_cut(title: str) -> None:
    """A title of 50,000 characters is cut, and costs what a short one costs."""
    started = time.perf_counter()
    assert len(normalize_title(title)) <= MAXIMUM_CHARACTERS
    assert time.perf_counter() - started < 0.5


def test_cut_before_a_word() -> None:
    """Where folding makes a title too long, it is cut between two words."""
    title = normalize_title("ﷺ " * 400)
    assert MAXIMUM_CHARACTERS - 10 < len(title) <= MAXIMUM_CHARACTERS
    assert set(title.split(" ")) == {"صلی", "الله", "علیه", "وسلم"}


def test_decode() -> None:
    """A title's bytes are read as UTF-8."""
    assert decode_title("لپ‌تاپ".encode()) == "لپ‌تاپ"
    assert decode_title(b"") == ""


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"caf\xe9", "byte 3 is 0xe9"),
        ("کفش".encode("cp1256"), "byte 0 is 0x98"),
        (b"\xed\xa0\x80", "byte 0 is 0xed"),
        ("کفش".encode()[:-1], "byte 4 is 0xd8"),
    ],
)
def test_bytes_that_are_not_utf8(data: bytes, problem: str) -> None:
    """Bytes of another encoding, of a surrogate, or cut through a character are refused, and the text says where."""
    with pytest.raises(TitleError, match=f"the title is not UTF-8: {problem}"):
        decode_title(data)


@pytest.mark.parametrize("shift", range(4))
def test_only_the_beginning_of_many_bytes_is_read(shift: int) -> None:
    """Of a very long title only the beginning is read, wherever the cut falls inside a character."""
    data = b"x" * shift + "😀".encode() * 20_000 + b"\xff"
    title = decode_title(data)
    assert title.startswith("x" * shift + "😀")
    assert MAXIMUM_CHARACTERS - 1 <= len(title) <= MAXIMUM_CHARACTERS + shift
