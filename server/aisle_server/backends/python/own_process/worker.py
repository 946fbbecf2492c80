"""The process of one instance: executes commands on its main thread, and ends when the server is gone.

Started as `python -m aisle_server.backends.python.own_process.worker <descriptor>`; the descriptor is its end of the socket.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, NoReturn, cast
from weakref import finalize

from aisle_server.backends.backend import BackendModel, BackendOptions, DecoupledInstance
from aisle_server.backends.metric_families import FamilyDescription
from aisle_server.backends.python.own_process.channel import Channel
from aisle_server.backends.python.own_process.messages import (
    Answer,
    Call,
    Create,
    Execute,
    ExecuteDecoupled,
    Finalize,
    LogLine,
    Open,
    Reply,
)
from aisle_server.backends.python.python_model import open_in_this_process
from aisle_server.errors import InferenceServerError, InternalError
from aisle_server.inference import Cancellation, InferenceRequest, InferenceResponse, StreamedResponse


class Link:
    """The way to the server: calls go out, answers come back as futures."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._keys = itertools.count()
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = Lock()
        self._later: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    def call_later(self, function: str, argument: Any) -> None:
        """Have the server do something whose time does not matter, with the next call. May run in the middle of anything."""
        self._later.put((function, argument))

    def call(self, function: str, *arguments: Any) -> Future[Any]:
        """Have the server do something."""
        with suppress(Empty):
            while True:
                self._call(*self._later.get_nowait())
        return self._call(function, *arguments)

    def _call(self, function: str, *arguments: Any) -> Future[Any]:
        answer: Future[Any] = Future()
        key = next(self._keys)
        with self._lock:
            self._waiting[key] = answer
        self._channel.send(Call(key, function, arguments))
        return answer

    def tell(self, message: Reply | LogLine) -> None:
        """Send what has no answer."""
        self._channel.send(message)

    def resolve(self, answer: Answer) -> None:
        """Give an answer to the one who waits for it."""
        with self._lock:
            future = self._waiting.pop(answer.key)
        if answer.error is not None:
            future.set_exception(answer.error)
        else:
            future.set_result(answer.result)


class Worker:
    """Serves one instance of one model."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._link = Link(channel)
        self._commands: SimpleQueue[Any] = SimpleQueue()
        self._model: BackendModel | None = None
        self._instance: DecoupledInstance | None = None

    def run(self) -> None:
        """Execute commands until the instance is finalized."""
        Thread(target=self._receive, name="server", daemon=True).start()
        while True:
            command = self._commands.get()
            try:
                self._link.tell(Reply(self._done(command)))
            except InferenceServerError as error:
                self._link.tell(Reply(error=error))
            except Exception:
                logging.getLogger(__name__).exception("%s failed", type(command).__name__)
                self._link.tell(Reply(error=InternalError("the process of the instance failed")))
            if isinstance(command, Finalize):
                return

    def _receive(self) -> NoReturn:
        try:
            while True:
                message = self._channel.receive()
                if isinstance(message, Answer):
                    self._link.resolve(message)
                else:
                    self._commands.put(message)
        except EOFError:
            # The server has died, or does not want this process any more. Whatever the model is doing, nobody waits for it.
            os._exit(1)

    def _done(self, command: Any) -> Any:
        match command:
            case Open():
                _log_to(self._link, command.log_level)
                options = BackendOptions(
                    auto_complete_config=command.auto_complete_config,
                    model_caller=RemoteModelCaller(self._link),
                    metrics=RemoteMetrics(self._link),
                )
                self._model = open_in_this_process(command.config, command.version, command.version_directory, options)
                return self._model.config
            case Create():
                assert self._model is not None
                self._instance = cast(DecoupledInstance, self._model.create_instance(command.name, command.device))
                return None
            case Execute():
                assert self._instance is not None
                return self._instance.execute(self._received(command.requests, command.keys))
            case ExecuteDecoupled():
                assert self._instance is not None
                senders = [RemoteSender(self._link, key) for key in command.keys]
                return self._instance.execute_decoupled(self._received(command.requests, command.keys), senders)
            case Finalize():
                if self._instance is not None:
                    self._instance.finalize()
                if self._model is not None:
                    self._model.close()
        return None

    def _received(self, requests: Sequence[InferenceRequest], keys: Sequence[int]) -> list[InferenceRequest]:
        return [
            request.changed(cancellation=RemoteCancellation(self._link, key))
            for request, key in zip(requests, keys, strict=True)
        ]


class RemoteCancellation(Cancellation):
    """Asks the server each time whether the caller has left."""

    __slots__ = ("_key", "_link")

    def __init__(self, link: Link, key: int) -> None:
        self._link = link
        self._key = key

    @property
    def is_requested(self) -> bool:  # type: ignore[override]
        """Whether the caller has left."""
        return bool(self._link.call("is_cancelled", self._key).result())


class RemoteSender:
    """Sends the responses to one request; see `ResponseSender`."""

    def __init__(self, link: Link, key: int) -> None:
        self._link = link
        self._key = key

    def send(self, result: InferenceResponse | InferenceServerError | None, *, is_final: bool) -> None:
        """Pass a response on, and wait until the server has taken it."""
        self._link.call("send", self._key, result, is_final).result()


class RemoteModelCaller:
    """Executes other models on the server; see `ModelCaller`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def infer(self, request: InferenceRequest) -> Future[InferenceResponse]:
        """Execute a model that answers once."""
        return self._link.call("infer", request)

    def stream(self, request: InferenceRequest) -> RemoteReader:
        """Execute a model that answers any number of times."""
        return RemoteReader(self._link, self._link.call("open_stream", request).result())


class RemoteReader:
    """Reads responses that the server keeps; see `ResponseReader`."""

    def __init__(self, link: Link, key: int) -> None:
        self._link = link
        self._key = key

    def next(self) -> Future[StreamedResponse]:
        """Ask for the next response."""
        return self._link.call("next_response", self._key)

    def close(self) -> None:
        """Say that nobody reads any further."""
        self._link.call("close_stream", self._key)


class RemoteMetrics:
    """Has metrics kept by the server; see `Metrics`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def metric(self, family: FamilyDescription, labels: Mapping[str, str], buckets: Sequence[float]) -> RemoteMetric:
        """Return a series."""
        key = self._link.call("open_metric", family, dict(labels), tuple(buckets)).result()
        return RemoteMetric(self._link, key)


class RemoteMetric:
    """A series that the server keeps, until this is let go of; see `Metric`."""

    def __init__(self, link: Link, key: int) -> None:
        self._link = link
        self._key = key
        finalize(self, link.call_later, "close_metric", key).atexit = False

    def increment(self, value: float) -> None:
        """Add to a counter or a gauge."""
        self._use("increment", value)

    def set(self, value: float) -> None:
        """Set a gauge."""
        self._use("set", value)

    def observe(self, value: float) -> None:
        """Count a value into the buckets of a histogram."""
        self._use("observe", value)

    def value(self) -> float:
        """Return the value of a counter or a gauge."""
        return float(self._use("value"))

    def _use(self, operation: str, *arguments: float) -> Any:
        return self._link.call("use_metric", self._key, operation, arguments).result()


class _LogHandler(logging.Handler):
    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # the server is gone, and this process will be in a moment
            self._link.tell(LogLine(record.name, record.levelno, self.format(record)))


def _log_to(link: Link, level: int) -> None:
    logging.basicConfig(handlers=[_LogHandler(link)], level=level, format="%(message)s", force=True)


def main() -> None:
    """Serve the socket that the server has left open."""
    # An interrupt from the terminal is the server's business, which then says what to do here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Worker(Channel(socket.socket(fileno=int(sys.argv[1])))).run()
    # Threads that the model has left behind do not keep the process.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
