"""A progress bar that appears with the first sign of progress: some commands have nothing to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click

from aisle_training.datasets import Progress


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """Show a bar on the terminal.

    Args:
        label: What stands before the bar.

    Yields:
        To be called with what is done, and with what is wanted in all.
    """
    with ExitStack() as opened:
        bars: list[Any] = []

        def show(done: int, wanted: int) -> None:
            if not bars:
                bars.append(opened.enter_context(click.progressbar(length=wanted, label=label, show_pos=True)))
            bars[0].update(done - bars[0].pos)
            if done == wanted:
                bars[0].render_finish()

        yield show
