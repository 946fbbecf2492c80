"""`aisle train`: train the classifiers of a recipe on a catalogue."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("recipe")
@click.option(
    "--catalogue", "catalogue_folder", required=True, type=FOLDER, help="What `aisle catalogue import` wrote."
)
@click.option(
    "--split",
    "split_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `aisle catalogue split` wrote.  [default: splits.csv in the catalogue]",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="The run: a new folder."
)
@click.option(
    "--weights",
    default="none",
    show_default=True,
    help="What the image network starts from: none, imagenet (downloaded by Keras), a Keras weights file, or the "
    "image_classifier.keras of an earlier run.",
)
@click.option(
    "--preset", help="What BERT starts from: a KerasHub preset by name, or its folder, instead of the recipe's."
)
@click.option("--modalities", help="Which of the recipe's to train, such as: title  or: image,title  [default: all]")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs for each network, instead of the recipe's.")
@click.option(
    "--minimum-products",
    type=click.IntRange(min=2),
    help="Learn the categories that have so many products, instead of the recipe's number.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of all that is drawn, instead of the recipe's.")
@click.option(
    "--features",
    "features_folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to keep what frozen image networks make of the pictures, for other runs.  [default: nowhere]",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
def train(
    recipe: str,
    catalogue_folder: Path,
    split_path: Path | None,
    output: Path,
    weights: str,
    preset: str | None,
    modalities: str | None,
    epochs: int | None,
    minimum_products: int | None,
    seed: int | None,
    features_folder: Path | None,
    resume: bool,
) -> None:
    """Train the classifiers of RECIPE on a catalogue.

    RECIPE is "shop" for a catalogue of your own, or such as "fashion", "torob" or "tiny"; any other name lists all.

    What no product has is left out, with its classifier; from one modality nothing is fused.
    The run folder keeps the classifiers, their tokenizer, labels and calibration, the recipe and the split, a history
    of each training, and logs for TensorBoard (tensorboard --logdir RUN/logs).
    """
    from aisle_training.commands.progress import progress_bar
    from aisle_training.recipes.registry import load_recipe

    try:
        numbers = load_recipe(recipe)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="RECIPE") from error
    if weights not in ("none", "imagenet") and not Path(weights).is_file():
        raise click.BadParameter(f"{weights!r} is no file, nor none or imagenet", param_hint="--weights")
    if preset is not None:
        try:
            numbers = numbers.with_preset(preset)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--preset") from error
    if modalities is not None:
        try:
            numbers = numbers.with_modalities(name.strip() for name in modalities.split(","))
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--modalities") from error
    if epochs is not None:
        numbers = numbers.with_epochs(epochs)
    if minimum_products is not None:
        numbers = dataclasses.replace(numbers, minimum_products=minimum_products)
    if seed is not None:
        numbers = dataclasses.replace(numbers, seed=seed)

    # TensorFlow takes seconds to import: only now, when the options are known to be right.
    import logging
    import os

    # Before it is imported: what TensorFlow has to say about this processor is for its own builders.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from aisle_training.catalogue.catalogue import Catalogue
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.runs import RunFolder
    from aisle_training.train import train as train_run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # Each network is traced anew, which TensorFlow takes for a loop gone wrong.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.WARNING)
    try:
        with progress_bar("Decoding pictures") as show:
            train_run(
                numbers,
                Catalogue.open(catalogue_folder),
                split_path or catalogue_folder / "splits.csv",
                RunFolder(output),
                weights=None if weights == "none" else weights,
                resume=resume,
                features_folder=features_folder,
                on_progress=show,
            )
    except (ValueError, FloatingPointError, CatalogueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output} is trained; aisle evaluate {output} gives its figures on the test split")
