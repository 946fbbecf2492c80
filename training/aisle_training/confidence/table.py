"""Figures about trust as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from aisle_training.confidence.figures import ConfidenceFigures
from aisle_training.confidence.rules import Mask


def format_confidence(figures: ConfidenceFigures, nouns: Mapping[str, str]) -> str:
    """Give the figures as tables of fixed columns.

    Args:
        figures: Of a run.
        nouns: What people call each modality.
    """
    head = f"{'model':<20} {'given':<18} {'level':>5} {'nodes':>6} {'accuracy':>9} {'at 95 %':>8} {'at 98 %':>8}"
    lines = ["Coverage: the part of the products that can be answered with this precision", head, "-" * len(head)]
    for level in figures.levels:
        lines.append(
            f"{level.model:<20} {_given(level.inputs, nouns):<18} {level.level:>5} {level.nodes:>6,} {level.accuracy:>9.4f} "
            f"{level.coverage['0.95']:>8.4f} {level.coverage['0.98']:>8.4f}"
        )
    if figures.decisions:
        head = (
            f"{'model':<20} {'given':<18} {'at':>5} {'products':<20} {'rows':>6} {'auto':>7} {'right':>7} "
            f"{'review':>7} {'right':>7} {'abstain':>7}"
        )
        lines += ["", "Decisions, by thresholds fitted on the validation split", head, "-" * len(head)]
    for decided in figures.decisions:
        lines.append(
            f"{decided.model:<20} {_given(decided.inputs, nouns):<18} {decided.precision:>5g} {'of known classes':<20} "
            f"{decided.rows:>6,} {decided.auto:>7.4f} {_part(decided.auto_precision)} {decided.review:>7.4f} "
            f"{_part(decided.review_precision)} {decided.abstain:>7.4f}"
        )
    for unknown in figures.out_of_class:
        lines.append(
            f"{unknown.model:<20} {_given(unknown.inputs, nouns):<18} {unknown.precision:>5g} {unknown.source:<20} "
            f"{unknown.rows:>6,} {unknown.auto:>7.4f} {'-':>7} {unknown.review:>7.4f} "
            f"{_part(unknown.review_precision)} {unknown.abstain:>7.4f}"
        )
    return "\n".join(lines)


def _given(mask: Mask, nouns: Mapping[str, str]) -> str:
    return " and ".join(nouns.get(name, name) for name in mask)


def _part(value: float | None) -> str:
    return f"{'-':>7}" if value is None else f"{value:>7.4f}"
