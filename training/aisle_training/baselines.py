"""Linear models that know nothing but the catalogue: on the words and characters of texts, and on small pictures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aisle_training.datasets import Labels, Pixels

Scores = npt.NDArray[np.float64]

# Steps of the optimiser; it has not converged by then, nor need it.
LOGISTIC_STEPS: Final = 100
# Neighbouring pixels say nearly the same, which asks for little trust in each.
INVERSE_PENALTY: Final = 0.01
# Of a class that no training row has: lower than any score that is reached.
_NEVER: Final = -50.0


def score_texts(train_texts: Sequence[str], train_labels: Labels, texts: Sequence[str], classes: int) -> Scores:
    """Fit TF-IDF features and a linear support vector machine, and score other texts.

    Features are words and pairs of words, and two to five characters within a word; each with sublinear term
    frequency. The text is lower-cased and otherwise taken as it came.

    Args:
        train_texts: Of the training split.
        train_labels: Their classes, int32 [rows].
        texts: The texts to score.
        classes: Number of classes.

    Returns:
        Signed distances from the hyperplane of each class, [len(texts), classes]; the highest is the answer.
    """
    # Only an evaluation needs scikit-learn, and it takes a second to import.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True)
    # The seed fixes the order in which the solver visits the rows.
    model = make_pipeline(make_union(words, characters), LinearSVC(C=1.0, random_state=0))
    model.fit(list(train_texts), train_labels)
    return _by_class(model.decision_function(list(texts)), model.classes_, classes)


def score_pictures(train_pixels: Pixels, train_labels: Labels, pixels: Pixels, classes: int) -> Scores:
    """Fit a multinomial logistic regression on standardised pixels, and score other pictures.

    Args:
        train_pixels: Of the training split, uint8 [rows, size, size, 3].
        train_labels: Their classes, int32 [rows].
        pixels: The pictures to score, of the same size.
        classes: Number of classes.

    Returns:
        Logits, [len(pixels), classes].
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=LOGISTIC_STEPS))
    with warnings.catch_warnings():
        # It is meant to be stopped early.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(_flat(train_pixels), train_labels)
    return _by_class(model.decision_function(_flat(pixels)), model.classes_, classes)


def _flat(pixels: Pixels) -> npt.NDArray[np.float32]:
    return pixels.reshape(len(pixels), -1).astype(np.float32) / 255.0


def _by_class(decisions: npt.NDArray[np.floating[Any]], known: Labels, classes: int) -> Scores:
    """Give each class its column: scikit-learn leaves out classes without rows, and of two it gives the second one's alone."""
    scores = np.full((len(decisions), classes), _NEVER)
    scores[:, known] = np.stack([-decisions, decisions], axis=1) if decisions.ndim == 1 else decisions
    return scores
