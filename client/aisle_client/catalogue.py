"""A catalogue's CSV file in, a file of results out: streaming, in order, and able to go on where it stopped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from aisle_client.catalogue_file import CatalogueFile
from aisle_client.categorizer import Categorizer
from aisle_client.errors import DeadlineExceededError, RequestError, UnavailableError
from aisle_client.options import RetryPolicy
from aisle_client.results_file import ResultsFile

# How long to wait before a server that was away is asked again.
_WAITS: Final = RetryPolicy(initial_backoff_s=1.0, max_backoff_s=15.0)
_ItemT = TypeVar("_ItemT")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a catalogue has come.

    Attributes:
        done: Rows that the results hold.
        errors: Those of this run that hold an error.
        skipped: Those that an earlier run had done.
    """

    done: int
    errors: int
    skipped: int


def categorize_catalogue(
    categorizer: Categorizer,
    catalogue: CatalogueFile,
    results: Path,
    *,
    top_k: int = 1,
    is_decided: bool = False,
    batch_size: int = 32,
    in_flight: int = 4,
    patience_s: float = 120.0,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_wait: Callable[[RequestError, float], None] = lambda error, wait_s: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Progress:
    """Categorize a catalogue and append to its results, which hold one row a product, in the catalogue's order.

    Rows that the results already hold are not asked again, so a run that was stopped goes on where it stopped. A product
    that cannot be categorized is a row with an error. Memory does not grow with the catalogue.

    Args:
        categorizer: Asks; its `top_k` is at least the one given here.
        catalogue: The products.
        results: CSV; made, or gone on with. No other process writes to it meanwhile.
        top_k: How many categories a row holds.
        is_decided: Whether rows hold decisions; the categorizer then has a precision.
        batch_size: Rows of a request.
        in_flight: Requests under way at once.
        patience_s: How long to wait for a server that has stopped answering, before giving up.
        on_progress: Told after each row, and once before the first.
        on_wait: Told the error and the wait, in seconds, before the server is asked again.
        clock: Monotonic seconds.
        sleep: Waits.

    Returns:
        What was done.

    Raises:
        CatalogueError: The catalogue cannot be read, or the results are not this catalogue's.
        RequestError: The server stayed away. What was answered before is in the results.
    """
    with ResultsFile(results, top_k, is_decided=is_decided) as file:
        source = catalogue.rows()
        done = skipped = file.skip(row.id for row in source)
        rows = _Replay(source)
        errors = failures = 0
        failing_since_s = 0.0
        on_progress(Progress(done, errors, skipped))
        while True:
            try:
                for outcome in categorizer.categorize_many(
                    (row.product for row in rows), batch_size=batch_size, in_flight=in_flight
                ):
                    failures = 0
                    file.write(rows.settle().id, outcome)
                    done += 1
                    errors += outcome.error is not None
                    on_progress(Progress(done, errors, skipped))
            except (UnavailableError, DeadlineExceededError) as error:
                failures += 1
                failing_since_s = clock() if failures == 1 else failing_since_s
                wait_s = _WAITS.backoff_s(failures, jitter=1.0)
                if clock() + wait_s - failing_since_s > patience_s:
                    raise
                rows.rewind()
                on_wait(error, wait_s)
                sleep(wait_s)
            else:
                return Progress(done, errors, skipped)


class _Replay(Iterator[_ItemT], Generic[_ItemT]):
    """An iterator that can go back to the first item that is not settled; it holds the unsettled ones alone."""

    def __init__(self, items: Iterator[_ItemT]) -> None:
        self._items = items
        self._unsettled: deque[_ItemT] = deque()
        self._again: deque[_ItemT] = deque()

    def __next__(self) -> _ItemT:
        item = self._again.popleft() if self._again else next(self._items)
        self._unsettled.append(item)
        return item

    def settle(self) -> _ItemT:
        """Forget the oldest unsettled item, and return it."""
        return self._unsettled.popleft()

    def rewind(self) -> None:
        """Go back to the oldest unsettled item."""
        self._again.extendleft(reversed(self._unsettled))
        self._unsettled.clear()
