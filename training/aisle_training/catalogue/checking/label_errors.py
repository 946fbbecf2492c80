"""Products whose title speaks for another category than the one they stand in.

A linear model on TF-IDF of the titles, trained on all other folds, says which category it would choose. Where that is
another one, either the model or the label is wrong; the larger the margin, the likelier it is the label.
Out-of-fold, and by groups: products of one title or one picture are in one fold, so that no label vouches for itself.

Source: C. Northcutt et al., "Confident Learning", JAIR 2021, of which this is the ranking by margin.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.duplicates import group_products, title_key

FOLDS: Final = 5
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class LabelDoubt:
    """A product whose title speaks for another category.

    Attributes:
        product: The product.
        suggested: The category that the model chooses.
        margin: By how much, in the units of the model's decision function; above 0.
    """

    product: Product
    suggested: tuple[str, ...]
    margin: float


@dataclass(frozen=True, slots=True)
class LabelDoubts:
    """All doubts about a catalogue's labels.

    Attributes:
        doubts: The largest margin first.
        judged: Products that the model was asked about.
        not_judged: Products with a blank title, or of a category with fewer than two groups a fold.
    """

    doubts: list[LabelDoubt]
    judged: int
    not_judged: int


def doubt_labels(products: Sequence[Product], pixel_hashes: Mapping[str, str]) -> LabelDoubts:
    """Find products whose category is likely wrong.

    Args:
        products: A catalogue's products.
        pixel_hashes: Product id -> hash of its pixels, for those that have a picture.
    """
    groups = group_products([product for product in products if title_key(product.title)], pixel_hashes)
    group_counts = Counter(category for group in groups for category in {product.category for product in group})
    known = {category for category, count in group_counts.items() if count >= 2 * FOLDS}
    judged = [(product, n) for n, group in enumerate(groups) for product in group if product.category in known]
    if len({product.category for product, _ in judged}) < 2:
        return LabelDoubts([], 0, len(products))
    titles = np.array([title_key(product.title) for product, _ in judged], dtype=object)
    classes = sorted({product.category for product, _ in judged})
    index_by_class = {category: index for index, category in enumerate(classes)}
    labels = np.array([index_by_class[product.category] for product, _ in judged])
    doubts = []
    for train, held in _folds(labels, np.array([group for _, group in judged])):
        columns, decisions = _decide(titles[train], labels[train], titles[held])
        column_by_label = {label: column for column, label in enumerate(columns)}
        for row, index in zip(decisions, held, strict=True):
            given = column_by_label.get(labels[index])
            best = int(row.argmax())
            if given is not None and best != given:
                product = judged[index][0]
                doubts.append(LabelDoubt(product, classes[columns[best]], float(row[best] - row[given])))
    doubts.sort(key=lambda doubt: (-doubt.margin, doubt.product.id))
    return LabelDoubts(doubts, len(judged), len(products) - len(judged))


def _folds(labels: Any, groups: Any) -> list[tuple[Any, Any]]:
    """Part indices into `FOLDS` folds: each category's groups are dealt out in turn, in an order drawn once."""
    generator = np.random.default_rng(_SEED)
    first = np.unique(groups, return_index=True)[1]
    first = first[generator.permutation(len(first))]
    fold_by_group = {}
    dealt: Counter[int] = Counter()
    for index in first:
        fold_by_group[groups[index]] = dealt[labels[index]] % FOLDS
        dealt[labels[index]] += 1
    folds = np.array([fold_by_group[group] for group in groups])
    return [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(FOLDS)]


def _decide(titles: Any, labels: Any, asked: Any) -> tuple[list[int], Any]:
    """Train on titles, and give the labels and FLOAT[len(asked), labels] decisions on others."""
    # scikit-learn takes seconds to import.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    # A title is already normalised and in lower case; its words end at blanks, so that `t-shirt` is one.
    vectorizer = TfidfVectorizer(lowercase=False, token_pattern=r"\S+", ngram_range=(1, 2), sublinear_tf=True)
    model = LinearSVC(C=1.0, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a ranking does not need the last digit
        model.fit(vectorizer.fit_transform(titles), labels)
    decisions = model.decision_function(vectorizer.transform(asked))
    if decisions.ndim == 1:  # two classes have one decision
        decisions = np.stack([-decisions, decisions], axis=1)
    return [int(label) for label in model.classes_], decisions
