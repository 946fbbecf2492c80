"""`aisle quantize`: a run's image network in 8-bit integers, and what that costs and gains."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command()
@click.argument("run_folder", metavar="RUN", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The ONNX file to write."
)
@click.option(
    "--catalogue",
    "catalogue_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The catalogue.  [default: where it stood when RUN was trained]",
)
@click.option(
    "--pictures",
    "calibration_pictures",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Of the training split, over which the ranges of the feature maps are measured.",
)
@click.option("--split", type=click.Choice(["validation", "test"]), default="validation", show_default=True)
def quantize(
    run_folder: Path, output: Path, catalogue_folder: Path | None, calibration_pictures: int, split: str
) -> None:
    """Round the image network of RUN to 8-bit integers, and print what that costs and gains.

    Accuracy is that on a split, time the processor's for a picture alone on one thread, both files by turns. The file
    has the tensors of the exported image_classifier: as model.onnx of another version, a server takes it as it is. Golden
    files are those of the network before it was rounded.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from aisle_training.catalogue.catalogue import Catalogue
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.commands.progress import progress_bar
    from aisle_training.export.quantization import quantize_run
    from aisle_training.runs import RunFolder

    run = RunFolder(run_folder)
    try:
        catalogue = Catalogue.open(catalogue_folder or Path(run.data()["catalogue"]))
        with progress_bar("Decoding pictures") as show:
            whole, rounded = quantize_run(run, catalogue, output, split, calibration_pictures, show)
    except (ValueError, OSError, CatalogueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{'':<10}{'accuracy':>10}{'ms a picture':>14}{'MB':>8}   ({len(whole.predicted):,} pictures of {split})"
    )
    for name, figures in (("float32", whole), ("int8", rounded)):
        size = figures.size_bytes / 1e6
        click.echo(f"{name:<10}{figures.accuracy:>10.4f}{figures.milliseconds:>14.2f}{size:>8.2f}")
    same = (whole.predicted == rounded.predicted).mean()
    click.echo(
        f"int8 takes {rounded.milliseconds / whole.milliseconds:.2f} of the time, and gives {same:.1%} the same category"
    )
