"""The page in a real browser: what a visitor sees, types, clicks and is told."""

from __future__ import annotations

import json

import pytest

from aisle_demo.examples import EXAMPLES
from tests.support.browser import WHY_NOT, browsing
from tests.support.fake_triton import FakeTriton, listening
from tests.support.hosted_page import hosted

pytestmark = [pytest.mark.browser, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]


@pytest.fixture(scope="module")
def fake():
    """The server behind the page."""
    return FakeTriton()


@pytest.fixture(scope="module")
def page(fake):
    """The page, hosted; yields its address."""
    with listening(fake) as address, hosted(address) as url:
        yield url


@pytest.fixture
def browser(page):
    """A browser that has the page open and has seen the server's status."""
    with browsing() as browser:
        browser.open(page)
        browser.wait_for(".aisle-status", "Ready", timeout_s=60)
        yield browser
        assert browser.errors() == []


def test_a_title(browser):
    """A title alone is answered with a breadcrumb, five bars, and what it was judged by."""
    browser.type("#aisle-title textarea", "Blue cotton shirts")
    browser.click("#aisle-ask")
    shown = browser.wait_for("#aisle-answer", "sure")
    assert browser.text(".aisle-path").split() == ["Apparel", "Topwear", "Shirts"]
    assert browser.run("return document.querySelectorAll('.aisle-bars li').length") == 5
    assert "Judged by the title ·" in shown


def test_a_picture(browser, tmp_path, fake):
    """An uploaded picture reaches the server byte for byte."""
    content = b"\x03 no picture, and nobody here looks into it \x00\xff"
    (tmp_path / "watch.jpg").write_bytes(content)
    browser.type("#aisle-picture input[type=file]", str(tmp_path / "watch.jpg"))
    browser.wait_for("#aisle-picture img")
    browser.click("#aisle-ask")
    assert "Judged by the picture ·" in browser.wait_for("#aisle-answer", "sure")
    assert fake.requests[-1].raw_input_contents[-1][4:] == content


def test_an_example(browser):
    """A click on an example fills the form and answers."""
    browser.click("#aisle-examples tbody tr:nth-child(2)")
    assert "Watches" in browser.wait_for("#aisle-answer", "sure")
    title = browser.run("return document.querySelector('#aisle-title textarea').value")
    assert title == EXAMPLES[1].title


def test_nothing_given(browser):
    """A click with an empty form says what to give; Clear brings the first words back."""
    browser.click("#aisle-ask")
    assert "Neither a title nor a picture was given" in browser.wait_for(".aisle-error")
    browser.click("#aisle-clear")
    browser.wait_for(".aisle-note", "appears here")


def test_a_broken_picture(browser, tmp_path):
    """A picture that the server cannot read is said in words, and the page goes on working."""
    (tmp_path / "broken.jpg").write_bytes(b"BROKEN")
    browser.type("#aisle-picture input[type=file]", str(tmp_path / "broken.jpg"))
    browser.wait_for("#aisle-picture img")
    browser.click("#aisle-ask")
    assert "The picture cannot be read" in browser.wait_for(".aisle-error", "damaged")
    browser.click("#aisle-clear")
    browser.wait_for(".aisle-note", "appears here")
    browser.type("#aisle-title textarea", "shirts")
    browser.click("#aisle-ask")
    browser.wait_for("#aisle-answer", "sure")


def test_markup_is_text(browser):
    """Markup in a title is sent as a title and comes to nothing."""
    browser.type("#aisle-title textarea", "<script>window.hurt = 1</script> shirts")
    browser.click("#aisle-ask")
    browser.wait_for("#aisle-answer", "sure")
    assert browser.run("return window.hurt ?? null") is None


def test_a_persian_title(browser):
    """A Persian title runs from right to left in its field, an English one from left to right."""
    field = "#aisle-title textarea"
    direction = "const e = document.querySelector(arguments[0]); return getComputedStyle(e).unicodeBidi"
    assert browser.run(direction, field) == "plaintext"
    browser.type(field, "کفش ورزشی مردانه")
    browser.click("#aisle-ask")
    browser.wait_for("#aisle-answer", "sure")


def test_a_phone(browser):
    """On a phone's width nothing runs over the edge."""
    browser.resize(360, 780)
    browser.click("#aisle-examples tbody tr:nth-child(1)")
    browser.wait_for("#aisle-answer", "sure")
    assert browser.run("return document.documentElement.scrollWidth") <= 360


def test_nothing_is_fetched_from_elsewhere(browser, page):
    """All that the page loads comes from its own host."""
    browser.click("#aisle-examples tbody tr:nth-child(1)")
    browser.wait_for("#aisle-answer", "sure")
    loaded = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded
    assert [url for url in loaded if not url.startswith((page, "data:", "blob:"))] == []


def test_decisions(tmp_path):
    """With thresholds the page says what becomes of a product, at the precision that is chosen, and lists what to review."""
    thresholds = {"0.95": {"levels": [0.5, 0.5, 0.7]}, "0.98": {"levels": [0.6, 0.7, 0.9]}}
    floors = {"familiarity": 0.04, "strange": 0.001}
    fake = FakeTriton()
    fake.parameters["decisions"] = json.dumps(
        {"inputs": {"title": {precision: entry | floors for precision, entry in thresholds.items()}}}
    )
    with listening(fake) as address, hosted(address) as url, browsing() as browser:
        browser.open(url)
        browser.wait_for(".aisle-status", "Ready", timeout_s=60)
        browser.wait_for("#aisle-precision", "98%")
        browser.type("#aisle-title textarea", "Blue cotton shirts")
        browser.click("#aisle-ask")
        browser.wait_for(".aisle-decision", "Answered automatically at 95% precision")
        assert browser.text(".aisle-path").split() == ["Apparel", "Topwear", "Shirts"]
        assert browser.run("return document.querySelector('.aisle-review') === null")
        browser.click("#aisle-precision label:nth-of-type(2)")
        browser.click("#aisle-ask")
        browser.wait_for(".aisle-decision", "Somebody should look at this at 98% precision")
        assert browser.text(".aisle-path").split() == ["Apparel", "Topwear"]
        assert "Blue cotton shirts" in browser.wait_for(".aisle-review", "To review (1)")
        browser.resize(360, 780)
        browser.type("#aisle-title textarea", " alien")
        browser.click("#aisle-ask")
        browser.wait_for(".aisle-decision", "Nothing useful is known")
        assert "Unlike the known products" in browser.wait_for(".aisle-review", "To review (2)")
        assert browser.run("return document.documentElement.scrollWidth") <= 360
        assert browser.errors() == []


def test_a_server_that_is_away():
    """Without its server the page opens, says so, and says what to do."""
    with hosted("127.0.0.1:9") as url, browsing() as browser:
        browser.open(url)
        browser.wait_for(".aisle-status", "No server answers at 127.0.0.1:9", timeout_s=60)
        browser.type("#aisle-title textarea", "shirts")
        browser.click("#aisle-ask")
        assert "The server is away" in browser.wait_for(".aisle-error")
