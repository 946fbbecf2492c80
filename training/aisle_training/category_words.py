"""Titles without the words of their category: what a network makes of a product that does not say what it is.

"Puma Men Blue T-shirt" all but names its type, and a network that has only ever read such titles knows no more than the
names of the types. Its accuracy on masked titles tells how much it has learnt of the rest: brands, models, materials.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from aisle_training.preprocessing.title_normalization import normalize_title

# `Men's` and what a ZWNJ joins is one word; `T-Shirt` is two, which together can be a name.
_WORD: Final = re.compile("[^\\W_]+(?:['’\u200c][^\\W_]+)*")
# Words that join the names of a category and say nothing of the product.
_JOINING: Final = frozenset({"and", "for", "of", "the", "with", "other", "برای"})
_LONGEST_RUN: Final = 4


def mask_category_words(title: str, path: Sequence[str]) -> str:
    """Take the words of a category's names out of a title.

    Case makes no difference, nor do hyphens and spaces within a name, nor singular or plural, English or Persian (ها,
    های): `Tshirts` takes out "T-Shirt" and "t shirts", and leaves "tee". Each word of a name of several goes by itself
    too: `Casual Shoes` takes "casual" out.

    Args:
        title: As it was typed.
        path: Names of the category, root first.

    Returns:
        The rest of the normalised title; empty when no letter or digit is left.
    """
    names = _name_words(path)
    text = normalize_title(title)
    words = list(_WORD.finditer(text))
    stems = [_stem(word[0]) for word in words]
    rest, begin, number = [], 0, 0
    while number < len(words):
        runs = range(min(_LONGEST_RUN, len(words) - number), 0, -1)
        taken = next((run for run in runs if "".join(stems[number : number + run]) in names), 0)
        if taken:
            rest.append(text[begin : words[number].start()])
            begin = words[number + taken - 1].end()
        number += max(taken, 1)
    masked = " ".join(f"{''.join(rest)}{text[begin:]}".split())
    return masked if _WORD.search(masked) else ""


def _name_words(path: Sequence[str]) -> frozenset[str]:
    """The stems of the words of a path's names; of names of several words, also all of them as one."""
    names: set[str] = set()
    for name in path:
        stems = [_stem(word) for word in _WORD.findall(normalize_title(name))]
        names.update(stem for stem in stems if len(stem) > 1 and stem not in _JOINING)
        names.add("".join(stems))
    return frozenset(names - {""})


def _stem(word: str) -> str:
    """A word in small letters, without possessive and plural."""
    word = word.lower().replace("’", "'").removesuffix("'s").replace("\u200c", "")
    for plural in ("های", "ها"):
        if word.endswith(plural) and len(word) > len(plural) + 1:
            return word.removesuffix(plural)
    if len(word) < 4 or not word.endswith("s") or word.endswith("ss"):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1]
