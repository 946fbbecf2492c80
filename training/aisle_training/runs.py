"""The run folder: what `aisle train` writes, `aisle evaluate` adds to, and `aisle export` reads.

    RUN/
        recipe.json                    every number of the run, see `recipes/recipe.py`
        data.json                      the catalogue and its hash, rows of each split, weights, backend, versions
        splits.csv, splits.json        the split, copied
        labels.txt                     a category a line, as "Apparel > Topwear > Tshirts"; line i names class i
        title_tokenizer.json           what `TitleTokenizer.load` reads, for each modality that is a text
        image_classifier.keras         PIXELS -> EMBEDDING, PROBABILITIES; one for each modality
        title_classifier.keras         TOKEN_IDS -> EMBEDDING, PROBABILITIES
        fusion_classifier.keras        all embeddings and which are present -> PROBABILITIES; none for one modality
        calibration.json               temperature, and the calibration error before and after, of each classifier
        familiarity.npz                what products of each class look like, see `confidence/familiarity.py`
        decisions.json                 thresholds of each classifier, see `confidence/rules.py`
        training.json                  seconds that each classifier took, and on what
        history/title_classifier.csv   one line an epoch, for each classifier; late fusion has one line
        logs/                          for TensorBoard
        checkpoints/                   what a resumed run goes on from; removed when the run is complete
        evaluation.json                figures on the test split, see `evaluation/evaluation.py`
        confidence.json                coverage, decisions and unknown products on the test split
        exported.json                  bytes and milliseconds of the classifiers, once they were exported as ONNX
        added_categories.npz           what `aisle category add` added, see `categories/added.py`

A classifier's file appears when the classifier is trained, whole or not at all, so a resumed run can tell what is done.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aisle_training.recipes.recipe import Recipe

PATH_SEPARATOR: Final = " > "


@dataclass(frozen=True)
class RunFolder:
    """The places in a run folder, and the parts of it that are read in more than one room.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @property
    def recipe_path(self) -> Path:
        """`recipe.json`."""
        return self.path / "recipe.json"

    @property
    def data_path(self) -> Path:
        """`data.json`."""
        return self.path / "data.json"

    @property
    def split_path(self) -> Path:
        """`splits.csv`."""
        return self.path / "splits.csv"

    @property
    def labels_path(self) -> Path:
        """`labels.txt`."""
        return self.path / "labels.txt"

    @property
    def calibration_path(self) -> Path:
        """`calibration.json`."""
        return self.path / "calibration.json"

    @property
    def familiarity_path(self) -> Path:
        """`familiarity.npz`."""
        return self.path / "familiarity.npz"

    @property
    def decisions_path(self) -> Path:
        """`decisions.json`."""
        return self.path / "decisions.json"

    @property
    def confidence_path(self) -> Path:
        """`confidence.json`."""
        return self.path / "confidence.json"

    @property
    def training_path(self) -> Path:
        """`training.json`."""
        return self.path / "training.json"

    @property
    def evaluation_path(self) -> Path:
        """`evaluation.json`."""
        return self.path / "evaluation.json"

    @property
    def exported_path(self) -> Path:
        """`exported.json`."""
        return self.path / "exported.json"

    @property
    def checkpoints_path(self) -> Path:
        """`checkpoints/`."""
        return self.path / "checkpoints"

    def classifier_path(self, classifier: str) -> Path:
        """Say where a trained classifier is; `classifier` is one of `Recipe.classifiers`."""
        return self.path / f"{classifier}.keras"

    def history_path(self, classifier: str) -> Path:
        """Say where the history of a classifier's training is."""
        return self.path / "history" / f"{classifier}.csv"

    def logs_path(self, classifier: str) -> Path:
        """Say where TensorBoard finds a classifier's training."""
        return self.path / "logs" / classifier

    def recipe(self) -> Recipe:
        """Read the recipe of the run.

        Raises:
            ValueError: The folder is no run folder, or another version of Aisle wrote it.
        """
        try:
            return Recipe.from_json(self.recipe_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{self.path} is no run folder: it holds no file {self.recipe_path.name}") from None

    def data(self) -> dict[str, Any]:
        """Read what `data.json` says.

        Raises:
            ValueError: The folder is no run folder.
        """
        try:
            data: dict[str, Any] = json.loads(self.data_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError(f"{self.path} is no run folder: it holds no file {self.data_path.name}") from None
        return data

    def labels(self) -> list[tuple[str, ...]]:
        """Read the categories; class i of every classifier is item i."""
        lines = self.labels_path.read_text(encoding="utf-8").splitlines()
        return [tuple(line.split(PATH_SEPARATOR)) for line in lines]

    def write_labels(self, labels: Sequence[tuple[str, ...]]) -> None:
        """Write the categories, see the function `write_labels`."""
        write_labels(self.labels_path, labels)

    def training_seconds(self) -> dict[str, float]:
        """Read how long each classifier took that is trained, by its name; {} for a run that was not timed."""
        return self._noted("seconds")

    def training_hardware(self) -> dict[str, str]:
        """Read what each classifier was trained on, such as "2 processors", by its name; {} where it was not noted."""
        return self._noted("hardware")

    def note_training(self, classifier: str, seconds: float, hardware: str) -> None:
        """Add how long a classifier took, and on what, to `training.json`."""
        noted = {
            "seconds": {**self.training_seconds(), classifier: round(seconds, 3)},
            "hardware": {**self.training_hardware(), classifier: hardware},
        }
        self.training_path.write_text(json.dumps(noted, indent=2) + "\n", encoding="utf-8")

    def _noted(self, what: str) -> dict[str, Any]:
        if not self.training_path.is_file():
            return {}
        noted: dict[str, Any] = json.loads(self.training_path.read_text(encoding="utf-8")).get(what, {})
        return noted

    def load_classifier(self, classifier: str) -> Any:
        """Load a trained classifier.

        Args:
            classifier: One of `Recipe.classifiers`.

        Returns:
            The Keras model: `FusionClassifier`, or what the modality's encoder builds.

        Raises:
            ValueError: This classifier is not trained yet.
        """
        path = self.classifier_path(classifier)
        if not path.is_file():
            raise ValueError(f"{self.path} holds no {path.name}: train the run to its end first")
        # Keras takes seconds to import; whoever only asks for paths and labels does without it. The modules register
        # their classes with Keras, which then finds them by name.
        import keras

        from aisle_training.models import attribute_classifier, image_classifier, title_classifier  # noqa: F401
        from aisle_training.models.fusion import kinds  # noqa: F401

        return keras.saving.load_model(path, compile=False)

    def save_classifier(self, classifier: str, model: Any) -> None:
        """Save a trained classifier, whole or not at all."""
        partial = self.path / f"{classifier}.partial.keras"
        model.save(partial)
        partial.replace(self.classifier_path(classifier))


def write_labels(path: Path, labels: Sequence[tuple[str, ...]]) -> None:
    """Write categories, a whole path a line.

    Raises:
        ValueError: A name would not be read back as it is.
    """
    lines = [PATH_SEPARATOR.join(names) for names in labels]
    for names, line in zip(labels, lines, strict=True):
        if tuple(line.split(PATH_SEPARATOR)) != names or line.splitlines() != [line]:
            raise ValueError(
                f"the category {names} holds {PATH_SEPARATOR!r} or a line break in one of its names: "
                "a path in one column is imported with --category-separator"
            )
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
