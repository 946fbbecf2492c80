"""Title networks side by side: the recipe `fashion` without its pictures, once for each network.

    aisle train titles_lstm --catalogue CATALOGUE --split CATALOGUE/splits.csv -o RUN
    aisle evaluate RUN

BERT starts from a preset of KerasHub, which is downloaded once, or from a folder (`--preset FOLDER`).
"""

import dataclasses

from aisle_training.recipes.fashion import RECIPE as FASHION
from aisle_training.recipes.recipe import Recipe, Schedule, TextRecipe


def _variant(name: str, **numbers: object) -> Recipe:
    title = FASHION.modalities["title"]
    assert isinstance(title, TextRecipe)
    alone = dataclasses.replace(title, **{"members": 1, **numbers})  # type: ignore[arg-type]
    return dataclasses.replace(FASHION, name=name, modalities={"title": alone})


SUBWORDS = _variant("titles_subwords")
NGRAMS = _variant("titles_ngrams", ngrams=8000)
BAG = _variant("titles_bag", network="bag", ngrams=20_000)
LSTM = _variant("titles_lstm", network="lstm")
CONV_BILSTM = _variant("titles_conv_bilstm", network="conv_bilstm", filters=64)
TRANSFORMER = _variant("titles_transformer", network="transformer", dropout=0.1)
BERT = _variant(
    "titles_bert",
    network="bert",
    preset="bert_tiny_en_uncased",
    dropout=0.1,
    schedule=Schedule(epochs=4, batch_size=32, learning_rate=2e-4, warmup_epochs=0.5, weight_decay=0.01),
)
