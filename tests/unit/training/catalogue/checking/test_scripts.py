"""Telling titles by script."""

import pytest

from aisle_training.catalogue.checking.scripts import count_scripts, title_script


@pytest.mark.parametrize(
    ("title", "script"),
    [
        ("Blue mug 330 ml", "Latin"),
        ("Ｂｌｕｅ 𝐦𝐮𝐠 ﬁne", "Latin"),
        ("کاپشن مردانه", "Arabic"),
        ("گوشی Galaxy A52s", "Arabic + Latin"),
        ("Синяя кружка", "Cyrillic"),
        ("青いマグ", "Cjk + Hiragana + Katakana"),
        ("330 😀 !", "no letters"),
        (" \n", "blank"),
        ("\ud800", "no letters"),
    ],
)
def test_scripts(title: str, script: str) -> None:
    """A title's script is that of its letters; digits, marks and emoji have none."""
    assert title_script(title) == script


def test_counts() -> None:
    """Scripts are counted, the most frequent first."""
    assert count_scripts(["mug", "", "cup", "لیوان"]) == [("Latin", 2), ("blank", 1), ("Arabic", 1)]
