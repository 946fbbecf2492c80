"""Hold what the classifiers of a run say of products against what these are, with how familiar they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aisle_training.classifiers import Answers, Classifiers, Outputs
from aisle_training.confidence.familiarity import Familiarity
from aisle_training.confidence.rules import Judged, Mask
from aisle_training.datasets import Labels


def judge(
    classifiers: Classifiers,
    outputs: Mapping[str, Outputs],
    answers: Sequence[Answers],
    labels: Labels,
    familiarity: Familiarity | None,
) -> dict[str, dict[Mask, Judged]]:
    """Sort answers by what was asked.

    Args:
        classifiers: Who was asked.
        outputs: By modality, of the products.
        answers: What `Classifiers.answer` made of these outputs.
        labels: The classes of the products, [rows].
        familiarity: What measures it; None where nothing does.

    Returns:
        For each classifier, and each set of inputs that some products have, these products, in their order.
    """
    judged: dict[str, dict[Mask, Judged]] = {}
    for each in answers:
        mask = classifiers.modalities[each.inputs]
        given = {name: outputs[name].embeddings[each.rows] for name in mask}
        judged.setdefault(each.model, {})[mask] = Judged(
            each.probabilities, labels[each.rows], familiarity(given) if familiarity else None
        )
    return judged
