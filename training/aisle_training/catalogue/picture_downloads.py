"""Pictures behind a column of addresses, downloaded as they are wanted and kept until the import is done.

The kept files are what makes an import resumable: it may be cut off at any picture, and the next one asks only for those
that are not there yet.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from aisle_training.catalogue.picture_sources import MAX_PICTURE_BYTES, FoundPicture, RefusedPicture
from aisle_training.catalogue.web.addresses import parse_address
from aisle_training.catalogue.web.errors import FetchError
from aisle_training.catalogue.web.fetcher import Fetcher

_THREADS: Final = 8  # a download waits for the network, mostly; the pace of each host is the fetcher's concern


class DownloadedPictures:
    """Pictures by their http or https addresses."""

    def __init__(self, fetcher: Fetcher, folder: Path) -> None:
        """Begin.

        Args:
            fetcher: What downloads.
            folder: Where downloads are kept, made when it is not there. Whoever imports takes it away.
        """
        self._fetcher = fetcher
        self._folder = folder

    def __repr__(self) -> str:
        return f"DownloadedPictures({str(self._folder)!r})"

    def resolve(self, text: str) -> str | RefusedPicture:
        """Bring an address into its one form."""
        try:
            return str(parse_address(text))
        except FetchError as error:
            return RefusedPicture(text, str(error))

    def read(self, wanted: Collection[str]) -> Iterator[FoundPicture | RefusedPicture]:
        """Download the wanted pictures, in the order of `wanted`; what fails is refused with its reason."""
        in_flight: deque[Future[FoundPicture | RefusedPicture]] = deque()
        executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="download")
        try:
            for address in wanted:
                in_flight.append(executor.submit(self._picture, address))
                if len(in_flight) >= 2 * _THREADS:
                    yield in_flight.popleft().result()
            while in_flight:
                yield in_flight.popleft().result()
        finally:
            executor.shutdown(cancel_futures=True)

    def _picture(self, address: str) -> FoundPicture | RefusedPicture:
        # Only the hash of the address names a file.
        name = hashlib.sha256(address.encode()).hexdigest()
        path = self._folder / name[:2] / name
        try:
            return FoundPicture(address, path.read_bytes())
        except FileNotFoundError:
            pass
        try:
            content = self._fetcher.fetch(address, MAX_PICTURE_BYTES)
        except FetchError as error:
            return RefusedPicture(address, str(error))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{name}.{os.getpid()}.partial")
        partial.write_bytes(content)
        partial.replace(path)
        return FoundPicture(address, content)
