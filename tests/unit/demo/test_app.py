"""The page as an application: what it offers, what it keeps to itself. No socket, no browser."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aisle_client import Categorizer, ClientOptions, InferenceClient, RetryPolicy
from aisle_demo.app import build_page, create_application
from aisle_demo.draw_examples import DRAWINGS, draw_all
from aisle_demo.examples import EXAMPLES
from tests.support.fake_triton import FakeTransport, FakeTriton


@pytest.fixture(scope="module")
def page():
    """The page over a server without a socket."""
    options = ClientOptions(retry=RetryPolicy(max_attempts=1))
    categorizer = Categorizer(InferenceClient(options, transport=FakeTransport(FakeTriton())))

    async def build():
        page = build_page(categorizer)
        create_application(page)
        return page

    # Where no event loop runs Gradio makes one, and never closes it.
    return asyncio.run(build())


def _endpoint(page, name):
    (found,) = (function.fn for function in page.fns.values() if function.api_name == name)
    return found


def test_programs_may_ask(page):
    """The page's API has `categorize` and `status`, and nothing else."""
    assert set(page.get_api_info()["named_endpoints"]) == {"/categorize", "/status"}


def test_an_answer(page):
    """A question answers with HTML for the visitor and plain values for programs."""
    html, plain = _endpoint(page, "categorize")(None, "shirts")
    assert "Topwear" in html
    assert plain["best"]["path"] == ["Apparel", "Topwear", "Shirts"]


def test_a_question_that_cannot_be_asked(page):
    """Nothing given is a message, not an exception."""
    html, plain = _endpoint(page, "categorize")(None, "")
    assert "Nothing to judge by" in html
    assert plain["error"]["type"] == "MissingInputError"


def test_the_status(page):
    """The status names the models."""
    assert "product_categorizer" in _endpoint(page, "status")()


def test_nothing_is_told_to_others(page):
    """Telemetry is off, no visit is recorded, and uploads are bounded and not kept."""
    assert page.analytics_enabled is False
    assert page.run_history is False
    assert page.max_file_size == 20 * 2**20
    assert page.allowed_paths == []
    assert page.delete_cache is not None


def test_nothing_is_fetched_from_elsewhere(page):
    """The theme names fonts that visitors have: no style sheet is loaded from another host."""
    assert page.theme_css
    assert "@import" not in page.theme_css
    assert "http" not in page.theme_css.replace("http://www.w3.org/", "")
    assert "url(" not in page.css


def test_the_examples_are_the_drawings():
    """Each example's picture is one that the script draws."""
    pictures = {example.picture for example in EXAMPLES if example.picture}
    assert pictures <= set(DRAWINGS)
    assert all(example.title or example.picture for example in EXAMPLES)


def test_the_drawings_are_fresh(tmp_path):
    """The pictures that ship are what the script draws today."""
    draw_all(tmp_path)
    for drawn in tmp_path.iterdir():
        shipped = Path(EXAMPLES[0].path).with_name(drawn.name)
        with Image.open(drawn) as new, Image.open(shipped) as old:
            difference = np.abs(np.asarray(new, np.int16) - np.asarray(old, np.int16))
        # Another Pillow smooths a little differently; another drawing differs a lot.
        assert difference.mean() < 1.0, drawn.name


@pytest.mark.parametrize(
    ("inputs", "shown"),
    [
        (["IMAGE", "TITLE"], [True, True, False, True]),
        (["TITLE"], [False, True, False, False]),
        (["TITLE", "IMAGE", "DESCRIPTION"], [True, True, True, True]),
    ],
)
def test_the_page_shows_what_the_model_takes(inputs, shown):
    """Picture, title, description and examples are shown as far as the model takes them."""
    fake = FakeTriton()
    fake.inputs = inputs
    categorizer = Categorizer(InferenceClient(ClientOptions(), transport=FakeTransport(fake)))

    async def build():
        return build_page(categorizer)

    page = asyncio.run(build())
    (fit,) = (function.fn for function in page.fns.values() if function.name == "fit_to_model")
    assert [update["visible"] for update in fit()] == shown
    html, plain = _endpoint(page, "categorize")(None, "shirts")
    assert plain["used"] == ["title"]
    assert "Judged by the title" in html
