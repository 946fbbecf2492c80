"""`pb_utils.InferenceResponseSender`: how a model answers a request while it executes, or after it has.

Source: Triton's python backend, "Decoupled mode"; its texts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Any, Final, TypeAlias

from aisle_server.backends.backend import ResponseSender
from aisle_server.backends.python.errors import TritonModelException
from aisle_server.backends.python.response import InferenceResponse
from aisle_server.errors import InferenceServerError, InternalError
from aisle_server.inference import Cancellation
from aisle_server.inference import InferenceResponse as ServerResponse

TRITONSERVER_RESPONSE_COMPLETE_FINAL: Final = 1

Result: TypeAlias = ServerResponse | InferenceServerError
_UNABLE: Final = "Unable to send response. "


class InferenceResponseSender:
    """Sends the responses to one request. Any thread may send, one response after another.

    A sender that the model lets go of without a final response sends one, with an error: its caller would wait for ever.
    """

    def __init__(
        self,
        sender: ResponseSender,
        to_result: Callable[[Any], Result],
        is_cancelled: Callable[[], bool],
        *,
        is_decoupled: bool,
    ) -> None:
        """Wrap the server's sender.

        Args:
            sender: Of the server.
            to_result: Checks a response against the model configuration; an error when it does not fit.
            is_cancelled: Whether the request's caller has left.
            is_decoupled: Whether the model may send any number of responses.
        """
        self._sender = sender
        self._to_result = to_result
        self._is_cancelled = is_cancelled
        self._is_decoupled = is_decoupled
        self._lock = Lock()
        self._count = 0
        self._is_closed = False

    def send(self, response: InferenceResponse | None = None, flags: int = 0) -> None:
        """Send a response.

        Args:
            response: None only together with the flag, when no response but the end is left to say.
            flags: TRITONSERVER_RESPONSE_COMPLETE_FINAL with the last one, else 0.

        Raises:
            TritonModelException: The flags are none of these, there is nothing to send, or the end has been sent before.
        """
        if flags not in (0, TRITONSERVER_RESPONSE_COMPLETE_FINAL):
            raise TritonModelException(f"{_UNABLE}Unsupported flag provided.")
        if response is None and not flags:
            raise TritonModelException(
                "Inference Response object must be provided when the response flags is set to zero."
            )
        self._count_in(response is not None, is_final=bool(flags))
        self._sender.send(None if response is None else self._to_result(response), is_final=bool(flags))

    def is_cancelled(self) -> bool:
        """Return whether nobody waits for a response any more: the caller has left, or the caller's deadline has passed."""
        return self._is_cancelled()

    def _count_in(self, has_response: bool, *, is_final: bool) -> None:
        with self._lock:
            if self._is_closed:
                raise TritonModelException(f"{_UNABLE}Response sender has been closed.")
            if not self._is_decoupled and has_response and self._count:
                raise TritonModelException(f"{_UNABLE}Non-decoupled model cannot send more than one response.")
            if not self._is_decoupled and not has_response and not self._count:
                raise TritonModelException(
                    f"{_UNABLE}Non-decoupled model cannot send complete final before sending a response."
                )
            self._is_closed = is_final
            self._count += 1

    def __del__(self) -> None:
        # A thread that is started while the interpreter goes never begins.
        if self._is_closed or sys.is_finalizing():
            return
        error = InternalError("the model ended without a final response to the request")
        # On a thread of its own: sending may have to wait, and this may run in the middle of anything.
        Thread(target=self._sender.send, args=(error,), kwargs={"is_final": True}, daemon=True).start()


class OneResponse:
    """Keeps the one response of a model that is not decoupled and sends it through a sender."""

    def __init__(self) -> None:
        self._result: Result | None = None
        self._has_come = Event()

    def send(self, result: Result | None, *, is_final: bool) -> None:
        """Keep the first response; an end that comes behind it says nothing new. See `ResponseSender.send`."""
        if not self._has_come.is_set():
            self._result = result
            self._has_come.set()

    def wait(self) -> Result:
        """Return the response when it has come."""
        self._has_come.wait()
        assert self._result is not None
        return self._result


def caller_has_left(cancellation: Cancellation, deadline_ns: int | None) -> bool:
    """Return whether nobody waits for the answer to a request any more."""
    return (deadline_ns is not None and time.monotonic_ns() > deadline_ns) or cancellation.is_requested
