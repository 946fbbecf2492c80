"""A worker process as the server sees it: started, told what to do, and known to be dead as soon as it is."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final

from aisle_server.backends.backend import ResponseSender
from aisle_server.backends.python.own_process.channel import Channel
from aisle_server.backends.python.own_process.messages import Answer, Call, Finalize, LogLine, Reply
from aisle_server.backends.python.own_process.server_calls import ServerCalls
from aisle_server.errors import InferenceServerError, InternalError

WORKER_MODULE: Final = "aisle_server.backends.python.own_process.worker"
# Calls of one process that may wait side by side: responses to slow callers, mostly.
_CALLS_AT_A_TIME: Final = 64

_log = logging.getLogger(__name__)


class ProcessEndedError(InternalError):
    """The process ended before it answered."""


class NotSentError(ProcessEndedError):
    """The process had ended before it got the command, which can go to another one."""


class WorkerProcess:
    """A process and the conversation with it. Commands go one at a time; calls come at any time.

    The process is started anew (`spawn`), not forked: a fork of a process with threads inherits their locks, and runtimes do not
    survive it.
    """

    def __init__(self, calls: ServerCalls, ended_text: str) -> None:
        """Start the process.

        Args:
            calls: Answers what it asks for.
            ended_text: What callers are told whose requests it did not answer.

        Raises:
            OSError: The system has no room for another process.
        """
        self._calls = calls
        self._ended_text = ended_text
        self._replies: SimpleQueue[Reply | None] = SimpleQueue()
        self._commanding = Lock()
        self._has_ended = False
        self._answering = ThreadPoolExecutor(_CALLS_AT_A_TIME, thread_name_prefix="worker calls")
        here, there = socket.socketpair()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-m", WORKER_MODULE, str(there.fileno())],
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                # It finds what this process finds, however that was told where to look.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                # Signals from a terminal go to the server alone.
                start_new_session=True,
            )
        self._channel = Channel(here)
        self._reader = Thread(target=self._receive, name=f"worker {self.pid}", daemon=True)
        self._reader.start()

    @property
    def has_ended(self) -> bool:
        """Whether it takes no more commands."""
        return self._has_ended

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def command(self, command: object) -> Any:
        """Have something done, and wait for it.

        Raises:
            NotSentError: The process had ended before.
            ProcessEndedError: The process ended first.
            InferenceServerError: What the command raised.
        """
        with self._commanding:
            try:
                self._channel.send(command)
            except OSError:
                self._reader.join()  # so that `has_ended` says so
                raise NotSentError(self._ended_text) from None
            reply = self._replies.get()
            if reply is None:
                raise ProcessEndedError(self._ended_text)
            if reply.error is not None:
                raise reply.error
            return reply.result

    def execute(self, make_command: Any, requests: Sequence[Any], senders: Sequence[ResponseSender | None]) -> Any:
        """Have a batch executed; requests without a sender are forgotten when it has been.

        Raises:
            NotSentError: The process had ended before, and knows nothing of the requests.
            ProcessEndedError: The process ended first.
        """
        keys = self._calls.enter(requests, senders)
        try:
            return self.command(make_command(requests, keys))
        except NotSentError:
            self._calls.leave(keys)
            raise
        finally:
            self._calls.leave([key for key, sender in zip(keys, senders, strict=True) if sender is None])

    def wait_for_end(self) -> str:
        """Wait until the process has ended.

        Returns:
            How: `exit status 3`, `signal SIGKILL`.
        """
        self._reader.join()
        status = self._process.wait()
        return f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"

    def stop(self, timeout_s: float) -> None:
        """Finalize the instance, and end the process: by itself, or by force when that takes too long."""
        with suppress(OSError):  # it has ended
            self._channel.send(Finalize())
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            _log.warning("process %d did not end within %g s, and is killed", self.pid, timeout_s)
        self.kill()

    def kill(self) -> None:
        """End the process at once, if it has not ended."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _receive(self) -> None:
        try:
            while True:
                message = self._channel.receive()
                match message:
                    case Reply():
                        self._replies.put(message)
                    case LogLine():
                        logging.getLogger(message.name).log(message.level, "%s", message.text)
                    case Call():
                        self._answering.submit(self._begin, message)
        except EOFError:
            pass
        except Exception:
            _log.exception("process %d said what cannot be understood, and is killed", self.pid)
            self._process.kill()
        # Before anybody reads of it: whoever does must not bring the next batch.
        self._has_ended = True
        self._channel.close()
        self._replies.put(None)
        # Not on this thread: a response may have to wait for its caller.
        self._answering.submit(self._calls.abandon, InternalError(self._ended_text))
        self._answering.shutdown(wait=False)

    def _begin(self, call: Call) -> None:
        try:
            result = self._calls.call(call.function, call.arguments)
        except Exception as error:
            self._answer(call.key, None, error)
            return
        if isinstance(result, Future):
            # Futures of the event loop end on the event loop, which must not wait for a socket.
            result.add_done_callback(lambda future: self._answer_later(call.key, future))
        else:
            self._answer(call.key, result, None)

    def _answer_later(self, key: int, future: Future[Any]) -> None:
        try:
            error = future.exception()
            result = None if error is not None else future.result()
            self._answering.submit(self._answer, key, result, error)
        except RuntimeError:  # the process has ended meanwhile
            pass

    def _answer(self, key: int, result: Any, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, InferenceServerError | ValueError):
            _log.error("a call of process %d failed", self.pid, exc_info=error)
            error = InternalError("the call failed; the server's log tells more")
        with suppress(OSError):  # it has ended
            self._channel.send(Answer(key, result, error))
