"""A real browser for tests: headless Chromium, driven over the WebDriver protocol with nothing but the standard library."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
WHY_NOT = None if CHROMIUM and CHROMEDRIVER else "needs chromium and chromedriver on the PATH"

# W3C WebDriver, section 12: the key under which an element's reference stands.
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--lang=en",
)
# The environment's proxies lead nowhere near a loopback address.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Browser:
    """One window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, url: str) -> None:
        """Go to a page."""
        self._post("url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript; returns what it returns."""
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector: str) -> str:
        """Return an element's visible text; empty when there is no such element."""
        return str(self.run("const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", selector))

    def wait_for(self, selector: str, text: str = "", timeout_s: float = 20.0) -> str:
        """Wait until an element is there with a text in it; returns all of its text."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if self.run("return document.querySelector(arguments[0]) !== null", selector) and text in self.text(
                selector
            ):
                return self.text(selector)
            time.sleep(0.1)
        raise TimeoutError(f"{selector!r} never showed {text!r}; the page shows:\n{self.text('body')[:2000]}")

    def type(self, selector: str, text: str) -> None:
        """Type into a field, or choose the file of a file field by its path."""
        self._post(f"element/{self._find(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click an element."""
        self._post(f"element/{self._find(selector)}/click", {})

    def resize(self, width: int, height: int) -> None:
        """Give the page a size in CSS pixels, a phone's included, which a window cannot have."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Send a command of Chromium's DevTools protocol."""
        return self._post("goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self, path: Path) -> None:
        """Save what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(_request("GET", f"{self._session}/screenshot")))

    def errors(self) -> list[str]:
        """Return what the page logged as severe since the last call: errors, and requests that failed."""
        entries = self._post("se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def _find(self, selector: str) -> str:
        found = self._post("element", {"using": "css selector", "value": selector})
        return str(found[_ELEMENT])

    def _post(self, command: str, body: dict[str, Any]) -> Any:
        return _request("POST", f"{self._session}/{command}", body)


@contextmanager
def browsing(width: int = 1280, height: int = 900) -> Iterator[Browser]:
    """Start a browser with an empty profile, and stop it."""
    if CHROMIUM is None or CHROMEDRIVER is None:
        raise RuntimeError(WHY_NOT)
    with tempfile.TemporaryDirectory() as profile:
        driver = subprocess.Popen(
            [CHROMEDRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            url = f"http://127.0.0.1:{_port_of(driver)}"
            options = {"binary": CHROMIUM, "args": [*_FLAGS, f"--user-data-dir={profile}"]}
            capabilities = {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            session = _request("POST", f"{url}/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]
            browser = Browser(f"{url}/session/{session}")
            try:
                browser.resize(width, height)
                yield browser
            finally:
                _request("DELETE", f"{url}/session/{session}")
        finally:
            driver.terminate()
            driver.wait(10)
            assert driver.stdout is not None
            driver.stdout.close()


def _port_of(driver: subprocess.Popen[str]) -> int:
    assert driver.stdout is not None
    for line in driver.stdout:
        if "started successfully on port" in line:
            return int(line.rstrip().rstrip(".").rpartition(" ")[2])
    raise RuntimeError("chromedriver did not start")


def _request(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with _OPENER.open(request, timeout=60) as response:
            return json.load(response)["value"]
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None
