"""What an evaluation says, in sentences for whoever runs a catalogue and has never trained a network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from aisle_training.evaluation.evaluation import CLEAN, Breakdown, Evaluation, Figures
from aisle_training.report.comparison import Comparison, ReportedRun

# Rarer categories have too few test products for their F1 to say anything.
FEWEST_PRODUCTS = 10
NAMED_CONFUSIONS = 3


def category_names(classes: Sequence[tuple[str, ...]]) -> list[str]:
    """Name each category by its last part, and by its whole path where others end alike.

    A name that is not ASCII stands between Unicode's isolates, so that a Persian one leaves the order of the digits and
    brackets around it alone.
    """
    leaves = Counter(path[-1] for path in classes)
    names = [path[-1] if leaves[path[-1]] == 1 else " > ".join(path) for path in classes]
    return [name if name.isascii() else f"\u2068{name}\u2069" for name in names]


def worst_confusions(breakdown: Breakdown, most: int) -> list[tuple[int, int, int]]:
    """Give the pairs that are confused most often, as (true class, predicted class, rows), at most so many."""
    wrong = [pair for pair in breakdown.confusion if pair[0] != pair[1]]
    return sorted(wrong, key=lambda pair: -pair[2])[:most]


def margin(share: float, rows: int) -> float:
    """Give the half width of the 95 % interval of a share, which another draw of as many products may lie apart.

    Source: Agresti and Coull, "Approximate is Better than 'Exact'", 1998: two products more of each outcome.
    """
    adjusted = (share * rows + 2) / (rows + 4)
    return 1.96 * math.sqrt(adjusted * (1 - adjusted) / (rows + 4))


def percent(share: float) -> str:
    """Spell a share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def summarize(comparison: Comparison) -> list[str]:
    """Say what matters of all runs: how they differ, where there are several, and what the best one does.

    Args:
        comparison: At least one run.

    Returns:
        Sentences, what matters most first.
    """
    best = max(comparison.runs, key=lambda run: run.evaluation.main.accuracy)
    return [*_compared(comparison, best), *summarize_run(best.evaluation)]


def summarize_run(evaluation: Evaluation) -> list[str]:
    """Say what matters of one run."""
    return [
        *_accuracy(evaluation),
        *_coverage(evaluation.main),
        *_calibration(evaluation.main),
        *_disturbed(evaluation),
        *_baselines(evaluation),
        *_confusions(evaluation),
        *_hardest(evaluation),
    ]


def _compared(comparison: Comparison, best: ReportedRun) -> list[str]:
    """How the best run stands to the next one, and how far seeds lie apart."""
    if len(comparison.runs) == 1:
        return []
    main = best.evaluation.main
    sentences = [
        f"Of {len(comparison.runs)} runs, {best.name} is the most accurate with {main.inputs} ({percent(main.accuracy)}); "
        "what follows is about it."
    ]
    # Several runs of one seed group are one contender.
    mine = {name for group in comparison.groups if best.name in group.runs for name in group.runs} | {best.name}
    others = [run for run in comparison.runs if run.name not in mine]
    if others and not comparison.warnings:
        second = max(others, key=lambda run: run.evaluation.main.accuracy)
        ahead = main.accuracy - second.evaluation.main.accuracy
        # Of two independent draws; the runs share their products, so a smaller difference may be real, too.
        chance = math.sqrt(2) * margin(main.accuracy, main.rows)
        verdict = "more than chance explains" if ahead > chance else "no more than chance may explain"
        sentences.append(
            f"It is {100 * ahead:.1f} points ahead of {second.name}, which on {main.rows:,} products is {verdict}."
        )
    for group in comparison.groups:
        spread = group.rows[0].figures["accuracy"]
        sentences.append(
            f"{len(group.runs)} runs of the recipe {group.name} differ only in their seed: with {group.rows[0].inputs} they "
            f"reach {percent(spread.mean)} on average, from {percent(spread.lowest)} to {percent(spread.highest)}."
        )
    return sentences


def _accuracy(evaluation: Evaluation) -> list[str]:
    main = evaluation.main
    sentences = [
        f"With {main.inputs}, {percent(main.accuracy)} of the products land in the right one of "
        f"{len(evaluation.classes)} categories, give or take {100 * margin(main.accuracy, main.rows):.1f} points. This was "
        f"measured on {main.rows:,} products that had no part in training."
    ]
    others = [
        each for each in evaluation.figures if each.model == main.model and each.condition == CLEAN and each != main
    ]
    if others:
        listed = ", ".join(f"with {each.inputs} {percent(each.accuracy)}" for each in others)
        sentences.append(f"Where something is missing, the same model still answers: {listed}.")
    return sentences


def _coverage(main: Figures) -> list[str]:
    if main.coverage_at_98 is None or main.coverage_at_95 is None:
        return []
    if main.coverage_at_98 == 0.0:
        return [
            "No threshold makes 98 of 100 of its answers right; "
            f"for 95 of 100 it can decide {percent(main.coverage_at_95)} of the products by itself."
        ]
    return [
        f"If 98 of 100 of its own decisions must be right, it can decide {percent(main.coverage_at_98)} of the products by "
        f"itself, at the best threshold, and people look at the rest; if 95 of 100 will do, {percent(main.coverage_at_95)}."
    ]


def _calibration(main: Figures) -> list[str]:
    error = main.expected_calibration_error
    if error is None:
        return []
    verdict = "can be taken at its word" if error <= 0.02 else "is a rough guide" if error <= 0.05 else "misleads"
    return [f"Its confidence {verdict}: it is off by {100 * error:.1f} points on average."]


def _disturbed(evaluation: Evaluation) -> list[str]:
    main = evaluation.main
    disturbed = [each for each in evaluation.figures if each.condition != CLEAN and _same_model(each, main)]
    if not disturbed:
        return []
    worst = min(disturbed, key=lambda each: each.accuracy - each.clean_accuracy)
    return [
        f"Of the ways to spoil its inputs that were tried, the worst one, {worst.condition}, costs "
        f"{100 * (worst.clean_accuracy - worst.accuracy):.1f} points."
    ]


def _baselines(evaluation: Evaluation) -> list[str]:
    main = evaluation.main
    simple = [each for each in evaluation.figures if each.expected_calibration_error is None]
    if not simple:
        return []
    strongest = max(simple, key=lambda each: each.accuracy)
    ahead = main.accuracy - strongest.accuracy
    return [
        f"The strongest simple method to hold it against, {strongest.model} on {strongest.inputs}, reaches "
        f"{percent(strongest.accuracy)}: {abs(100 * ahead):.1f} points {'less' if ahead >= 0 else 'more'}."
    ]


def _confusions(evaluation: Evaluation) -> list[str]:
    names = category_names(evaluation.classes)
    worst = worst_confusions(evaluation.breakdowns[0], NAMED_CONFUSIONS)
    if not worst:
        return []
    listed = "; ".join(f"{names[label]} taken for {names[other]} ({rows})" for label, other, rows in worst)
    return [f"It confuses most often: {listed}."]


def _hardest(evaluation: Evaluation) -> list[str]:
    names = category_names(evaluation.classes)
    scored = [
        (score.f1, name)
        for score, name in zip(evaluation.breakdowns[0].class_scores, names, strict=True)
        if score.support >= FEWEST_PRODUCTS
    ]
    hardest = [f"{name} ({score:.2f})" for score, name in sorted(scored)[:NAMED_CONFUSIONS] if score < 1.0]
    return [f"The hardest categories, by F1, are {', '.join(hardest)}."] if hardest else []


def _same_model(figures: Figures, main: Figures) -> bool:
    return (figures.model, figures.inputs) == (main.model, main.inputs)
