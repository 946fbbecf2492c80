"""What can go wrong when a server is asked, free of any transport.

    ClientError
    ├── InvalidInputError             refused here, before anything was sent
    │   ├── MissingInputError             nothing that the model takes
    │   └── PictureError                  a picture that cannot be read, is too large, or cannot be encoded
    ├── MissingDependencyError        an optional package is needed; the text ends with the line that installs it
    ├── RequestError                  a call that did not end in an answer
    │   ├── UnavailableError              not now: not ready, queue full, stopping; the same call may succeed later
    │   │   └── ServerUnreachableError        nobody answers at this address
    │   ├── DeadlineExceededError         the answer did not come in time
    │   ├── CallCancelledError            somebody cancelled the call
    │   ├── InvalidArgumentError          the request is wrong, and would be wrong again
    │   │   └── PictureRefusedError           the server cannot read the picture
    │   ├── NotFoundError                 no such model or version
    │   ├── AccessDeniedError             who you are, or what you may do
    │   ├── UnsupportedError              the server does not offer this
    │   ├── ResourceExhaustedError        more than you may ask
    │   │   └── MessageTooLargeError          more than one side takes in one message
    │   └── ServerError                   theirs to mend: internal and unknown errors
    ├── CatalogueError                a catalogue's file cannot be read, or the results are another catalogue's
    └── ProtocolError                 an answer that is not what the protocol promises

`transport.py` gives each gRPC status its class: the one table.
"""

from __future__ import annotations

import re
from typing import Final

_ROW: Final = re.compile(r"^.*?\brow \d+: ", re.DOTALL)


class ClientError(Exception):
    """Base of all errors of this package."""


class InvalidInputError(ClientError, ValueError):
    """What was given cannot be asked; nothing was sent."""


class MissingInputError(InvalidInputError):
    """A product has nothing that the model takes, such as a title or a picture."""


class PictureError(InvalidInputError):
    """A picture cannot be read, is too large, or cannot be encoded."""


class MissingDependencyError(ClientError, ImportError):
    """An optional package is not installed."""


class CatalogueError(ClientError):
    """A catalogue's file cannot be read, or the results are another catalogue's."""


class ProtocolError(ClientError):
    """The server's answer is not what the protocol promises."""


class RequestError(ClientError):
    """A call that did not end in an answer.

    Attributes:
        server_text: What the server (or, when none was reached, the transport) said.
        request_id: The id the request went out with; empty when the call carries none.
    """

    def __init__(self, server_text: str, *, request_id: str = "") -> None:
        super().__init__(server_text)
        self.server_text = server_text
        self.request_id = request_id

    @property
    def reason(self) -> str:
        """What was wrong, without the place: Aisle's models begin with `row <n>: `, which a caller with one product never counted."""
        return _ROW.sub("", self.server_text)

    def __str__(self) -> str:
        return f"{self.server_text} (request {self.request_id})" if self.request_id else self.server_text


class UnavailableError(RequestError):
    """Not now: not ready, queue full, stopping. The same call may succeed later."""


class ServerUnreachableError(UnavailableError):
    """Nobody answers at this address."""


class DeadlineExceededError(RequestError):
    """The answer did not come in time."""


class CallCancelledError(RequestError):
    """The call was cancelled, here or by the server."""


class InvalidArgumentError(RequestError):
    """The server refuses the request, and would refuse it again."""


class PictureRefusedError(InvalidArgumentError):
    """The server cannot read the picture: it is none, damaged, or too large; `reason` says which."""


class NotFoundError(RequestError):
    """The server has no such model or version."""


class AccessDeniedError(RequestError):
    """The server does not know who is asking, or does not allow it."""


class UnsupportedError(RequestError):
    """The server does not offer this."""


class ResourceExhaustedError(RequestError):
    """More than the caller may ask."""


class MessageTooLargeError(ResourceExhaustedError):
    """A request or an answer is larger than one side takes in one message."""


class ServerError(RequestError):
    """The server failed; its log knows why."""
