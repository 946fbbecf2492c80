"""Tiny: seconds on one core, for drawn catalogues and for trying the pipeline out; no score to speak of.

aisle train tiny --catalogue CATALOGUE --split CATALOGUE/splits.csv -o RUN
"""

from aisle_training.recipes.recipe import FusionRecipe, ImageRecipe, Recipe, Schedule, TextRecipe

RECIPE = Recipe(
    name="tiny",
    minimum_products=8,
    modalities={
        "image": ImageRecipe(
            schedule=Schedule(epochs=2, batch_size=4, learning_rate=1e-2),
            picture_size=32,
            network="convnet",
            width=0.5,
            dropout=0.1,
            flip=False,
            shift=1,
        ),
        "title": TextRecipe(
            schedule=Schedule(epochs=2, batch_size=8, learning_rate=1e-2),
            vocabulary_size=300,
            length=16,
            token_size=16,
            filters=16,
            embedding_size=32,
            dropout=0.1,
            token_dropout=0.0,
        ),
    },
    fusion=FusionRecipe(
        schedule=Schedule(epochs=2, batch_size=8, learning_rate=1e-2), kind="residual", hidden_size=32, dropout=0.1
    ),
)
