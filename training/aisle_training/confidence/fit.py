"""The last step of a training: what the run needs to decide about products, fitted on its validation split."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aisle_training.classifier_training import SplitInputs
from aisle_training.classifiers import Classifiers
from aisle_training.confidence.familiarity import Familiarity
from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.confidence.judging import judge
from aisle_training.confidence.rules import DecisionRules, rules_to_json
from aisle_training.fusion_training import FusionRows
from aisle_training.modalities.encoder import Encoder
from aisle_training.presence import list_presences
from aisle_training.runs import RunFolder

log = logging.getLogger(__name__)


def fit_confidence(
    run: RunFolder,
    encoders: Sequence[Encoder],
    models: Mapping[str, Any],
    rows: Mapping[str, FusionRows],
    validation: SplitInputs,
) -> None:
    """Fit familiarity and decision rules, and write them into the run.

    Args:
        run: Where they go.
        encoders: Of the modalities.
        models: The trained and calibrated classifiers, by name.
        rows: The embeddings of the splits "train" and "validation".
        validation: The validation split, encoded.
    """
    classes = run.labels()
    train, held_out = (
        {name: (part.embeddings[name], part.present[name]) for name in part.embeddings}
        for part in (rows["train"], rows["validation"])
    )
    masks = list(list_presences({encoder.name: encoder.noun for encoder in encoders}).values())
    familiarity = Familiarity.fit(train, rows["train"].labels, held_out, masks, len(classes))
    familiarity.save(run.familiarity_path)
    hierarchy, classifiers = Hierarchy(classes), Classifiers(encoders, models)
    outputs = classifiers.ask(validation.encoded)
    answers = classifiers.answer(outputs)
    rules = {
        classifier: DecisionRules.fit(judged, hierarchy)
        for classifier, judged in judge(classifiers, outputs, answers, validation.labels, familiarity).items()
    }
    partial = run.decisions_path.with_suffix(".partial")
    partial.write_text(rules_to_json(rules), encoding="utf-8")
    # Last, for a run that has rules has all that they need.
    partial.replace(run.decisions_path)
    log.info("decision rules fitted on %d validation products", len(validation.labels))
