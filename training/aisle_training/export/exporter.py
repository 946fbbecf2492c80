"""Export a run: its networks, a preprocessor for each modality, and ensembles, checked before anything is put in place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from aisle_protocol.generated import model_config_pb2 as pb
from aisle_training.categories.added import AddedCategories, read_added
from aisle_training.confidence.familiarity import Familiarity
from aisle_training.confidence.measuring import read_confidence
from aisle_training.export.classifiers import (
    EMBEDDING_AND_PROBABILITIES,
    FAMILIARITY,
    PROBABILITIES,
    Classifier,
    Network,
)
from aisle_training.export.configurations import (
    MODEL_FILES,
    classifier_config,
    config_text,
    decision_parameters,
    ensemble_configs,
    fusion_input_names,
    model_comments,
    preprocess_config,
)
from aisle_training.export.errors import ExportError
from aisle_training.export.golden import GOLDEN, draw_products, golden_rows, write_golden
from aisle_training.export.onnx_file import open_onnx, write_onnx
from aisle_training.export.parity import check_parity
from aisle_training.export.repository import install_model, size_bytes, write_model
from aisle_training.export.savedmodel import open_savedmodel, write_savedmodel
from aisle_training.export.serving_cost import ServingCost, measure_serving_cost, write_serving_costs
from aisle_training.export.taxonomy import FILE_NAME as TAXONOMY
from aisle_training.export.taxonomy import Taxonomy
from aisle_training.modalities.encoder import Encoder
from aisle_training.modalities.registry import create_encoders
from aisle_training.models.extended_classifier import extend_classifier
from aisle_training.models.familiarity import with_familiarity
from aisle_training.recipes.recipe import FUSION, AttributeRecipe
from aisle_training.report.model_card import LICENCE_NOT_STATED, MODEL_CARD, ExportedEnsemble, render_model_card
from aisle_training.runs import RunFolder, write_labels

_WRITERS: Final[dict[str, Callable[[Classifier, Path], None]]] = {"onnx": write_onnx, "savedmodel": write_savedmodel}
_OPENERS: Final[dict[str, Callable[[Path], Network]]] = {"onnx": open_onnx, "savedmodel": open_savedmodel}


@dataclass(frozen=True)
class ExportedModel:
    """What became of one model.

    Attributes:
        name: Of the model.
        size_bytes: Of its files, all of them.
        largest_difference: Of a probability from that of the Keras network; None for a model that is no network.
    """

    name: str
    size_bytes: int
    largest_difference: float | None = None


def export_run(
    run: RunFolder,
    repository: Path,
    *,
    file_format: str = "onnx",
    version: int = 1,
    taxonomy: Path | None = None,
    licence: str = LICENCE_NOT_STATED,
    on_model: Callable[[ExportedModel], None] = lambda model: None,
) -> None:
    """Write a trained run as models of a repository.

    Everything is written and checked elsewhere first; the repository changes only when the whole export is good. A
    version of the same number is replaced, other versions stay.

    Args:
        run: A complete run folder.
        repository: The model repository; made when it is not there.
        file_format: "onnx" or "savedmodel".
        version: The number of the version, 1 or more.
        taxonomy: A `taxonomy.json` that ids and names of categories are taken from, by their paths.
        licence: Of the weights, for the model cards.
        on_model: Called for each model that is good, before the first is put in place.

    Raises:
        ExportError: The format or version is not one we write, Keras runs on a backend other than TensorFlow, a network
            does not have the tensors of the specification, what was written does not answer like the network, or the
            taxonomy cannot be read.
        ValueError: The run is not complete.
    """
    if file_format not in _WRITERS:
        raise ExportError(f"unknown format {file_format!r}, expected one of {', '.join(_WRITERS)}")
    if version < 1:
        raise ExportError(f"the version is {version}, expected 1 or more")
    _require_tensorflow()
    recipe, added = run.recipe(), read_added(run)
    labels = [*run.labels(), *(added.paths if added else [])]
    encoders = create_encoders(recipe, run.path)
    nodes = Taxonomy.of(labels, Taxonomy.read(taxonomy) if taxonomy else None)
    rules, familiarity = read_confidence(run)
    if familiarity and added:
        familiarity = familiarity.knowing([(each.embeddings, each.present) for each in added.categories])
    classifiers = _load_classifiers(run, encoders, added, familiarity)
    for name, classifier in classifiers.items():
        if classifier.dims_of("PROBABILITIES") != (len(labels),):
            raise ExportError(
                f"{name} gives {classifier.dims_of('PROBABILITIES')[0]} probabilities, but the run has {len(labels)} labels"
            )
    comments = model_comments(encoders)
    with tempfile.TemporaryDirectory(prefix="aisle-export-") as folder:
        staged, labels_path = Path(folder, "models"), Path(folder, run.labels_path.name)
        write_labels(labels_path, labels)
        differences: dict[str, float] = {}
        costs: dict[str, ServingCost] = {}
        for name, classifier in classifiers.items():
            text = config_text(classifier_config(classifier, file_format), comments[name])
            path = write_model(staged, name, version, text, labels=labels_path) / MODEL_FILES[file_format]
            _WRITERS[file_format](classifier, path)
            exported = _OPENERS[file_format](path)
            differences[name] = check_parity(classifier, exported)
            if file_format == "onnx":  # a SavedModel cannot be held to one thread
                costs[name] = measure_serving_cost(classifier, exported, path.stat().st_size)
        for encoder in encoders:
            array = classifiers[encoder.classifier].inputs[0]
            config = preprocess_config(encoder, encoders, array)
            _write_preprocessor(staged, version, encoder, config_text(config, comments[config.name]))
        parameters = {
            **_aisle_version(),
            "recipe": recipe.name,
            "catalogue_sha256": run.data()["catalogue_sha256"],
            **{key: value for encoder in encoders for key, value in encoder.parameters.items()},
        }
        decided = {classifier: decision_parameters(each, nodes) for classifier, each in rules.items()}
        has_familiarity = familiarity is not None
        for config in ensemble_configs(encoders, len(labels), parameters, decided, has_familiarity=has_familiarity):
            text = config_text(config, comments[config.name])
            version_folder = write_model(staged, config.name, version, text, labels=labels_path)
            # An ensemble's version is an empty folder, which git would not keep.
            (version_folder / ".gitkeep").touch()
            (version_folder.parent / TAXONOMY).write_text(nodes.to_json() + "\n", encoding="utf-8")
            card = render_model_card(run, _ensemble(config, classifiers, len(labels)), costs, licence)
            (staged / config.name / MODEL_CARD).write_text(card, encoding="utf-8")
        _write_golden_files(staged, encoders, classifiers, labels)
        names = sorted(path.name for path in staged.iterdir())
        for name in names:
            on_model(ExportedModel(name, size_bytes(staged / name), differences.get(name)))
        # Ensembles last: they need the others.
        for name in sorted(names, key=lambda name: name.endswith("_categorizer")):
            install_model(staged, repository, name)
    if costs:
        write_serving_costs(run.exported_path, costs)


def _load_classifiers(
    run: RunFolder, encoders: Sequence[Encoder], added: AddedCategories | None, familiarity: Familiarity | None
) -> dict[str, Classifier]:
    """Load the classifiers of all modalities, and fusion where there are several, by the names of their models.

    Where categories were added, each knows them; where the run measures familiarity, each gives it besides.
    """
    further = () if familiarity is None else (FAMILIARITY,)

    def load(name: str, modality: str | None) -> Any:
        model = run.load_classifier(name)
        return extend_classifier(model, added.weights, modality) if added else model

    classifiers = {}
    for encoder in encoders:
        name, model = encoder.classifier, load(encoder.classifier, encoder.name)
        if familiarity is not None:
            model = with_familiarity(model, familiarity.only([encoder.name]), [model.output["EMBEDDING"]], [])
        outputs = (*EMBEDDING_AND_PROBABILITIES, *further)
        classifiers[name] = Classifier.of(name, model, [encoder.array_name], outputs, encoder.highest)
    if len(encoders) > 1:
        model = load(FUSION, None)
        if familiarity is not None:
            embeddings = [model.input[encoder.embedding_name] for encoder in encoders]
            flags = [model.input[encoder.present_name] for encoder in encoders]
            names = [encoder.name for encoder in encoders]
            model = with_familiarity(model, familiarity.only(names), embeddings, flags)
        classifiers[FUSION] = Classifier.of(FUSION, model, fusion_input_names(encoders), (*PROBABILITIES, *further))
    return classifiers


def _ensemble(config: pb.ModelConfig, classifiers: Collection[str], classes: int) -> ExportedEnsemble:
    """Say of an ensemble what its model card needs."""
    steps = [step.model_name for step in config.ensemble_scheduling.step if step.model_name in classifiers]
    return ExportedEnsemble(config.name, steps[-1], steps, [tensor.name for tensor in config.input], classes)


def _write_preprocessor(staged: Path, version: int, encoder: Encoder, text: str) -> None:
    """Write the python model of a modality from the very files that training imports."""
    files = encoder.preprocess_files()
    version_folder = write_model(staged, f"{encoder.name}_preprocess", version, text, files=files.modules)
    shutil.copyfile(files.model, version_folder / "model.py")
    for name, path in files.data.items():
        shutil.copyfile(path, version_folder / name)


def _write_golden_files(
    staged: Path, encoders: Sequence[Encoder], classifiers: dict[str, Classifier], labels: Sequence[tuple[str, ...]]
) -> None:
    recipes = [encoder.recipe for encoder in encoders]
    attributes = [recipe.attribute for recipe in recipes if isinstance(recipe, AttributeRecipe)]
    with tempfile.TemporaryDirectory(prefix="aisle-golden-") as folder:
        products = draw_products(labels, attributes, Path(folder))
        for name, rows in golden_rows(encoders, classifiers, products).items():
            write_golden(staged / name / GOLDEN, rows)


def _aisle_version() -> dict[str, str]:
    """The version of Aisle as a parameter; none when it runs from its sources, without being installed."""
    try:
        return {"aisle_version": metadata.version("aisle")}
    except metadata.PackageNotFoundError:
        return {}


def _require_tensorflow() -> None:
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ExportError(
            f"Keras runs on {backend}, but exporting needs TensorFlow: set KERAS_BACKEND=tensorflow. Runs that were "
            "trained on another backend are exported in the same way"
        )
