"""Pictures alone: a recipe for each image network, on any catalogue with pictures.

    aisle train pictures_convnet --catalogue CATALOGUE -o RUN
    aisle train pictures_mobilenet_v2 --catalogue CATALOGUE -o RUN --weights mobilenet_v2.weights.h5
    aisle train pictures_mobilenet_v3_small --catalogue CATALOGUE -o RUN --weights imagenet
    aisle train pictures_efficientnet_v2_b0 --catalogue CATALOGUE -o RUN --weights imagenet
    aisle train pictures_frozen_mobilenet_v2 --catalogue CATALOGUE -o RUN --weights mobilenet_v2.weights.h5
    aisle train pictures_frozen_resnet50 --catalogue CATALOGUE -o RUN --weights imagenet
    aisle train pictures_frozen_inception_v3 --catalogue CATALOGUE -o RUN --weights imagenet
    aisle train pictures_half_frozen_mobilenet_v2 --catalogue CATALOGUE -o RUN --weights mobilenet_v2.weights.h5

The classic network learns from random weights and needs the longest. Fine-tuning gives the best of what can be served
on one core. A frozen network is asked once for each picture and its mirror image (`--features FOLDER` keeps the answers
for other runs), and its head is then trained in seconds; with random weights it is worth nothing.
"""

from dataclasses import replace

from aisle_training.recipes.recipe import FusionRecipe, ImageRecipe, Recipe, Schedule

FINE_TUNING = ImageRecipe(
    schedule=Schedule(
        epochs=8,
        learning_rate=7e-4,
        weight_decay=0.02,
        label_smoothing=0.05,
        ema_momentum=0.998,
    ),
    zoom=0.1,
)
FROZEN = ImageRecipe(
    schedule=Schedule(
        epochs=30, batch_size=256, learning_rate=1e-3, weight_decay=0.02, label_smoothing=0.05, patience=5
    ),
    hidden_size=512,
    dropout=0.4,
    frozen_until="all",
)


def pictures_recipe(name: str, image: ImageRecipe) -> Recipe:
    """Give the recipe of one image classifier; nothing is fused, for there is nothing to fuse it with."""
    return Recipe(
        name=name,
        minimum_products=100,
        modalities={"image": image},
        fusion=FusionRecipe(schedule=Schedule(epochs=1)),
    )


CONVNET = pictures_recipe(
    "pictures_convnet",
    replace(
        FINE_TUNING,
        network="classic_convnet",
        picture_size=64,
        schedule=replace(FINE_TUNING.schedule, epochs=30, learning_rate=2e-3, patience=6),
        shift=4,
        dropout=0.4,
    ),
)
MOBILENET_V2 = pictures_recipe("pictures_mobilenet_v2", FINE_TUNING)
MOBILENET_V3_SMALL = pictures_recipe("pictures_mobilenet_v3_small", replace(FINE_TUNING, network="mobilenet_v3_small"))
EFFICIENTNET_V2_B0 = pictures_recipe("pictures_efficientnet_v2_b0", replace(FINE_TUNING, network="efficientnet_v2_b0"))
FROZEN_MOBILENET_V2 = pictures_recipe("pictures_frozen_mobilenet_v2", FROZEN)
FROZEN_RESNET50 = pictures_recipe("pictures_frozen_resnet50", replace(FROZEN, network="resnet50"))
FROZEN_INCEPTION_V3 = pictures_recipe("pictures_frozen_inception_v3", replace(FROZEN, network="inception_v3"))
HALF_FROZEN_MOBILENET_V2 = pictures_recipe(
    "pictures_half_frozen_mobilenet_v2",
    # The last three blocks and what follows are trained: most of the parameters, little of the arithmetic.
    replace(FINE_TUNING, frozen_until="block_13_project_BN"),
)
