"""Which model's code is running, for the functions of `triton_python_backend_utils` that take no argument to tell.

Set around every call into a model, so it is known on the instance's thread and in coroutines that the call runs. On a thread that a
model has started, where such things are not inherited, it is read off the model's code on the stack: `ModelPackage` puts it among the
builtins of the model's modules.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aisle_server.backends.backend import ModelCaller
from aisle_server.backends.metric_families import Metrics

# What a module of a model finds its model by.
BUILTIN_NAME: Final = "__triton_python_model__"


@dataclass(frozen=True, slots=True)
class CurrentModel:
    """The model whose code is running.

    Attributes:
        name: Of the model.
        version: Of the model.
        directory: `<repository>/<model>/<version>`.
        model_caller: Executes other models for it; None where there are none.
        metrics: Takes what it counts for itself; None where nobody looks.
    """

    name: str
    version: int
    directory: Path
    model_caller: ModelCaller | None = None
    metrics: Metrics | None = None


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
    model = _current.get()
    frame = inspect.currentframe()
    while model is None and frame is not None:
        model = frame.f_builtins.get(BUILTIN_NAME)
        frame = frame.f_back
    return model
