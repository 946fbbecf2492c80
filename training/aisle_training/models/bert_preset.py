"""BERT from a KerasHub preset: its weights as a network of titles, its WordPiece vocabulary as a title tokenizer.

A preset is a name that KerasHub downloads ("bert_tiny_en_uncased"), or a local folder that `save_to_preset` wrote.
Titles are tokenised by the tokenizers library from the preset's vocabulary, in training as when they are served: the
server needs neither Keras nor TensorFlow for it.
"""

from __future__ import annotations

from typing import Any, Final

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from aisle_training.preprocessing.titles import PADDING, PADDING_ID, TitleTokenizer

_MAXIMUM_WORD: Final = 100  # longer words are unknown, in KerasHub as in the original BERT


def load_bert_backbone(preset: str, length: int) -> Any:
    """Load a preset's network with its weights.

    Args:
        preset: A name or a folder.
        length: Tokens of the titles that it will read.

    Returns:
        A `keras_hub.models.BertBackbone`.

    Raises:
        ValueError: It reads no titles of this length, or the preset is of another architecture.
    """
    # KerasHub takes half a minute to import on a small machine.
    from keras_hub.models import BertBackbone

    backbone = BertBackbone.from_preset(preset)
    if length > backbone.max_sequence_length:
        raise ValueError(
            f"the preset {preset!r} reads {backbone.max_sequence_length} tokens, expected the recipe's {length} or more"
        )
    return backbone


def load_bert_tokenizer(preset: str, length: int) -> TitleTokenizer:
    """Make a title tokenizer of a preset's, which gives the ids that its network was trained on.

    Titles are normalised and lower-cased first, as all titles are; so an uncased preset is the one to choose.

    Args:
        preset: A name or a folder.
        length: Tokens of a title, the two that frame it included.

    Raises:
        ValueError: The preset's padding is not token 0.
    """
    from keras_hub.models import BertTokenizer

    wordpiece = BertTokenizer.from_preset(preset)
    vocabulary = {token: number for number, token in enumerate(wordpiece.get_vocabulary())}
    if vocabulary.get(PADDING) != PADDING_ID:
        raise ValueError(
            f"{PADDING} is token {vocabulary.get(PADDING)} of the preset {preset!r}, expected {PADDING_ID}"
        )
    tokenizer = Tokenizer(
        models.WordPiece(
            vocabulary,
            unk_token=wordpiece.oov_token,
            continuing_subword_prefix=wordpiece.suffix_indicator,
            max_input_chars_per_word=_MAXIMUM_WORD,
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=False,
        handle_chinese_chars=wordpiece.split_on_cjk,
        strip_accents=wordpiece.strip_accents,
        lowercase=wordpiece.lowercase,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in (wordpiece.cls_token, wordpiece.sep_token)],
    )
    return TitleTokenizer(tokenizer, length)
