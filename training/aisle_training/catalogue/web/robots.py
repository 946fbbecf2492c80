"""What a site's robots.txt allows us.

The parser is the standard library's. It takes the first rule that fits where RFC 9309 takes the longest, and knows no
`*` inside a path; sites that mean it write rules that both read alike.
"""

from __future__ import annotations

from typing import Final
from urllib.robotparser import RobotFileParser

from aisle_training.catalogue.web.addresses import origin, parse_address
from aisle_training.catalogue.web.errors import FetchError
from aisle_training.catalogue.web.fetcher import USER_AGENT, Fetcher

_MAX_BYTES: Final = 500 << 10  # RFC 9309, 2.5: crawlers read at least so much


class Robots:
    """The robots.txt of each site that is asked, read once."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._rules: dict[str, RobotFileParser | FetchError] = {}

    def check(self, address: str) -> None:
        """Make sure that we may fetch an address.

        A site without robots.txt allows everything. One whose robots.txt cannot be had just now allows nothing until it
        can. A `Crawl-delay` is obeyed from here on.

        Raises:
            FetchError: We may not; the error is transient where the rules could not be had.

        Source: RFC 9309, 2.3.1.
        """
        url = parse_address(address)
        site = origin(url)
        if site not in self._rules:
            self._rules[site] = self._read(site, url.host)
        rules = self._rules[site]
        if isinstance(rules, FetchError):
            raise rules
        if not rules.can_fetch(USER_AGENT, str(url)):
            raise FetchError(f"{site}/robots.txt does not allow {url.path[:200]} to {USER_AGENT.partition('/')[0]}")

    def _read(self, site: str, host: str) -> RobotFileParser | FetchError:
        rules = RobotFileParser()
        try:
            text = self._fetcher.fetch(f"{site}/robots.txt", _MAX_BYTES).decode("utf-8-sig", errors="replace")
        except FetchError as error:
            if error.status is None or not 400 <= error.status < 500 or error.is_transient:
                return FetchError(f"what {site} allows is not known: {error}", is_transient=error.is_transient)
            text = ""
        rules.parse(text.splitlines())
        delay_s = rules.crawl_delay(USER_AGENT)
        if delay_s is not None:
            self._fetcher.slow_down(host, float(delay_s))
        return rules
