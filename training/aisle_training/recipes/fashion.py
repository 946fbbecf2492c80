"""Fashion: article types of a clothing shop, from small pictures and English titles.

aisle train fashion --catalogue CATALOGUE --split CATALOGUE/splits.csv -o RUN --weights WEIGHTS
"""

from aisle_training.recipes.recipe import FusionRecipe, ImageRecipe, Recipe, Schedule, TitleRecipe

RECIPE = Recipe(
    name="fashion",
    minimum_pictures=100,
    image=ImageRecipe(
        schedule=Schedule(
            epochs=6,
            batch_size=64,
            learning_rate=1e-3,
            warmup_epochs=0.5,
            weight_decay=0.02,
            label_smoothing=0.05,
        ),
    ),
    title=TitleRecipe(
        schedule=Schedule(epochs=12, batch_size=128, learning_rate=2e-3, weight_decay=0.02, label_smoothing=0.05),
    ),
    fusion=FusionRecipe(schedule=Schedule(epochs=6, batch_size=256, learning_rate=3e-4, weight_decay=0.02)),
)
