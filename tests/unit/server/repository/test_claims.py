"""Claims on models."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from aisle_server.repository.claims import Claims


class Changes:
    """Changes that begin when they hold their models, and end when the test says so."""

    def __init__(self) -> None:
        self.claims = Claims()
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, change: str, names: Collection[str] | None) -> None:
        self._ends[change] = asyncio.Event()
        self._tasks[change] = asyncio.create_task(self._run(change, names))
        await settled()

    async def end(self, change: str) -> None:
        self._ends[change].set()
        await settled()

    async def cancel(self, change: str) -> None:
        self._tasks[change].cancel()
        await settled()

    async def _run(self, change: str, names: Collection[str] | None) -> None:
        async with self.claims.hold(names):
            self.begun.append(change)
            await self._ends[change].wait()


async def settled() -> None:
    """Let everything run that does not wait for something else."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_changes_of_unrelated_models_run_side_by_side() -> None:
    """A claim waits for no other that has no model in common with it."""
    changes = Changes()
    await changes.start("first", {"a", "b"})
    await changes.start("second", {"c"})
    assert changes.begun == ["first", "second"]
    await changes.end("second")
    await changes.end("first")


async def test_changes_of_related_models_take_turns() -> None:
    """A claim waits for every earlier one on any of its models; a later one does not overtake one that waits."""
    changes = Changes()
    await changes.start("first", {"a"})
    await changes.start("second", {"a", "b"})
    await changes.start("third", {"b"})
    assert changes.begun == ["first"]
    await changes.end("first")
    assert changes.begun == ["first", "second"]
    await changes.end("second")
    assert changes.begun == ["first", "second", "third"]
    await changes.end("third")


async def test_a_claim_on_everything_waits_for_all_and_all_for_it() -> None:
    """What concerns every model, such as the end of the server, is done alone."""
    changes = Changes()
    await changes.start("one", {"a"})
    await changes.start("all", None)
    await changes.start("other", {"b"})
    assert changes.begun == ["one"]
    await changes.end("one")
    assert changes.begun == ["one", "all"]
    await changes.end("all")
    assert changes.begun == ["one", "all", "other"]
    await changes.end("other")


async def test_one_that_gives_up_lets_the_next_come() -> None:
    """A claim that is cancelled while it waits, or while it holds, stands in nobody's way."""
    changes = Changes()
    await changes.start("first", {"a"})
    await changes.start("second", {"a"})
    await changes.start("third", {"a"})
    await changes.cancel("second")
    assert changes.begun == ["first"]
    await changes.cancel("first")
    assert changes.begun == ["first", "third"]
    await changes.end("third")
