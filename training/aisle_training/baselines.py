"""What a network has to beat: a linear support vector machine on the words and characters of the titles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aisle_training.datasets import Labels


def predict_with_linear_svm(train_titles: Sequence[str], train_labels: Labels, titles: Sequence[str]) -> Labels:
    """Fit TF-IDF features and a linear SVM on titles, and predict others.

    Features are words and pairs of words, and two to five characters within a word; each with sublinear term
    frequency. The text is lower-cased and otherwise taken as it came.

    Args:
        train_titles: The titles of the training split.
        train_labels: Their classes, int32 [rows].
        titles: The titles to predict.

    Returns:
        Predicted classes, int32 [len(titles)].
    """
    # Only an evaluation needs scikit-learn, and it takes a second to import.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=2, sublinear_tf=True)
    # The seed fixes the order in which the solver visits the rows.
    model = make_pipeline(make_union(words, characters), LinearSVC(C=1.0, random_state=0))
    model.fit(list(train_titles), train_labels)
    return np.asarray(model.predict(list(titles)), dtype=np.int32)
