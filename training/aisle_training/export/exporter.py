"""Export a run: three networks, two preprocessors and three ensembles, checked before anything is put in place."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from aisle_training import preprocessing
from aisle_training.export.classifiers import INPUT_NAMES, Classifier, Network
from aisle_training.export.configurations import (
    MODEL_FILES,
    classifier_config,
    config_text,
    ensemble_configs,
    image_preprocess_config,
    title_preprocess_config,
)
from aisle_training.export.errors import ExportError
from aisle_training.export.onnx_file import open_onnx, write_onnx
from aisle_training.export.parity import check_parity
from aisle_training.export.repository import install_model, size_bytes, write_model
from aisle_training.export.savedmodel import open_savedmodel, write_savedmodel
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.runs import RunFolder

# What each python model is made of: these files of `preprocessing`, the first of them as `model.py`.
_PREPROCESS_FILES: Final = {
    "image_preprocess": ("image_preprocess.py", "images.py", "product_rows.py", "title_normalization.py"),
    "title_preprocess": ("title_preprocess.py", "titles.py", "title_ngrams.py", "product_rows.py", "title_normalization.py"),
}
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
        on_model: Called for each model that is good, before the first is put in place.

    Raises:
        ExportError: The format or version is not one we write, Keras runs on a backend other than TensorFlow, a network
            does not have the tensors of the specification, or what was written does not answer like the network.
        ValueError: The run is not complete.
    """
    if file_format not in _WRITERS:
        raise ExportError(f"unknown format {file_format!r}, expected one of {', '.join(_WRITERS)}")
    if version < 1:
        raise ExportError(f"the version is {version}, expected 1 or more")
    _require_tensorflow()
    recipe, labels = run.recipe(), run.labels()
    classifiers = {name: Classifier.of(name, run.load_classifier(name)) for name in INPUT_NAMES}
    for name, classifier in classifiers.items():
        if classifier.dims_of("PROBABILITIES") != (len(labels),):
            raise ExportError(
                f"{name} gives {classifier.dims_of('PROBABILITIES')[0]} probabilities, but the run has {len(labels)} labels"
            )
    token_ids = classifiers["title_classifier"].inputs[0]
    tokenizer = TitleTokenizer.load(run.tokenizer_path, token_ids.dims[0])
    with tempfile.TemporaryDirectory(prefix="aisle-export-") as folder:
        staged = Path(folder)
        differences: dict[str, float] = {}
        for name, classifier in classifiers.items():
            text = config_text(classifier_config(classifier, file_format))
            path = write_model(staged, name, version, text, labels=run.labels_path) / MODEL_FILES[file_format]
            _WRITERS[file_format](classifier, path)
            exported = _OPENERS[file_format](path)
            differences[name] = check_parity(classifier, exported, highest_token_id=tokenizer.vocabulary_size - 1)
        _write_preprocessors(staged, version, classifiers, run)
        data = json.loads(run.data_path.read_text(encoding="utf-8"))
        parameters = {
            **_aisle_version(),
            "recipe": recipe.name,
            "catalogue_sha256": data["catalogue_sha256"],
            "picture_size": str(recipe.image.picture_size),
            "title_length": str(recipe.title.length),
        }
        for config in ensemble_configs(len(labels), parameters):
            version_folder = write_model(staged, config.name, version, config_text(config), labels=run.labels_path)
            # An ensemble's version is an empty folder, which git would not keep.
            (version_folder / ".gitkeep").touch()
        names = sorted(path.name for path in staged.iterdir())
        for name in names:
            on_model(ExportedModel(name, size_bytes(staged / name), differences.get(name)))
        # Ensembles last: they need the others.
        for name in sorted(names, key=lambda name: name.endswith("_categorizer")):
            install_model(staged, repository, name)


def _write_preprocessors(staged: Path, version: int, classifiers: dict[str, Classifier], run: RunFolder) -> None:
    """Write the two python models from the very files that training imports."""
    source = Path(next(iter(preprocessing.__path__)))
    configs = {
        "image_preprocess": image_preprocess_config(classifiers["image_classifier"].inputs[0]),
        "title_preprocess": title_preprocess_config(classifiers["title_classifier"].inputs[0]),
    }
    for name, (model, *modules) in _PREPROCESS_FILES.items():
        files = [source / module for module in modules]
        version_folder = write_model(staged, name, version, config_text(configs[name]), files=files)
        shutil.copyfile(source / model, version_folder / "model.py")
    shutil.copyfile(run.tokenizer_path, staged / "title_preprocess" / str(version) / "tokenizer.json")


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
