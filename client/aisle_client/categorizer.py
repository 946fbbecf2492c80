"""Ask which aisle a product belongs to: products in, categories out; for threads and for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from aisle_client.aio import AsyncInferenceClient
from aisle_client.categories import Categorization
from aisle_client.decisions import DecisionPolicy, read_policy
from aisle_client.errors import AccessDeniedError, ClientError, InvalidInputError, NotFoundError, UnsupportedError
from aisle_client.inference import InferenceClient
from aisle_client.options import ClientOptions
from aisle_client.pictures import Picture
from aisle_client.products import (
    DEFAULT_MODEL,
    Outcome,
    Plan,
    Product,
    Question,
    Row,
    batches,
    call_for,
    plan,
    prepare,
    read_answer,
    read_inputs,
)

# A model's rules are read again after so long: it may have been exported anew.
_POLICY_AGE_S: Final = 60.0
# A server that has no such model says so again when it is asked for a category; one that keeps configurations to itself
# is asked as if there were no rules.
_NO_POLICY: Final = (AccessDeniedError, NotFoundError, UnsupportedError)


class Categorizer:
    """Categorizes products, safe to share between threads.

        with Categorizer("localhost:8001") as categorizer:
            answer = categorizer.categorize(title="Men's blue cotton shirt", image="shirt.jpg")
            answer.best.path, answer.best.confidence

    Args:
        server: `host:port`, options, or a client, which then stays open when this is closed.
        model: An ensemble with inputs IMAGE, TITLE or other texts, and output CATEGORY. What it does not take is not sent.
        version: Empty for the one that would serve.
        top_k: How many categories an answer holds.
        precision: The wanted fraction of right answers among those decided as `auto`. None for the lowest that the model
            has thresholds for; without any, answers come without a decision.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        server: str | ClientOptions | InferenceClient = ClientOptions(),  # noqa: B008 - frozen
        *,
        model: str = DEFAULT_MODEL,
        version: str = "",
        top_k: int = 5,
        precision: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = server if isinstance(server, InferenceClient) else InferenceClient(server)
        self._owns_client = self.client is not server
        self._question = Question(model, version, top_k, precision=precision)
        self._clock = clock
        self._told: tuple[float, DecisionPolicy | None, tuple[str, ...]] | None = None

    def categorize(
        self,
        title: str | None = None,
        image: Picture | None = None,
        *,
        texts: Mapping[str, str] | None = None,
        precision: float | None = None,
        request_id: str | None = None,
        timeout_s: float | None = None,
    ) -> Categorization:
        """Categorize one product by its title, its picture, whatever else the model takes, or some of these.

        What is missing, and what the model does not take, is left out of the request; `used` of the answer says what was sent.

        Args:
            title: Title; a blank one counts as missing.
            image: A path, encoded bytes, a PIL image, or pixels: uint8 [height, width, 3].
            texts: Other texts by name, such as {"description": "..."}.
            precision: Decide at this one; None for the categorizer's own.
            request_id: Comes back with the answer and in errors; None makes one.
            timeout_s: Deadline; None for the options' (10 s).

        Raises:
            InvalidInputError: Nothing was given that the model takes, or it cannot be sent, or there are no thresholds for the precision.
            RequestError: The server did not answer; `InvalidArgumentError` when it cannot read the picture.
        """
        row = prepare(Product(title, image, texts or {}), self._question)
        question = self._decided(timeout_s, precision)
        row = _usable(row, question)
        started_s = self._clock()
        result = self.client.run(call_for([row], question, request_id), timeout_s)
        (categorization,) = read_answer(result, [row], question, self._clock() - started_s)
        return categorization

    def policy(self, *, timeout_s: float | None = None) -> DecisionPolicy | None:
        """Return the rules that the model's repository decides by; None when it has none.

        Raises:
            RequestError: The server did not answer.
            ProtocolError: The rules cannot be read.
        """
        return self._read(timeout_s)[1]

    def inputs(self, *, timeout_s: float | None = None) -> tuple[str, ...]:
        """Return what the model takes, by the names of `Product`: "title", "image", or those of `texts`.

        Raises:
            RequestError: The server did not answer.
            ProtocolError: The rules cannot be read.
        """
        return tuple(name.lower() for name in self._read(timeout_s)[2])

    def categorize_batch(self, products: Sequence[Product], *, timeout_s: float | None = None) -> list[Outcome]:
        """Categorize a batch of products in one request.

        Args:
            products: No more than the model's `max_batch_size`.
            timeout_s: Deadline of each request; None for the options'.

        Returns:
            One outcome a product, in their order. A product that cannot be sent, or that the server refuses, is an error
            in its place; the others are answered.

        Raises:
            RequestError: The server did not answer.
        """
        return [
            outcome
            for rows in batches(products, self._question, max(len(products), 1))
            for outcome in self._carry_out(plan(rows, self._question_of(rows, timeout_s), self._clock), timeout_s)
        ]

    def categorize_many(
        self,
        products: Iterable[Product | InvalidInputError],
        *,
        batch_size: int = 32,
        in_flight: int = 4,
        timeout_s: float | None = None,
    ) -> Iterator[Outcome]:
        """Categorize a stream of products, several batches at a time, reading no further ahead than those.

        Args:
            products: Any iterable, read as answers are taken. Whoever reads products from a file may pass an error in the
                place of one that is not readable; it is its own outcome.
            batch_size: Rows of a request; at most the model's `max_batch_size`.
            in_flight: Requests under way at once.
            timeout_s: Deadline of each request; None for the options'.

        Yields:
            One outcome a product, in their order; see `categorize_batch`.

        Raises:
            RequestError: The server did not answer. Outcomes yielded before are good.
        """
        with ThreadPoolExecutor(in_flight, "categorize") as threads:
            flying: deque[Future[list[Outcome]]] = deque()
            try:
                for rows in batches(products, self._question, batch_size):
                    steps = plan(rows, self._question_of(rows, timeout_s), self._clock)
                    flying.append(threads.submit(self._carry_out, steps, timeout_s))
                    if len(flying) == in_flight:
                        yield from flying.popleft().result()
                while flying:
                    yield from flying.popleft().result()
            finally:  # the caller has had enough, or a request failed: start none of those that wait
                for future in flying:
                    future.cancel()

    def close(self) -> None:
        """Give the connection back, if it was made here."""
        if self._owns_client:
            self.client.close()

    def _decided(self, timeout_s: float | None, precision: float | None = None) -> Question:
        question = self._question if precision is None else replace(self._question, precision=precision)
        _, policy, inputs = self._read(timeout_s)
        return question.under(policy, inputs)

    def _read(self, timeout_s: float | None) -> tuple[float, DecisionPolicy | None, tuple[str, ...]]:
        now_s = self._clock()
        if self._told is None or now_s - self._told[0] > _POLICY_AGE_S:
            try:
                config = self.client.model_config(self._question.model, self._question.version, timeout_s=timeout_s)
            except _NO_POLICY:
                config = {}
            self._told = now_s, read_policy(config), read_inputs(config)
        return self._told

    def _question_of(self, rows: Sequence[Row], timeout_s: float | None) -> Question:
        # Where no row can be sent, no server is bothered for its rules either.
        return self._decided(timeout_s) if any(row.error is None for row in rows) else self._question

    def _carry_out(self, steps: Plan, timeout_s: float | None) -> list[Outcome]:
        try:
            call = next(steps)
            while True:
                try:
                    answer = self.client.run(call, timeout_s)
                except ClientError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as stop:
            outcomes: list[Outcome] = stop.value
            return outcomes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Categorizer({self.client.options.target!r}, model={self._question.model!r})"


class AsyncCategorizer:
    """Categorizes products from asyncio; `Categorizer`, awaited.

        async with AsyncCategorizer("localhost:8001") as categorizer:
            answer = await categorizer.categorize(title="Men's blue cotton shirt")

    Args:
        server: `host:port`, options, or a client, which then stays open when this is closed.
        model: An ensemble with inputs IMAGE, TITLE or other texts, and output CATEGORY. What it does not take is not sent.
        version: Empty for the one that would serve.
        top_k: How many categories an answer holds.
        precision: The wanted fraction of right answers among those decided as `auto`. None for the lowest that the model
            has thresholds for; without any, answers come without a decision.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        server: str | ClientOptions | AsyncInferenceClient = ClientOptions(),  # noqa: B008 - frozen
        *,
        model: str = DEFAULT_MODEL,
        version: str = "",
        top_k: int = 5,
        precision: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = server if isinstance(server, AsyncInferenceClient) else AsyncInferenceClient(server)
        self._owns_client = self.client is not server
        self._question = Question(model, version, top_k, precision=precision)
        self._clock = clock
        self._told: tuple[float, DecisionPolicy | None, tuple[str, ...]] | None = None

    async def categorize(
        self,
        title: str | None = None,
        image: Picture | None = None,
        *,
        texts: Mapping[str, str] | None = None,
        precision: float | None = None,
        request_id: str | None = None,
        timeout_s: float | None = None,
    ) -> Categorization:
        """Categorize one product; see `Categorizer.categorize`. Files are read off the event loop."""
        row = await asyncio.to_thread(prepare, Product(title, image, texts or {}), self._question)
        question = await self._decided(timeout_s, precision)
        row = _usable(row, question)
        started_s = self._clock()
        result = await self.client.run(call_for([row], question, request_id), timeout_s)
        (categorization,) = read_answer(result, [row], question, self._clock() - started_s)
        return categorization

    async def policy(self, *, timeout_s: float | None = None) -> DecisionPolicy | None:
        """Return the rules that the model's repository decides by; see `Categorizer.policy`."""
        return (await self._read(timeout_s))[1]

    async def inputs(self, *, timeout_s: float | None = None) -> tuple[str, ...]:
        """Return what the model takes; see `Categorizer.inputs`."""
        return tuple(name.lower() for name in (await self._read(timeout_s))[2])

    async def categorize_batch(self, products: Sequence[Product], *, timeout_s: float | None = None) -> list[Outcome]:
        """Categorize a batch of products in one request; see `Categorizer.categorize_batch`."""
        size = max(len(products), 1)
        return [
            outcome
            async for outcome in self.categorize_many(products, batch_size=size, in_flight=1, timeout_s=timeout_s)
        ]

    async def categorize_many(
        self,
        products: Iterable[Product | InvalidInputError],
        *,
        batch_size: int = 32,
        in_flight: int = 4,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Outcome]:
        """Categorize a stream of products; see `Categorizer.categorize_many`."""
        cut = batches(products, self._question, batch_size)
        flying: deque[asyncio.Task[list[Outcome]]] = deque()
        try:
            while (rows := await asyncio.to_thread(_next_batch, cut)) is not None:
                steps = plan(rows, await self._question_of(rows, timeout_s), self._clock)
                flying.append(asyncio.create_task(self._carry_out(steps, timeout_s)))
                if len(flying) == in_flight:
                    for outcome in await flying.popleft():
                        yield outcome
            while flying:
                for outcome in await flying.popleft():
                    yield outcome
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    async def close(self) -> None:
        """Give the connection back, if it was made here."""
        if self._owns_client:
            await self.client.close()

    async def _decided(self, timeout_s: float | None, precision: float | None = None) -> Question:
        question = self._question if precision is None else replace(self._question, precision=precision)
        _, policy, inputs = await self._read(timeout_s)
        return question.under(policy, inputs)

    async def _read(self, timeout_s: float | None) -> tuple[float, DecisionPolicy | None, tuple[str, ...]]:
        now_s = self._clock()
        if self._told is None or now_s - self._told[0] > _POLICY_AGE_S:
            try:
                config = await self.client.model_config(
                    self._question.model, self._question.version, timeout_s=timeout_s
                )
            except _NO_POLICY:
                config = {}
            self._told = now_s, read_policy(config), read_inputs(config)
        return self._told

    async def _question_of(self, rows: Sequence[Row], timeout_s: float | None) -> Question:
        return await self._decided(timeout_s) if any(row.error is None for row in rows) else self._question

    async def _carry_out(self, steps: Plan, timeout_s: float | None) -> list[Outcome]:
        try:
            call = next(steps)
            while True:
                try:
                    answer = await self.client.run(call, timeout_s)
                except ClientError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as stop:
            outcomes: list[Outcome] = stop.value
            return outcomes

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncCategorizer({self.client.options.target!r}, model={self._question.model!r})"


def _next_batch(cut: Iterator[list[Row]]) -> list[Row] | None:
    return next(cut, None)


def _usable(row: Row, question: Question) -> Row:
    row = row.for_inputs(question)
    if row.error is not None:
        raise row.error
    return row
