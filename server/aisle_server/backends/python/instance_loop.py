"""The event loop of an instance whose model executes by coroutines: one thread, on which executions take turns.

Source: Triton's python backend, "Async Execute".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any

from aisle_server.backends.python.current_model import CurrentModel, running


class InstanceLoop:
    """Runs coroutines of one model until it is stopped."""

    def __init__(self, current: CurrentModel) -> None:
        """Start the thread.

        Args:
            current: The model whose code runs there.
        """
        self._current = current
        self._loop = asyncio.new_event_loop()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._thread = Thread(target=self._run, name=f"{current.name} loop", daemon=True)
        self._thread.start()

    def start(self, execution: Coroutine[Any, Any, Any], on_failure: Callable[[BaseException], None]) -> None:
        """Run a coroutine beside those that are under way, and return at once.

        Args:
            execution: What it returns is dropped.
            on_failure: Called on the thread with what the coroutine raises.
        """
        self._loop.call_soon_threadsafe(self._begin, execution, on_failure)

    def stop(self) -> None:
        """Cancel what is under way, and return when the thread has ended."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _begin(self, execution: Coroutine[Any, Any, Any], on_failure: Callable[[BaseException], None]) -> None:
        async def watched() -> None:
            try:
                await execution
            except (Exception, SystemExit) as error:
                on_failure(error)

        # The loop itself holds its tasks weakly.
        task = self._loop.create_task(watched())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _run(self) -> None:
        with running(self._current), asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()
