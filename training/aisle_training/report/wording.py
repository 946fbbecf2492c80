"""What an evaluation says, in sentences for whoever runs a catalogue and has never trained a network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeVar

from aisle_training.confidence.figures import DecisionFigures, LevelFigures, OutOfClassFigures
from aisle_training.confidence.rules import Mask
from aisle_training.confidence.unknown_products import LEFT_OUT
from aisle_training.evaluation.evaluation import CLEAN, Breakdown, Evaluation, Figures
from aisle_training.report.comparison import Comparison, ReportedRun

F = TypeVar("F", DecisionFigures, OutOfClassFigures)

# What people call a modality whose name is not that already; see `Encoder.noun`.
_NOUNS: Final = {"image": "picture"}
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
    return [*_compared(comparison, best), *summarize_run(best)]


def summarize_run(run: ReportedRun) -> list[str]:
    """Say what matters of one run."""
    evaluation = run.evaluation
    return [
        *_accuracy(evaluation),
        *_coverage(evaluation.main),
        *_decisions(run),
        *_calibration(evaluation.main),
        *_disturbed(evaluation),
        *_baselines(evaluation),
        *_confusions(evaluation),
        *_hardest(evaluation),
    ]


def given(inputs: Mask) -> str:
    """Say what a classifier was given, as people call it."""
    nouns = [_NOUNS.get(name, name.replace("_", " ")) for name in inputs]
    return " and ".join([", ".join(nouns[:-1]), nouns[-1]] if len(nouns) > 1 else nouns)


def say_decisions(decisions: Sequence[DecisionFigures]) -> str:
    """Say what the rules come to with the inputs that come first, at the highest precision that may be asked for."""
    if not decisions:
        return ""
    first = _strictest(decisions)
    asked = f"With {given(first.inputs)} and thresholds fitted beforehand, asked for {100 * first.precision:g} of 100 decisions right"
    if first.auto_precision is None:
        return f"{asked}, it decides no product by itself: nothing it says is sure enough."
    proposed = (
        ""
        if first.review_precision is None
        else f", where {percent(first.review_precision)} of its proposals are right"
    )
    return (
        f"{asked}, it decides {percent(first.auto)} of the products by itself, and {percent(first.auto_precision)} of these "
        f"decisions are right. {percent(first.review)} go to somebody{proposed}; about {percent(first.abstain)} it says nothing."
    )


def say_unknown(unknown: Sequence[OutOfClassFigures]) -> str:
    """Say what becomes of products of categories that were left out of training, as `say_decisions` does."""
    left_out = [each for each in unknown if each.source == LEFT_OUT]
    if not left_out:
        return ""
    first = _strictest(left_out)
    sentence = (
        f"Of {first.rows:,} products of categories that it never learnt, it decides {percent(first.auto)} all the same with "
        f"{given(first.inputs)}, each of them wrongly; {percent(first.review)} go to somebody, and about "
        f"{percent(first.abstain)} it says nothing."
    )
    if first.separation is not None:
        sentence += f" Familiarity tells such a product from a known one in {percent(first.separation)} of pairs."
    return sentence


def say_levels(levels: Sequence[LevelFigures]) -> str:
    """Say how much can be answered at each level with the inputs that come first."""
    mine = [each for each in levels if each.inputs == levels[0].inputs]
    said = [f"{percent(each.coverage['0.98'])} at level {each.level}" for each in reversed(mine)]
    return f"With {given(levels[0].inputs)}, the part of the products that can be answered with 98 of 100 right is {', '.join(said)}."


def _strictest(figures: Sequence[F]) -> F:
    return max((each for each in figures if each.inputs == figures[0].inputs), key=lambda each: each.precision)


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


def _decisions(run: ReportedRun) -> list[str]:
    if run.confidence is None:
        return []
    model = run.evaluation.main.model
    decisions = [each for each in run.confidence.decisions if each.model == model]
    unknown = [each for each in run.confidence.out_of_class if each.model == model]
    return [sentence for sentence in (say_decisions(decisions), say_unknown(unknown)) if sentence]


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
