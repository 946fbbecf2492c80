"""The page on a free port, in a thread of the test's own process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from aisle_client import Categorizer, ClientOptions
from aisle_demo.hosting import HostedPage


@contextmanager
def hosted(server: str) -> Iterator[str]:
    """Host the page of a server; yields the page's address once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener, Categorizer(ClientOptions(address=server)) as categorizer:
        page = HostedPage(categorizer, listener)
        thread = threading.Thread(target=page.run)
        thread.start()
        try:
            while thread.is_alive() and not page.is_up:
                time.sleep(0.05)
            yield page.url
        finally:
            page.stop()
            thread.join(20)
