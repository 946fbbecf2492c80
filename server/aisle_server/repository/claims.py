"""Which models are being changed at the moment: changes of related models take turns, those of unrelated ones run side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    """A change that is under way or waits. `names` is None when it is about every model."""

    names: frozenset[str] | None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def overlaps(self, other: _Claim) -> bool:
        return self.names is None or other.names is None or not self.names.isdisjoint(other.names)


class Claims:
    """Claims on models, first come first served."""

    def __init__(self) -> None:
        """Begin with none."""
        self._claims: list[_Claim] = []

    @asynccontextmanager
    async def hold(self, names: Collection[str] | None) -> AsyncIterator[None]:
        """Wait until every earlier claim on one of these models has ended, then hold the models.

        Args:
            names: Of the models; None for all there are.
        """
        claim = _Claim(None if names is None else frozenset(names))
        before = [each for each in self._claims if each.overlaps(claim)]
        self._claims.append(claim)
        try:
            for each in before:
                await each.ended.wait()
            yield
        finally:
            self._claims.remove(claim)
            claim.ended.set()
