"""BERT by preset: KerasHub's own loading code, on a preset that these tests make."""

from pathlib import Path

import numpy as np
import pytest

from aisle_training.models.bert_preset import load_bert_backbone, load_bert_tokenizer
from aisle_training.models.title_classifier import TitleClassifier
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.runs import RunFolder
from tests.support.bert_preset import write_preset

LENGTH = 10
TITLES = ["Red T-Shirts", "Blue Shoes 漢", "کفش‌ها red", "Crimson shoe", "red " * 50, "x" * 101]


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny preset in a folder."""
    return write_preset(tmp_path_factory.mktemp("preset"), "[PAD]", "[UNK]", "[CLS]", "[SEP]")


def test_titles_have_the_ids_that_the_preset_knows(preset: str, tmp_path: Path) -> None:
    """The tokenizer that is served gives a title the ids of KerasHub's own tokenizer, framed, also after saving."""
    from keras_hub.models import BertTokenizer

    reference = BertTokenizer.from_preset(preset)
    load_bert_tokenizer(preset, LENGTH).save(tmp_path / "tokenizer.json")
    tokenizer = TitleTokenizer.load(tmp_path / "tokenizer.json", LENGTH)
    for title in TITLES:
        pieces = np.asarray(reference(title.lower().replace("\u200c", ""))).tolist()[: LENGTH - 2]
        framed = [reference.cls_token_id, *pieces, reference.sep_token_id]
        assert tokenizer.encode([title])[0].tolist() == framed + [0] * (LENGTH - len(framed))
    assert tokenizer.vocabulary_size == reference.vocabulary_size()
    assert not tokenizer.encode([" "]).any()


def test_network_answers_as_the_preset_does(preset: str, tmp_path: Path) -> None:
    """A title classifier that starts from a preset has its features, and is loaded again without the preset."""
    import keras

    backbone = load_bert_backbone(preset, LENGTH)
    tokenizer = load_bert_tokenizer(preset, LENGTH)
    model = TitleClassifier(
        3, tokenizer.vocabulary_size, LENGTH, network="bert", embedding_size=4, backbone=backbone.get_config()
    )
    model.start_from(backbone)
    token_ids = tokenizer.encode(TITLES)
    features = keras.ops.convert_to_numpy(model.get_layer("bert")(token_ids))
    expected = backbone.predict(
        {
            "token_ids": token_ids,
            "segment_ids": np.zeros_like(token_ids),
            "padding_mask": (token_ids != 0).astype(np.int32),
        },
        verbose=0,
    )["pooled_output"]
    np.testing.assert_allclose(features, expected, atol=1e-6)

    probabilities = model.predict(token_ids, verbose=0)["PROBABILITIES"]
    run = RunFolder(tmp_path)
    run.save_classifier("title_classifier", model)
    again = run.load_classifier("title_classifier").predict(token_ids, verbose=0)["PROBABILITIES"]
    np.testing.assert_allclose(again, probabilities, rtol=1e-5)


def test_titles_longer_than_the_preset_reads(preset: str) -> None:
    """A recipe whose titles are too long for the preset is told how long they may be."""
    with pytest.raises(ValueError, match=r"reads 12 tokens, expected the recipe's 32 or more"):
        load_bert_backbone(preset, 32)


def test_padding_elsewhere(tmp_path: Path) -> None:
    """A preset whose padding is not token 0, which every network here takes for padding, is refused."""
    other = write_preset(tmp_path / "preset", "[UNK]", "[PAD]", "[CLS]", "[SEP]")
    with pytest.raises(ValueError, match=r"\[PAD\] is token 1 of the preset .*, expected 0"):
        load_bert_tokenizer(other, LENGTH)


def test_no_preset() -> None:
    """A recipe that asks for BERT must say which."""
    with pytest.raises(ValueError, match="'bert' has no backbone, expected that of a preset"):
        TitleClassifier(3, 50, LENGTH, network="bert")
