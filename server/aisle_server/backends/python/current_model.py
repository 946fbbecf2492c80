"""Which model's code is running, for the functions of `triton_python_backend_utils` that take no argument to tell.

Set around every call into a model, so it is known on the instance's thread and in coroutines that the call runs, and not on threads
that a model starts by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CurrentModel:
    """The model whose code is running.

    Attributes:
        name: Of the model.
        version: Of the model.
        directory: `<repository>/<model>/<version>`.
    """

    name: str
    version: int
    directory: Path


_current: ContextVar[CurrentModel | None] = ContextVar("current_model", default=None)


@contextmanager
def running(model: CurrentModel) -> Iterator[None]:
    """Say that the code inside runs for this model."""
    token = _current.set(model)
    try:
        yield
    finally:
        _current.reset(token)


def current_model() -> CurrentModel | None:
    """Return the model whose code is running, None outside of any."""
    return _current.get()
