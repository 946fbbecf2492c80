"""What the server and the process of an instance tell each other.

server -> process                              process -> server
Open, Create, Execute, ExecuteDecoupled,       Reply, one for each
Finalize: one at a time
Answer, one for each Call                      Call: at any time, from any thread of the model
                                               LogLine
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aisle_server.backends.backend import Device
from aisle_server.inference import InferenceRequest
from aisle_server.model_config.schema import ModelConfig


@dataclass(frozen=True, slots=True)
class Open:
    """Import the model's code, and complete its configuration. The reply is the completed one.

    Attributes:
        log_level: Of the server's log; what matters less is not sent.
        auto_complete_config: Whether the model completes its configuration.
    """

    config: ModelConfig
    version: int
    version_directory: Path
    log_level: int
    auto_complete_config: bool


@dataclass(frozen=True, slots=True)
class Create:
    """Create the instance."""

    name: str
    device: Device


@dataclass(frozen=True, slots=True, eq=False)
class Execute:
    """Execute a batch. The reply is an Execution.

    Attributes:
        keys: By which calls name the requests.
    """

    requests: Sequence[InferenceRequest]
    keys: Sequence[int]


@dataclass(frozen=True, slots=True, eq=False)
class ExecuteDecoupled:
    """Execute a batch of a decoupled model; responses come as calls."""

    requests: Sequence[InferenceRequest]
    keys: Sequence[int]


@dataclass(frozen=True, slots=True)
class Finalize:
    """Finalize the instance; the process ends after its reply."""


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """What came of a command: its result, or what it raised."""

    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """Something that the model wants of the server.

    Attributes:
        key: For the answer.
        function: A method of `ServerCalls`, by name.
        arguments: Its arguments.
    """

    key: int
    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What came of a call: its result, or what it raised."""

    key: int
    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line for the server's log.

    Attributes:
        name: Of the logger.
        level: As `logging` counts.
        text: With its trace, if it has one.
    """

    name: str
    level: int
    text: str
