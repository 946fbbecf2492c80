"""The page as programs and attackers meet it: over HTTP, without a browser."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from aisle_demo.examples import EXAMPLES
from tests.support.fake_triton import FakeTriton, listening
from tests.support.hosted_page import hosted

META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def fake():
    """The server behind the page."""
    return FakeTriton()


class Visitor:
    """Calls the page's API."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> tuple[int, bytes]:
        """Fetch a path: status and body."""
        return self._open(urllib.request.Request(self._url + path))

    def upload(self, content: bytes) -> str:
        """Upload a file as the page's own form does; returns where it went."""
        body = b"--x\r\nContent-Disposition: form-data; name=files; filename=a.jpg\r\n\r\n" + content + b"\r\n--x--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        request = urllib.request.Request(self._url + "gradio_api/upload", body, headers)
        _, answer = self._open(request)
        return str(json.loads(answer)[0])

    def categorize(self, picture: Any, title: Any = "") -> tuple[str, Any]:
        """Ask; returns how it ended, and the plain values of the answer."""
        body = json.dumps({"data": [picture, title]}).encode()
        headers = {"Content-Type": "application/json"}
        _, answer = self._open(urllib.request.Request(self._url + "gradio_api/call/categorize", body, headers))
        _, events = self.get("gradio_api/call/categorize/" + json.loads(answer)["event_id"])
        event, data = (line.partition(b": ")[2] for line in events.splitlines()[:2])
        values = json.loads(data)
        return event.decode(), values[1] if isinstance(values, list) else values

    def _open(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with self._opener.open(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@pytest.fixture(scope="module")
def visitor(fake):
    """Somebody who calls the page's API."""
    with listening(fake) as address, hosted(address) as url:
        yield Visitor(url)


def test_a_program_asks(visitor):
    """A program uploads a picture, asks with it and a title, and reads plain values."""
    path = visitor.upload(b"\x03")
    event, answer = visitor.categorize({"path": path, "meta": META}, "watches")
    assert event == "complete"
    assert answer["best"]["path"] == ["Accessories", "Watches", "Watches"]
    assert answer["used"] == ["title", "image"]


@pytest.mark.parametrize(
    "meta", [{"meta": META}, {}, {"meta": {"_type": "other"}}], ids=["meta", "no meta", "odd meta"]
)
@pytest.mark.parametrize("url", [{}, {"url": "data:image/png;base64,aGk="}], ids=["no url", "url"])
def test_no_file_of_this_machine(visitor, fake, tmp_path, meta, url):
    """A path that is none of an upload is read by nobody, copied nowhere and served to nobody."""
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"a secret of this machine")
    for path in (
        str(secret),
        f"/tmp/gradio/../..{secret}",
        "/etc/hostname",
        Path(EXAMPLES[0].path).as_posix() + "/../../app.py",
    ):
        before = len(fake.requests)
        event, answer = visitor.categorize({"path": path, **meta, **url})
        assert event == "error" or answer["error"]["type"] == "PictureError"
        assert "secret" not in str(answer)
        assert len(fake.requests) == before
        assert visitor.get(f"gradio_api/file={path}")[0] in (403, 404)
    uploads = Path(visitor.upload(b"x")).parents[1]
    assert not any(file.read_bytes() == secret.read_bytes() for file in uploads.rglob("secret.jpg"))


@pytest.mark.parametrize(
    ("picture", "title"),
    [
        ("/etc/passwd", ""),
        (["x"], ""),
        ({"a": 1}, ""),
        ({"path": None}, ""),
        (None, {"a": 1}),
        (None, 5),
        (None, "\ud800"),
        (5, 5),
    ],
    ids=repr,
)
def test_nonsense(visitor, fake, picture, title):
    """Values of other kinds are errors; no request is made of them and the page goes on."""
    before = len(fake.requests)
    event, answer = visitor.categorize(picture, title)
    assert event == "error" or "error" in answer
    assert "Traceback" not in str(answer)
    assert len(fake.requests) == before
    assert visitor.categorize(None, "shirts")[0] == "complete"


def test_a_long_title(visitor):
    """A title of 50,000 characters is asked like any other."""
    event, answer = visitor.categorize(None, "x" * 50_000)
    assert event == "complete"
    assert answer["used"] == ["title"]


def test_an_upload_that_is_too_large(visitor):
    """An upload over 20 MB is refused while it comes in."""
    body = (
        b"--x\r\nContent-Disposition: form-data; name=files; filename=a.jpg\r\n\r\n"
        + bytes(21 * 2**20)
        + b"\r\n--x--\r\n"
    )
    request = urllib.request.Request(
        visitor._url + "gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    status, _ = visitor._open(request)
    assert status == 413
