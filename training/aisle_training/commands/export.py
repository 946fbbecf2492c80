"""`aisle export`: a trained run to a model repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command()
@click.argument(
    "run_folder", metavar="[RUN]", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--model-repository",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the models go; made when it is not there.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["onnx", "savedmodel"]),
    default="onnx",
    show_default=True,
    help="Of the networks: ONNX files, or TensorFlow SavedModels.",
)
@click.option(
    "--version",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of the version; one that is there already is replaced.",
)
@click.option(
    "--taxonomy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A taxonomy.json whose ids and names of categories are kept, such as that of an earlier export with names written "
    "into it.",
)
@click.option(
    "--licence",
    default="Not stated by whoever trained them.",
    show_default=True,
    help="Of the weights, for the model cards: a sentence, or a name such as Apache-2.0.",
)
def export(
    run_folder: Path | None,
    model_repository: Path,
    file_format: str,
    version: int,
    taxonomy: Path | None,
    licence: str,
) -> None:
    """Export a trained run as models that a Triton-style server loads.

    RUN is a folder that `aisle train` wrote. Each network is run once more from what was written and held against the
    trained one; the repository changes only when all of them agree.
    """
    if run_folder is None:
        raise click.UsageError("Missing argument 'RUN'.")
    if "keras" not in sys.modules:
        # Whatever it was trained on: the file formats are TensorFlow's to write. Its notes on CPU features are no news.
        os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from aisle_training.export.exporter import ExportedModel, export_run
    from aisle_training.runs import RunFolder

    def report(model: ExportedModel) -> None:
        checked = ""
        if model.largest_difference is not None:
            checked = f"   probabilities within {model.largest_difference:.1e} of the network's"
        click.echo(f"{model.name:<22}{model.size_bytes / 1e6:8.2f} MB{checked}")

    try:
        export_run(
            RunFolder(run_folder),
            model_repository,
            file_format=file_format,
            version=version,
            taxonomy=taxonomy,
            licence=licence,
            on_model=report,
        )
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"version {version} of all models is in {model_repository}")
