"""Shop: a catalogue that nobody has tuned anything for, of a few hundred products or of many thousands.

    aisle train shop --catalogue CATALOGUE -o RUN
    aisle evaluate RUN

Takes titles, pictures and descriptions; what the catalogue lacks is left out. Categories are learnt that have 20 products
with a title (or with a picture, where there are no titles). Texts are read as far as most of them go, 192 tokens at most,
and where they are few, 3,000 or less, their character n-grams are read too.

A small catalogue is gone through many times, until the validation no longer gets better; a large one as often as its steps
allow: of 50,000 products 70 % for training, the pictures 5 times and the texts 7 times. Pictures need weights to start from
unless there are many: `--weights imagenet`, or a file.
"""

from aisle_training.recipes.recipe import FusionRecipe, ImageRecipe, Recipe, Schedule, TextRecipe

_TEXT = Schedule(
    epochs=60,
    batch_size=32,
    learning_rate=2e-3,
    warmup_epochs=1.0,
    weight_decay=0.02,
    label_smoothing=0.05,
    patience=15,
    max_steps=8000,
)

RECIPE = Recipe(
    name="shop",
    minimum_products=20,
    modalities={
        "title": TextRecipe(schedule=_TEXT, longest=192, ngrams=8000, few_texts=3000),
        "image": ImageRecipe(
            schedule=Schedule(
                epochs=40,
                batch_size=64,
                learning_rate=1e-3,
                weight_decay=0.02,
                label_smoothing=0.05,
                patience=10,
                max_steps=3000,
            ),
        ),
        "description": TextRecipe(schedule=_TEXT, field="description", longest=192, ngrams=8000, few_texts=3000),
    },
    fusion=FusionRecipe(kind="late"),
)
