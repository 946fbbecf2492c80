"""A shop's product API on 127.0.0.1, in the shape of ShopStyle's, that fails where a test asks it to."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

BASE = "/api/v2"


@dataclass(frozen=True)
class ShopProduct:
    """A product as the shop has it, its picture included; `picture` None for a product without one."""

    id: int
    name: str
    description: str
    category: str
    picture: bytes | None
    brand: str = "Aster"
    price: float = 9.5


@dataclass
class ProductApiServer:
    """Used as a context manager.

    Attributes:
        categories: As the API gives them: id, name, parentId.
        products: In the order in which their categories list them.
        robots: The text of robots.txt; None for status 404.
        faults: Path -> what to do instead of answering, for one request after the other; see `_Handler`.
        pause_s: How long to think before each answer.
        asked: How often each path was asked for; pages of products count by category and offset.
        keys: The `pid`s that came.
    """

    categories: list[Mapping[str, Any]]
    products: list[ShopProduct]
    robots: str | None = None
    faults: dict[str, list[str]] = field(default_factory=dict)
    pause_s: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)

    def __enter__(self) -> ProductApiServer:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        return self.origin + BASE

    def answer(self, path: str, query: Mapping[str, str]) -> tuple[int, bytes]:
        """Answer a request: status and body."""
        if path == "/robots.txt":
            return (404, b"") if self.robots is None else (200, self.robots.encode())
        if path == f"{BASE}/categories":
            return 200, json.dumps({"metadata": {"root": {"id": "all"}}, "categories": self.categories}).encode()
        if path == f"{BASE}/products":
            found = [product for product in self.products if product.category == query["cat"]]
            offset = int(query["offset"])
            page = found[offset : offset + int(query["limit"])]
            metadata = {"offset": offset, "limit": int(query["limit"]), "total": len(found)}
            return 200, json.dumps({"metadata": metadata, "products": [self._as_json(one) for one in page]}).encode()
        for product in self.products:
            if path == f"/pictures/{product.id}.jpg" and product.picture is not None:
                return 200, product.picture
        return 404, b""

    def _as_json(self, product: ShopProduct) -> dict[str, Any]:
        answer = {
            "id": product.id,
            "name": product.name,
            "description": product.description,
            "brand": {"name": product.brand},
            "price": product.price,
            "categories": [{"id": product.category}],
        }
        if product.picture is not None:
            url = f"{self.origin}/pictures/{product.id}.jpg"
            answer["image"] = {"sizes": {"Small": {"url": url + "?small"}, "XLarge": {"url": url}}}
        return answer


def _handler(shop: ProductApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            key = url.path.removeprefix(BASE)
            if key == "/products":
                key += f"/{query['cat']}/{query['offset']}"
            shop.asked[key] += 1
            if "pid" in query:
                shop.keys.add(query["pid"])
            time.sleep(shop.pause_s)
            faults = shop.faults.get(key, [])
            status, body = shop.answer(url.path, query)
            try:
                self._misbehave(faults.pop(0), body) if faults else self._send(status, body)
            except OSError:  # the other side had enough
                self.close_connection = True

        def _misbehave(self, fault: str, body: bytes) -> None:
            match fault.split():
                case ["status", status]:
                    self._send(int(status), b"trouble")
                case ["retry-after", seconds]:
                    self._send(429, b"slower", {"Retry-After": seconds})
                case ["redirect", location]:
                    self._send(302, b"", {"Location": location})
                case ["half"]:  # a whole HTTP message with half of what was meant
                    self._send(200, body[: len(body) // 2])
                case ["cut"]:  # half an HTTP message
                    self._send(200, body[: len(body) // 2], {"Content-Length": str(len(body))})
                    self.close_connection = True
                case ["text", *words]:
                    self._send(200, " ".join(words).encode())
                case ["silence", seconds]:
                    time.sleep(float(seconds))
                    self.close_connection = True
                case ["endless"]:
                    self.send_response(200)
                    self.end_headers()
                    self.close_connection = True
                    while True:
                        self.wfile.write(b"x" * 65536)

        def _send(self, status: int, body: bytes, headers: Mapping[str, str] = {}) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | dict(headers)).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
