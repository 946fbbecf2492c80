"""Answers and errors as HTML. All that comes from outside is escaped here, and nowhere else is HTML made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from aisle_client import (
    Categorization,
    Category,
    ClientError,
    DeadlineExceededError,
    Decision,
    InvalidArgumentError,
    InvalidInputError,
    MissingInputError,
    ModelIndex,
    NotFoundError,
    PictureError,
    PictureRefusedError,
    RequestError,
    UnavailableError,
)

_INPUTS: Final = {"title": "the title", "image": "the picture"}
_DECISIONS: Final = {
    "auto": "Answered automatically",
    "review": "Somebody should look at this",
    "abstain": "Nothing useful is known",
}
# A product that fewer known ones are as strange as was not judged by its confidence.
_SELDOM: Final = 0.04
_MAX_TEXT: Final = 200
_MAX_NAMES: Final = 20

WELCOME: Final = (
    '<div class="aisle-note"><p>Give a picture, a title, or both.</p>'
    "<p>The category path appears here, with the confidence the model has in it.</p></div>"
)


def answer_html(answer: Categorization) -> str:
    """Write an answer: the path as a breadcrumb, the best categories as bars, and what it was made from.

    Where the answer was decided upon, the path is the one that is answered or proposed, and a line says what becomes of it.
    """
    decision = answer.decision
    path, confidence = answer.best.path, answer.best.confidence
    if decision is not None and decision.path:
        path, confidence = decision.path, decision.confidence
    names = "".join(f"<li>{escape(name)}</li>" for name in path)
    used = " and ".join(_INPUTS.get(name, f"the {name}") for name in answer.used)
    facts = [
        f"Judged by {used}",
        f"{answer.latency_s * 1000:.0f} ms",
        f'<span title="request {escape(answer.request_id)}">{escape(answer.model)}, version {escape(answer.version)}</span>',
    ]
    bars = "".join(_bar(category) for category in answer.alternatives)
    return (
        f'<div class="aisle-answer">{_decision_html(decision)}'
        f'<ol class="aisle-path" dir="auto" aria-label="Category">{names}</ol>'
        f'<p class="aisle-sure"><strong>{confidence:.1%}</strong> sure</p>'
        f'<ol class="aisle-bars" aria-label="Most likely categories">{bars}</ol>'
        f'<p class="aisle-facts">{" · ".join(facts)}</p></div>'
    )


@dataclass(frozen=True, slots=True)
class ReviewEntry:
    """A product that somebody should look at: what was asked, what is proposed, and why it is not automatic."""

    asked: str
    proposal: str
    reason: str


def review_entry(plain: Any, title: str) -> ReviewEntry | None:
    """Make an entry of an answer.

    Args:
        plain: The answer as plain values, as it came back from the visitor's page.
        title: What was typed.

    Returns:
        The entry; None for an automatic answer, one without a decision, and an error.
    """
    decision = plain.get("decision") if isinstance(plain, dict) else None
    if not isinstance(decision, dict) or decision.get("action") not in ("review", "abstain"):
        return None
    path = decision.get("path")
    names = path if isinstance(path, list) else []
    proposal = " › ".join(str(name) for name in names[:_MAX_NAMES])
    familiarity, precision = decision.get("familiarity"), decision.get("precision")
    reason = _reason(
        bool(proposal),
        # A page sends 0.0 back as 0.
        familiarity if isinstance(familiarity, (int, float)) else None,
        precision if isinstance(precision, (int, float)) else 0.0,
    )
    return ReviewEntry((title.strip() or "A picture")[:_MAX_TEXT], proposal[:_MAX_TEXT], reason)


def review_html(waiting: Sequence[ReviewEntry]) -> str:
    """Write the list of products to review; nothing when there are none."""
    if not waiting:
        return ""
    rows = "".join(
        f'<tr><td dir="auto">{escape(entry.asked)}</td><td dir="auto">{escape(entry.proposal or "–")}</td>'
        f"<td>{escape(entry.reason)}</td></tr>"
        for entry in waiting
    )
    return (
        f'<details class="aisle-review" open><summary>To review ({len(waiting)})</summary>'
        f"<table><thead><tr><th>Product</th><th>Proposed</th><th>Why</th></tr></thead><tbody>{rows}</tbody></table></details>"
    )


def error_html(error: ClientError, address: str) -> str:
    """Write what went wrong and what to do about it.

    Args:
        error: From the client.
        address: The server that was asked.
    """
    title, text = _explained(error, address)
    return f'<div class="aisle-error" role="alert"><p><strong>{escape(title)}</strong></p><p dir="auto">{escape(text)}</p></div>'


def error_dict(error: ClientError) -> dict[str, dict[str, str]]:
    """Return an error as plain values, for callers of the page's API."""
    text = error.server_text if isinstance(error, RequestError) else str(error)
    return {"error": {"type": type(error).__name__, "text": text}}


def status_html(models: Sequence[ModelIndex], is_ready: bool, address: str) -> str:
    """Write one line: is the server ready, and which models does it have?"""
    ready = [f"{escape(model.name)}&nbsp;{escape(model.version)}" for model in models if model.state == "READY"]
    other = [f"{escape(model.name)}&nbsp;({escape(model.state.lower())})" for model in models if model.state != "READY"]
    state = "Ready" if is_ready else "Not ready yet"
    listing = ", ".join([*ready, *other]) or "no models"
    return (
        f'<details class="aisle-status {"is-ready" if is_ready else "is-waiting"}"><summary>{state}'
        f" · {escape(address)} · {len(ready)} {'model' if len(ready) == 1 else 'models'}</summary><p>{listing}</p></details>"
    )


def away_html(address: str) -> str:
    """Write the status of a server that does not answer."""
    return f'<p class="aisle-status is-away">No server answers at {escape(address)}</p>'


def _explained(error: ClientError, address: str) -> tuple[str, str]:
    match error:
        case PictureError():
            return "The picture cannot be read", str(error)
        case MissingInputError():
            text = str(error)
            return "Nothing to judge by", f"{text[:1].upper()}{text[1:]}."
        case InvalidInputError():
            return "This cannot be sent", str(error)
        case UnavailableError():
            return "The server is away", f"{address} does not answer, or not yet. Is “aisle serve” running?"
        case DeadlineExceededError():
            return "The server takes too long", f"{address} did not answer in time. Try again in a moment."
        case PictureRefusedError():
            return "The picture cannot be read", error.reason.removeprefix("the picture cannot be read: ")
        case InvalidArgumentError():
            return "The server cannot use this", error.reason
        case NotFoundError():
            return "The server has no such model", error.server_text
        case RequestError():
            return "The server failed", error.server_text
        case _:
            return "Something went wrong", str(error)


def _decision_html(decision: Decision | None) -> str:
    if decision is None:
        return ""
    why = ""
    if decision.action != "auto":
        why = f" {_reason(bool(decision.path), decision.familiarity, decision.precision)}"
    return (
        f'<p class="aisle-decision is-{decision.action}"><strong>{_DECISIONS[decision.action]}</strong>'
        f" at {decision.precision:.0%} precision.{escape(why)}</p>"
    )


def _reason(is_proposed: bool, familiarity: float | None, precision: float) -> str:
    if familiarity is not None and familiarity < _SELDOM:
        return f"Unlike the known products: {familiarity:.1%} of them look as strange."
    if is_proposed:
        return f"Not sure enough of more for {precision:.0%} precision."
    return "No category is likely enough to be proposed."


def _bar(category: Category) -> str:
    percent = f"{min(max(category.confidence, 0.0), 1.0):.1%}"
    *parents, leaf = category.path
    above = f"<small>{escape(' › '.join(parents))}</small>" if parents else ""
    return (
        f'<li style="--share: {percent}"><span class="aisle-label" dir="auto">{escape(leaf)}{above}</span>'
        f'<span class="aisle-percent">{percent}</span></li>'
    )
