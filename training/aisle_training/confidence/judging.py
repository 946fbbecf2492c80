"""Ask the trained classifiers of a run about products, in every way that these can be asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aisle_training.classifier_training import SplitInputs
from aisle_training.confidence.familiarity import Familiarity
from aisle_training.confidence.rules import Judged, Mask
from aisle_training.fusion_training import FusionRows
from aisle_training.modalities.encoder import Encoder
from aisle_training.presence import list_presences
from aisle_training.recipes.recipe import FUSION


def list_masks(encoders: Sequence[Encoder]) -> list[Mask]:
    """List the sets of modalities that products can be judged by, the whole first."""
    return list(list_presences({encoder.name: encoder.noun for encoder in encoders}).values())


def judge(
    encoders: Sequence[Encoder],
    models: Mapping[str, Any],
    inputs: SplitInputs,
    familiarity: Familiarity | None,
) -> dict[str, dict[Mask, Judged]]:
    """Ask about products.

    Args:
        encoders: Of the modalities.
        models: The classifiers, by name.
        inputs: The products, encoded.
        familiarity: What measures it; None where nothing does.

    Returns:
        For each classifier, and each set of inputs that it can judge by, the products that have these inputs, in their
        order. Sets that no product has are there, without rows.
    """
    embeddings = {}
    judged: dict[str, dict[Mask, Judged]] = {}
    present = {name: encoded.present for name, encoded in inputs.encoded.items()}
    for encoder in encoders:
        encoded = inputs.encoded[encoder.name]
        outputs = models[encoder.classifier].predict(encoded.array, batch_size=256, verbose=0)
        embeddings[encoder.name] = np.asarray(outputs["EMBEDDING"])
        chosen = encoded.present
        mine = familiarity({encoder.name: embeddings[encoder.name][chosen]}) if familiarity else None
        judged[encoder.classifier] = {
            (encoder.name,): Judged(outputs["PROBABILITIES"][chosen], inputs.labels[chosen], mine)
        }
    if FUSION in models:
        rows = FusionRows(embeddings, present, inputs.labels)
        judged[FUSION] = {}
        for mask in list_masks(encoders):
            tensors, labels = rows.view(mask)
            probabilities = np.zeros((0, models[FUSION].classes), np.float32)
            if len(labels):
                probabilities = models[FUSION].predict(tensors, batch_size=1024, verbose=0)["PROBABILITIES"]
            given = {name: tensors[f"{name.upper()}_EMBEDDING"] for name in mask}
            judged[FUSION][mask] = Judged(probabilities, labels, familiarity(given) if familiarity else None)
    return judged
