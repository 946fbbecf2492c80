"""Answers and errors as HTML: what a visitor reads, and nothing that came from outside unescaped."""

import dataclasses
from html.parser import HTMLParser

import pytest

from aisle_client import (
    Categorization,
    Category,
    ClientError,
    DeadlineExceededError,
    Decision,
    InvalidArgumentError,
    InvalidInputError,
    MissingInputError,
    ModelIndex,
    NotFoundError,
    PictureError,
    PictureRefusedError,
    ProtocolError,
    ServerError,
    ServerUnreachableError,
)
from aisle_demo.answer import answer_html, away_html, error_dict, error_html, review_entry, review_html, status_html

EVIL = "<img src=x onerror=alert(1)>\"'&"
ADDRESS = "127.0.0.1:8001"


class Page(HTMLParser):
    """What a browser would make of HTML: its tags and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.data, self.attributes = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.data.append(data)

    @property
    def text(self):
        return " ".join(self.data)


def _answer(*labels, model="product_categorizer", used=("title", "image")):
    alternatives = tuple(Category(label, 0.6 / 2**rank, rank) for rank, label in enumerate(labels))
    return Categorization(alternatives, 5, model, "1", "r1", used, 0.0123)


def test_an_answer():
    """An answer shows the path, the confidence, each alternative, what was used, the time and the model."""
    page = Page(answer_html(_answer("Apparel > Topwear > Shirts", "Footwear > Shoes", "Bags")))
    for text in ("Apparel", "Topwear", "Shirts", "60.0%", "30.0%", "15.0%", "Footwear", "Bags"):
        assert text in page.data or text in page.text
    assert "Judged by the title and the picture · 12 ms" in page.text
    assert "product_categorizer, version 1" in page.text
    assert [value for name, value in page.attributes if name == "style"] == [
        "--share: 60.0%",
        "--share: 30.0%",
        "--share: 15.0%",
    ]


def test_one_input():
    """An answer from a title alone says so."""
    assert "Judged by the title ·" in answer_html(_answer("a", used=("title",)))


def test_right_to_left():
    """A label in Persian runs in its own direction: each place that holds one decides by its text."""
    page = Page(answer_html(_answer("پوشاک > کفش > کفش ورزشی")))
    assert page.attributes.count(("dir", "auto")) == 2
    assert "کفش ورزشی" in page.data


def test_a_confidence_that_is_no_number():
    """A broken model's NaN does not break the page, nor its layout."""
    html = answer_html(Categorization((Category("a", float("nan"), 0),), 5, "m", "1", "r", ("title",), 0.0))
    assert "--share: " in html


@pytest.mark.parametrize(
    "html",
    [
        answer_html(_answer(EVIL, f"{EVIL} > {EVIL}", model=EVIL)),
        error_html(InvalidArgumentError(EVIL), ADDRESS),
        error_html(PictureError(EVIL), EVIL),
        error_html(ServerUnreachableError(EVIL), EVIL),
        error_html(ProtocolError(EVIL), ADDRESS),
        status_html([ModelIndex(EVIL, EVIL, "READY", EVIL), ModelIndex(EVIL, EVIL, EVIL, EVIL)], True, EVIL),
        away_html(EVIL),
    ],
    ids=["answer", "refusal", "picture", "away", "protocol", "status", "status away"],
)
def test_nothing_from_outside_becomes_markup(html):
    """Labels, model names, addresses and the server's texts are shown as text, whatever they hold."""
    page = Page(html)
    assert "img" not in page.tags
    assert not {name for name, _ in page.attributes if name.startswith("on")}
    assert "<img" in page.text


@pytest.mark.parametrize(
    ("error", "title", "text"),
    [
        (MissingInputError("no title was given"), "Nothing to judge by", "No title was given."),
        (InvalidInputError("the title is not text"), "cannot be sent", "the title is not text"),
        (PictureError("0 bytes"), "picture cannot be read", "0 bytes"),
        (ServerUnreachableError("failed to connect"), "The server is away", ADDRESS),
        (DeadlineExceededError("..."), "too long", ADDRESS),
        (InvalidArgumentError("row 0: the file is damaged"), "cannot use this", "the file is damaged"),
        (PictureRefusedError("row 0: the picture cannot be read: cut short"), "picture cannot be read", "cut short"),
        (NotFoundError("unknown model"), "no such model", "unknown model"),
        (ServerError("internal"), "The server failed", "internal"),
        (ClientError("odd"), "Something went wrong", "odd"),
    ],
)
def test_errors_say_what_to_do(error, title, text):
    """Each kind of error has words of its own for a visitor."""
    page = Page(error_html(error, ADDRESS))
    assert title in page.text
    assert text in page.text
    assert ("role", "alert") in page.attributes


def test_errors_for_programs():
    """Callers of the page's API get an error's kind and text."""
    assert error_dict(InvalidArgumentError("row 0: no")) == {
        "error": {"type": "InvalidArgumentError", "text": "row 0: no"}
    }
    assert error_dict(PictureError("no")) == {"error": {"type": "PictureError", "text": "no"}}


def test_status():
    """The status line says whether the server is ready and counts the models that are."""
    models = [ModelIndex("a", "1", "READY", ""), ModelIndex("b", "1", "UNAVAILABLE", "no file")]
    assert "Ready · 127.0.0.1:8001 · 1 model" in Page(status_html(models, True, ADDRESS)).text
    assert "b\u00a0(unavailable)" in Page(status_html(models, True, ADDRESS)).text
    assert "Not ready yet" in status_html([], False, ADDRESS)
    assert "no models" in status_html([], False, ADDRESS)


def _decided(action, path, familiarity=0.5):
    decision = Decision(action, path, 0.9 if path else 0.0, 0.95, familiarity)
    return dataclasses.replace(_answer("Apparel > Topwear > Shirts", "Bags"), decision=decision)


def test_a_decision():
    """An answer that was decided upon shows what becomes of it, and the path that is answered or proposed."""
    page = Page(answer_html(_decided("auto", ("Apparel", "Topwear", "Shirts"))))
    assert "Answered automatically  at 95% precision." in page.text
    page = Page(answer_html(_decided("review", ("Apparel", EVIL))))
    assert "Somebody should look at this  at 95% precision. Not sure enough" in page.text
    assert page.data.count("Apparel") == 1
    assert EVIL in page.data
    assert "90.0%" in page.data
    assert "0.1% of them look as strange" in Page(answer_html(_decided("abstain", (), 0.001))).text


def test_products_to_review():
    """The list holds what was asked, the proposal and the reason; automatic answers and errors are not in it."""
    entries = [review_entry(_decided("review", ("Apparel", EVIL)).as_dict(), f"{EVIL} shirt")]
    entries.append(review_entry(_decided("abstain", (), 0).as_dict(), " "))  # a page sends 0.0 back as 0
    page = Page(review_html(entries))
    assert "To review (2)" in page.data
    assert [text for text in page.data if text not in ("Product", "Proposed", "Why")][1:] == [
        f"{EVIL} shirt",
        f"Apparel › {EVIL}",
        "Not sure enough of more for 95% precision.",
        "A picture",
        "–",
        "Unlike the known products: 0.0% of them look as strange.",
    ]
    assert "img" not in page.tags
    assert review_html([]) == ""
    for plain in (_answer("a").as_dict(), _decided("auto", ("a",)).as_dict(), {"error": {}}, None):
        assert review_entry(plain, "shirt") is None


@pytest.mark.parametrize("path", [None, 5, {}, ["a" * 1000] * 1000])
def test_a_list_that_a_visitor_made_up(path):
    """What comes back from a visitor's page is bounded, whatever it is."""
    plain = {"decision": {"action": "review", "path": path, "familiarity": [], "precision": {}}}
    entry = review_entry(plain, "b" * 1000)
    assert len(entry.asked) <= 200
    assert len(entry.proposal) <= 200
