"""`aisle evaluate`: measure a run on its test split."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--catalogue",
    "catalogue_folder",
    type=FOLDER,
    help="The catalogue.  [default: where it stood when RUN was trained]",
)
def evaluate(run: Path, catalogue_folder: Path | None) -> None:
    """Measure the classifiers of RUN on its test split, beside simple baselines.

    Prints accuracy, macro-F1, calibration error (ECE) and coverage for each set of inputs: as they are, and on a draw of
    products blurred, darkened, badly compressed, mistyped, cut short and without the words of their category; then the
    coverage at 95 and 98 % precision at each level of the category tree, what the decision rules come to, and what becomes
    of products of no known class. Writes them to RUN/evaluation.json, with all that `aisle report` shows, and to
    RUN/confidence.json.
    """
    import logging
    import os

    # Before it is imported: what TensorFlow has to say about this processor is for its own builders.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from aisle_training.answered_split import answer_test_split
    from aisle_training.catalogue.catalogue import Catalogue
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.commands.progress import progress_bar
    from aisle_training.confidence.measuring import measure_confidence
    from aisle_training.confidence.table import format_confidence
    from aisle_training.evaluate import evaluate as evaluate_run
    from aisle_training.evaluation.table import format_table
    from aisle_training.runs import RunFolder

    # Each network is traced anew, which TensorFlow takes for a loop gone wrong.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    folder = RunFolder(run)
    try:
        catalogue = Catalogue.open(catalogue_folder or Path(folder.data()["catalogue"]))
        with progress_bar("Decoding pictures") as show:
            split = answer_test_split(folder, catalogue, show)
        evaluation = evaluate_run(folder, split)
        confidence = measure_confidence(folder, split)
    except (ValueError, CatalogueError) as error:
        raise click.ClickException(str(error)) from error
    folder.evaluation_path.write_text(evaluation.to_json(), encoding="utf-8")
    folder.confidence_path.write_text(confidence.to_json(), encoding="utf-8")
    click.echo(format_table(evaluation))
    nouns = {encoder.name: encoder.noun for encoder in split.classifiers.encoders}
    click.echo(f"\n{format_confidence(confidence, nouns)}\n")
    click.echo(
        f"written to {folder.evaluation_path} and {folder.confidence_path}; "
        f"aisle report {run} -o report.html makes a page of it"
    )
