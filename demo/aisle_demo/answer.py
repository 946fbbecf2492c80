"""Answers and errors as HTML. All that comes from outside is escaped here, and nowhere else is HTML made."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from aisle_client import (
    Categorization,
    Category,
    ClientError,
    DeadlineExceededError,
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

WELCOME: Final = (
    '<div class="aisle-note"><p>Give a picture, a title, or both.</p>'
    "<p>The category path appears here, with the confidence the model has in it.</p></div>"
)


def answer_html(answer: Categorization) -> str:
    """Write an answer: the path as a breadcrumb, the best categories as bars, and what it was made from."""
    names = "".join(f"<li>{escape(name)}</li>" for name in answer.best.path)
    used = " and ".join(_INPUTS[name] for name in answer.used)
    facts = [
        f"Judged by {used}",
        f"{answer.latency_s * 1000:.0f} ms",
        f'<span title="request {escape(answer.request_id)}">{escape(answer.model)}, version {escape(answer.version)}</span>',
    ]
    bars = "".join(_bar(category) for category in answer.alternatives)
    return (
        f'<div class="aisle-answer"><ol class="aisle-path" dir="auto" aria-label="Category">{names}</ol>'
        f'<p class="aisle-sure"><strong>{answer.best.confidence:.1%}</strong> sure</p>'
        f'<ol class="aisle-bars" aria-label="Most likely categories">{bars}</ol>'
        f'<p class="aisle-facts">{" · ".join(facts)}</p></div>'
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
            return "Nothing to judge by", "Give a picture, a title, or both."
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


def _bar(category: Category) -> str:
    percent = f"{min(max(category.confidence, 0.0), 1.0):.1%}"
    *parents, leaf = category.path
    above = f"<small>{escape(' › '.join(parents))}</small>" if parents else ""
    return (
        f'<li style="--share: {percent}"><span class="aisle-label" dir="auto">{escape(leaf)}{above}</span>'
        f'<span class="aisle-percent">{percent}</span></li>'
    )
