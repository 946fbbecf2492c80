"""Evaluated runs become a page, and cards beside the models: the whole way, read by a parser and by a browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Trained, aisle
from tests.support.browser import WHY_NOT, browsing
from tests.support.html_page import read_html


@pytest.fixture(scope="module")
def report(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on the trained run beside a copy of it with another seed."""
    folder = tmp_path_factory.mktemp("report")
    copy = folder / "another"
    shutil.copytree(trained.run, copy, ignore=shutil.ignore_patterns("*.keras", "logs"))
    evaluation = json.loads((copy / "evaluation.json").read_text(encoding="utf-8"))
    evaluation["origin"]["recipe"]["seed"] = 1
    (copy / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")
    printed = aisle("report", trained.run, copy, "-o", folder / "report.html")
    (folder / "printed.txt").write_text(printed, encoding="utf-8")
    return folder / "report.html"


def test_the_page_and_its_json_tell_the_evaluation(trained: Trained, report: Path):
    """Figures, errors with pictures, learning curves, costs and the spread of two seeds are on the page and in the JSON."""
    evaluation = json.loads((trained.run / "evaluation.json").read_text(encoding="utf-8"))
    content = json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))
    page = read_html(report.read_text(encoding="utf-8"))
    assert content["warnings"] == page.all("p", role="alert") == []
    assert content["runs"][0]["evaluation"]["figures"] == evaluation["figures"]
    assert set(content["runs"][0]["histories"]) == {"image_classifier", "title_classifier", "fusion_classifier"}
    assert content["groups"][0]["seeds"] == [0, 1]
    assert [item.text for item in page.one("section", class_="summary").all("li")] == content["summary"]

    main = evaluation["figures"][0]
    heading, first, _ = page.one("table", id="all-runs").rows()
    assert first[0] == trained.run.name
    assert first[heading.index("picture and title fusion_classifier")] == f"{100 * main['accuracy']:.1f} %"
    assert float(first[heading.index("ONNX, MB")]) > 0  # the fixture has exported the run
    section = page.one("section", id="run-0")
    assert len(section.one("table", class_="classes").rows()) == 1 + 4
    errors = evaluation["breakdowns"][0]["confident_errors"]
    cards = section.all("div", class_="product")
    assert len(cards) == min(len(errors), 24)
    titles = {product.id: product.title for product in trained.products}
    for card, error in zip(cards, errors, strict=False):
        assert titles[error["product_id"]] in card.text
        assert card.one("img").attributes["src"].startswith("data:image/jpeg;base64,")
    assert any(caption.text == "title_classifier: macro-F1" for caption in section.all("figcaption"))


def test_the_models_have_cards(trained: Trained):
    """Each ensemble's folder has a model card with the run's figures, and the server has loaded it all the same."""
    evaluation = json.loads((trained.run / "evaluation.json").read_text(encoding="utf-8"))
    for ensemble, row in (("product_categorizer", 0), ("image_categorizer", 3), ("title_categorizer", 4)):
        figures = evaluation["figures"][row]
        card = (trained.onnx / ensemble / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert f"| {figures['inputs']} | as it is | {figures['rows']} | {100 * figures['accuracy']:.1f} % |" in card
        assert evaluation["origin"]["catalogue_sha256"] in card


def test_the_command_prints_what_the_page_shows(trained: Trained, report: Path):
    """Classifiers side by side, with what they cost, and the spread over the two seeds are printed; the rows are in the JSON."""
    printed = report.with_name("printed.txt").read_text(encoding="utf-8").splitlines()
    content = json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))
    confidence = json.loads((trained.run / "confidence.json").read_text(encoding="utf-8"))
    assert content["runs"][0]["confidence"] == confidence
    first = content["side_by_side"][0]
    assert first["hardware"]
    assert first["seconds"] > 0
    assert printed[0].split()[:3] == ["run", "recipe", "model"]
    assert printed[2].split()[-3:] == [
        f"{first['parameters']:,}",
        f"{first['milliseconds']:.2f}",
        f"{first['megabytes']:.2f}",
    ]
    assert any(line.startswith("2 runs of ") for line in printed)
    card = (trained.onnx / "product_categorizer" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| FAMILIARITY | output |" in card
    assert "| Persian titles | title | 98 % | 200 |" in card


@pytest.mark.browser
@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_in_a_browser(report: Path, width: int):
    """A browser runs the page's script and nothing else, tables sort by a press, and no width makes the page scroll sideways."""
    with browsing(width, 900) as browser:
        browser.open(report.as_uri())
        order = (
            "return [...document.querySelectorAll('table.classes')[0].tBodies[0].rows].map(r => r.cells[0].textContent)"
        )
        hardest_first = browser.run(order)
        browser.click("table.classes th:first-child button")
        by_name = browser.run(order)
        assert by_name == sorted(hardest_first)
        browser.click("table.classes th:first-child button")
        assert browser.run(order) == by_name[::-1]
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.errors() == []
