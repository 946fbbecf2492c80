"""What the recipe of a text says, made: the tokenizer, the classifier, and the batches that train it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from aisle_training.batches import TitleBatches, TitleVariant, TokenIds
from aisle_training.category_words import mask_category_words
from aisle_training.datasets import Labels
from aisle_training.preprocessing.titles import TitleTokenizer, feature_text
from aisle_training.recipes.recipe import TextRecipe

_TEXTS_READ_WHOLE: Final = 0.95
_TOKENS_OF_A_WORD: Final = 1.5
_LENGTH_STEP: Final = 16
# A letter that no tokenizer has seen in a shop's titles: a cuneiform sign.
_UNSEEN_LETTER: Final = "\U00012000"


def fit_to_texts(numbers: TextRecipe, texts: Sequence[str]) -> TextRecipe:
    """Fix what depends on the training texts: how many tokens of one are read, and whether n-grams are.

    As many tokens are read as 19 in 20 of the texts have, about. Words are counted, for the tokenizer is learnt later, and
    into a run folder that holds the recipe already.

    Args:
        numbers: The recipe.
        texts: The training texts, at least one.

    Returns:
        The recipe with a `length` of at least what it was and at most `longest`, and without `ngrams` where there are more
        texts than `few_texts`; both bounds are 0 from then on.
    """
    if numbers.few_texts:
        ngrams = numbers.ngrams if len(texts) <= numbers.few_texts else 0
        numbers = dataclasses.replace(numbers, ngrams=ngrams, few_texts=0)
    if numbers.longest:
        counts = [len(feature_text(text).split()) for text in texts]
        words = float(np.quantile(counts, _TEXTS_READ_WHOLE, method="lower"))
        needed = math.ceil(words * _TOKENS_OF_A_WORD / _LENGTH_STEP) * _LENGTH_STEP
        numbers = dataclasses.replace(numbers, length=max(numbers.length, min(needed, numbers.longest)), longest=0)
    return numbers


def learn_tokenizer(numbers: TextRecipe, titles: Sequence[str]) -> TitleTokenizer:
    """Learn the tokenizer of a recipe from the training titles; that of a preset is taken as it is.

    Args:
        numbers: The recipe.
        titles: Titles as typed; blank ones teach nothing.
    """
    texts = [title for title in titles if title.strip()]
    if numbers.preset:
        from aisle_training.models.bert_preset import load_bert_tokenizer

        tokenizer = load_bert_tokenizer(numbers.preset, numbers.length)
    else:
        tokenizer = TitleTokenizer.train(texts, numbers.vocabulary_size, numbers.length)
    if not numbers.ngrams:
        return tokenizer
    return tokenizer.with_ngrams(
        texts,
        numbers.ngrams,
        shortest=numbers.shortest_ngram,
        longest=numbers.longest_ngram,
        length=numbers.ngram_length,
    )


def build_title_classifier(numbers: TextRecipe, classes: int, vocabulary_size: int, name: str) -> Any:
    """Build the classifier of a recipe, untrained but for what a preset brings.

    Args:
        numbers: The recipe.
        classes: Number of categories.
        vocabulary_size: Of the tokenizer.
        name: Of the classifier.

    Returns:
        A `TitleClassifier`.
    """
    # Keras takes seconds to import.
    from aisle_training.models.title_classifier import TitleClassifier

    backbone = None
    if numbers.preset:
        from aisle_training.models.bert_preset import load_bert_backbone

        backbone = load_bert_backbone(numbers.preset, numbers.length)
    model = TitleClassifier(
        classes,
        vocabulary_size,
        numbers.token_ids,
        numbers.network,
        numbers.token_size,
        numbers.filters,
        numbers.embedding_size,
        numbers.dropout,
        numbers.token_ids - numbers.length,
        numbers.members,
        backbone.get_config() if backbone is not None else None,
        name=name,
    )
    if backbone is not None:
        model.start_from(backbone)
    return model


def make_title_batches(
    numbers: TextRecipe,
    tokenizer: TitleTokenizer,
    titles: Sequence[str],
    paths: Sequence[tuple[str, ...]],
    token_ids: TokenIds,
    labels: Labels,
    classes: int,
    seed: int,
) -> TitleBatches:
    """Make the training titles into batches, with the variants that the recipe asks for.

    Args:
        numbers: The recipe.
        tokenizer: That `learn_tokenizer` gave.
        titles: Titles as typed, none blank.
        paths: The category path of each.
        token_ids: Of each, int32 [rows, length].
        labels: The class of each, int32 [rows].
        classes: Number of categories.
        seed: Of all that is drawn.
    """
    variants = []
    if numbers.masked:
        masked = [mask_category_words(title, path) for title, path in zip(titles, paths, strict=True)]
        variants.append(TitleVariant(tokenizer.encode(masked), numbers.masked))
    if numbers.unreadable:
        unreadable = tokenizer.encode([unreadable_title(title) for title in titles])
        variants.append(TitleVariant(unreadable, numbers.unreadable, keeps_label=False))
    return TitleBatches(
        token_ids,
        labels,
        numbers.schedule.batch_size,
        seed,
        token_dropout=numbers.token_dropout,
        ngram_length=numbers.token_ids - numbers.length,
        variants=variants,
        classes=classes,
    )


def unreadable_title(title: str) -> str:
    """Give a title as it looks in a script that the tokenizer does not know: every letter the same unseen one.

    A network that has never read such a title answers it with whatever class its biases favour, and with confidence.
    """
    return "".join(_UNSEEN_LETTER if character.isalpha() else character for character in title)
