"""Products to requests and answers to categorizations: the part of the categorizers that waits for nothing.

A plan is a generator that yields the calls to make and is sent their answers, so that one text serves threads and asyncio.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np

from aisle_client import codec
from aisle_client.categories import Categorization, parse_category
from aisle_client.codec import Call
from aisle_client.decisions import FAMILIARITY, DecisionPolicy
from aisle_client.errors import (
    ClientError,
    InvalidArgumentError,
    InvalidInputError,
    MessageTooLargeError,
    MissingInputError,
    ProtocolError,
    ServerError,
)
from aisle_client.pictures import DEFAULT_MAX_PICTURE_BYTES, Picture, read_picture
from aisle_client.responses import InferResult, RequestedOutput

DEFAULT_MODEL: Final = "product_categorizer"
# The inputs of a model that does not tell its own.
_USUAL_INPUTS: Final = ("TITLE", "IMAGE")
# A request of a batch stays near this size, so that a catalogue of large photographs takes no more memory than one of thumbnails.
_MAX_BATCH_BYTES: Final = 32 * 2**20
# So many categories are asked for where a decision is wanted, whose ancestors need the sum over their leaves. What the rest
# of them has is little, and missing it can only make an ancestor seem less sure.
_DECIDED_ON: Final = 64


@dataclass(frozen=True, slots=True)
class Product:
    """What is known of a product; any of it may be missing. What the model does not take is not sent.

    Attributes:
        title: Its title. A blank one counts as missing.
        image: A path, encoded bytes, a PIL image, or pixels.
        texts: Whatever else a model may take, by name: {"description": "...", "brand": "..."}.
    """

    title: str | None = None
    image: Picture | None = field(default=None, repr=False)
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of many products: a categorization, or the error that this product alone is to blame for.

    Attributes:
        product: The product; None when an error came in its place.
        categorization: The answer.
        error: Why there is none.
    """

    product: Product | None
    categorization: Categorization | None = None
    error: ClientError | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Which model to ask, and for how much.

    Attributes:
        model: An ensemble with inputs IMAGE, TITLE or other texts, and output CATEGORY.
        version: Empty for the one that would serve.
        top_k: How many categories to answer.
        max_picture_bytes: Larger pictures are refused.
        precision: The wanted fraction of right answers among the automatic ones; None for the lowest that the model has
            thresholds for.
        policy: The model's rules for decisions; None when it has none.
        inputs: The model's inputs, those of the product first that are best known.
    """

    model: str = DEFAULT_MODEL
    version: str = ""
    top_k: int = 5
    max_picture_bytes: int = DEFAULT_MAX_PICTURE_BYTES
    precision: float | None = None
    policy: DecisionPolicy | None = None
    inputs: tuple[str, ...] = _USUAL_INPUTS

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise InvalidInputError(f"top_k is {self.top_k}; expected 1 or more")
        if self.precision is not None and not 0.0 < self.precision < 1.0:
            raise InvalidInputError(f"precision is {self.precision}; expected a fraction between 0 and 1, such as 0.95")

    def under(self, policy: DecisionPolicy | None, inputs: tuple[str, ...] = _USUAL_INPUTS) -> Question:
        """Return the question with the model's rules and inputs.

        Raises:
            InvalidInputError: A precision is wanted that the model has no thresholds for.
        """
        if policy is None and self.precision is not None:
            raise InvalidInputError(
                f"precision is {self.precision:g}; but model {self.model!r} has no thresholds to decide by"
            )
        if policy is not None and self.precision is not None:
            policy.check(self.precision)
        return replace(self, policy=policy, inputs=inputs)


@dataclass(frozen=True, slots=True)
class Row:
    """A product ready to send: what it has, encoded, by input of the model. Or the error that keeps it here."""

    product: Product | None
    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    error: ClientError | None = None

    @property
    def used(self) -> tuple[str, ...]:
        """What is there, by the names of `Product`."""
        return tuple(name.lower() for name in self.contents)

    @property
    def size_bytes(self) -> int:
        """What it adds to a request, about."""
        texts = self.product.texts.values() if self.product else ()
        return sum(map(len, self.contents.values())) + sum(len(text) for text in texts if isinstance(text, str))

    def for_inputs(self, question: Question) -> Row:
        """Return the row with what the model takes, and nothing else; with an error when that is nothing."""
        if self.error is not None or self.product is None:
            return self
        texts = {
            name.upper(): (name, text) for name, text in self.product.texts.items() if name.upper() in question.inputs
        }
        try:
            known = {name: _encode_text(text, called) for name, (called, text) in texts.items()} | dict(self.contents)
        except InvalidInputError as error:
            return replace(self, error=error)
        contents = {name: known[name] for name in question.inputs if known.get(name)}
        return replace(self, contents=contents, error=None if contents else _missing(question))


Plan: TypeAlias = Generator[Call[InferResult], InferResult, list[Outcome]]


def prepare(product: Product, question: Question) -> Row:
    """Encode a product.

    Raises:
        InvalidInputError: Nothing is known of it, a text that is not text, a picture that cannot be read.
    """
    contents = {"TITLE": _encode_text(product.title, "title")}
    contents["IMAGE"] = b"" if product.image is None else read_picture(product.image, question.max_picture_bytes)
    contents = {name: content for name, content in contents.items() if content}
    # Other texts are encoded when it is known which of them the model takes.
    if not contents and not product.texts:
        raise _missing(question)
    return Row(product, contents)


def batches(products: Iterable[Product | InvalidInputError], question: Question, size: int) -> Iterator[list[Row]]:
    """Encode products in their order, and cut them into batches of bounded rows and bytes.

    A product that cannot be encoded keeps its place as a row with an error, and so does an error that comes for a product.
    """
    batch: list[Row] = []
    size_bytes = 0
    for product in products:
        row = _row(product, question)
        if batch and size_bytes + row.size_bytes > _MAX_BATCH_BYTES:
            yield batch
            batch, size_bytes = [], 0
        batch.append(row)
        size_bytes += row.size_bytes
        if len(batch) == size:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def call_for(rows: Sequence[Row], question: Question, request_id: str | None) -> Call[InferResult]:
    """Return the call that asks for rows.

    An input that no row has is left out of the request; where some have it, it is empty for the others.
    """
    inputs = {
        name: np.array([*contents, None], dtype=np.object_)[:-1].reshape(-1, 1)  # never NumPy's own strings
        for name in question.inputs
        for contents in [[row.contents.get(name, b"") for row in rows]]
        if any(contents)
    }
    told = question.top_k if question.policy is None else max(question.top_k, _DECIDED_ON)
    outputs = [RequestedOutput("CATEGORY", classification=told)]
    if question.policy is not None and question.policy.measures_familiarity:
        outputs.append(RequestedOutput(FAMILIARITY))
    return codec.model_infer(
        question.model, inputs, outputs, version=question.version, request_id=request_id or uuid.uuid4().hex
    )


def read_answer(result: InferResult, rows: Sequence[Row], question: Question, latency_s: float) -> list[Categorization]:
    """Read the categorizations of rows.

    Raises:
        ProtocolError: Not one list of classes for each row.
    """
    classes = result.outputs.get("CATEGORY")
    if classes is None or classes.dtype != np.object_ or classes.shape[:1] != (len(rows),) or not classes.size:
        came = "nothing" if classes is None else f"{classes.dtype} {list(classes.shape)}"
        raise ProtocolError(f"output 'CATEGORY' came as {came}; expected the classes of {len(rows)} rows as BYTES")
    familiarity = _familiarity(result, rows, question)
    return [
        _categorization(result, row, row_classes.reshape(-1).tolist(), question, latency_s, familiar)
        for row, row_classes, familiar in zip(rows, classes, familiarity, strict=True)
    ]


def plan(rows: Sequence[Row], question: Question, clock: Callable[[], float]) -> Plan:
    """Ask for rows in one request, and find the culprits when the server refuses it.

    The server answers a request as a whole. So a refused one is asked again in halves, until each refusal is one row's.
    A server that fails on one row may have met its match; one that fails on all is broken, and that is no row's fault.

    Yields:
        Calls, whose answer is sent in or whose error is thrown in.

    Returns:
        The outcome of each row, in their order.

    Raises:
        ServerError: The server failed on every one of several rows.
    """
    rows = [row.for_inputs(question) for row in rows]
    sendable = [row for row in rows if row.error is None]
    answers = yield from _ask(sendable, question, clock)
    failures = [answer for answer in answers if isinstance(answer, ServerError)]
    if len(failures) == len(answers) > 1:
        raise failures[0]
    outcomes = []
    remaining = iter(answers)
    for row in rows:
        answer = row.error or next(remaining)
        if isinstance(answer, ClientError):
            outcomes.append(Outcome(row.product, error=answer))
        else:
            outcomes.append(Outcome(row.product, categorization=answer))
    return outcomes


def _ask(
    rows: Sequence[Row], question: Question, clock: Callable[[], float]
) -> Generator[Call[InferResult], InferResult, list[Categorization | ClientError]]:
    if not rows:
        return []
    started_s = clock()
    try:
        result = yield call_for(rows, question, None)
    except (InvalidArgumentError, MessageTooLargeError, ServerError) as error:
        if len(rows) == 1:
            return [error]
        middle = len(rows) // 2
        first = yield from _ask(rows[:middle], question, clock)
        second = yield from _ask(rows[middle:], question, clock)
        return [*first, *second]
    return [*read_answer(result, rows, question, clock() - started_s)]


def _categorization(
    result: InferResult,
    row: Row,
    elements: list[bytes],
    question: Question,
    latency_s: float,
    familiarity: float | None,
) -> Categorization:
    categories = tuple(parse_category(element) for element in elements)
    decision = None
    if question.policy is not None:
        decision = question.policy.decide(categories, familiarity, row.used, question.precision)
    return Categorization(
        alternatives=categories[: question.top_k],
        asked=question.top_k,
        model=result.model,
        version=result.version,
        request_id=result.id,
        used=row.used,
        latency_s=latency_s,
        decision=decision,
    )


def _familiarity(result: InferResult, rows: Sequence[Row], question: Question) -> Sequence[float | None]:
    if question.policy is None or not question.policy.measures_familiarity:
        return [None] * len(rows)
    familiarity = result.outputs.get(FAMILIARITY)
    if familiarity is None or familiarity.dtype.kind != "f" or familiarity.size != len(rows):
        came = "nothing" if familiarity is None else f"{familiarity.dtype} {list(familiarity.shape)}"
        raise ProtocolError(f"output {FAMILIARITY!r} came as {came}; expected a number for each of {len(rows)} rows")
    values: list[float | None] = familiarity.reshape(-1).tolist()
    return values


def _row(product: Product | InvalidInputError, question: Question) -> Row:
    if isinstance(product, InvalidInputError):
        return Row(None, error=product)
    try:
        return prepare(product, question)
    except InvalidInputError as error:
        return Row(product, error=error)


def read_inputs(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Read the inputs of a model off its configuration, the title first, then the picture; the usual ones where it has none."""
    names = [str(tensor.get("name", "")) for tensor in config.get("input", [])]
    return tuple(sorted(names, key=lambda name: (name != "TITLE", name != "IMAGE"))) or _USUAL_INPUTS


def _missing(question: Question) -> MissingInputError:
    nouns = ["a picture" if name == "IMAGE" else f"a {name.lower().replace('_', ' ')}" for name in question.inputs]
    if len(nouns) == 1:
        return MissingInputError(
            f"{nouns[0].replace('a ', 'no ', 1)} was given, and {question.model} takes nothing else"
        )
    both = "one of them, or both" if len(nouns) == 2 else "one of them, or several"
    return MissingInputError(f"neither {' nor '.join(nouns)} was given; expected {both}")


def _encode_text(text: Any, name: str) -> bytes:
    if text is None:
        return b""
    if not isinstance(text, str):
        raise InvalidInputError(f"a {name} came as {type(text).__name__}; expected str")
    try:
        return text.encode() if text.strip() else b""
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the {name} is not text: character {error.start} is no Unicode character") from None
