"""The report as a page, read by a parser."""

import base64
import dataclasses
import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from aisle_training.catalogue.catalogue import Product
from aisle_training.export.serving_cost import ServingCost
from aisle_training.report.comparison import ReportedRun, compare
from aisle_training.report.page import SHOWN_ERRORS, render_page
from tests.support.drawn_confidence import draw_confidence
from tests.support.drawn_evaluation import ROWS, draw_evaluation
from tests.support.drawn_evaluation import reported as drawn_run
from tests.support.html_page import Element, read_html

HOSTILE = '<script>alert(1)</script><img src="https://example.org/x.png">'
HISTORY = [
    {"epoch": 1.0, "seconds": 1.0, "accuracy": 0.5, "loss": 1.2, "val_accuracy": 0.55, "val_loss": 1.1},
    {"epoch": 2.0, "seconds": 1.0, "accuracy": 0.8, "loss": 0.7, "val_accuracy": 0.75, "val_loss": 0.8},
]


def reported(name: str, seed: int = 0, **origin: object) -> ReportedRun:
    """A drawn run with three errors in ten, a history, and what serving one of its networks takes."""
    run = drawn_run(name, seed, 0.7, **origin)
    costs = {"image_classifier": ServingCost(2_000_000, 1.25)}
    confidence = draw_confidence() if seed == 0 else None
    return dataclasses.replace(run, histories={"image_classifier": HISTORY}, costs=costs, confidence=confidence)


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Product]:
    """Products of the drawn evaluation, all with a hostile title; even ones have a picture, odd ones a broken one."""
    folder = tmp_path_factory.mktemp("pictures")
    Image.new("RGB", (300, 200), "teal").save(folder / "good.png")
    (folder / "broken.png").write_bytes(b"broken")
    return {
        f"p{row}": Product(f"p{row}", HOSTILE, ("Home", "Clocks"), folder / ("broken.png" if row % 2 else "good.png"))
        for row in range(ROWS)
    }


@pytest.fixture(scope="module")
def page(products: dict[str, Product]) -> Element:
    """A page over two seeds and a run on another split, the first of them with its catalogue at hand."""
    runs = [reported("first"), reported("second", 1), reported(HOSTILE, split_sha256="0" * 64)]
    return read_html(render_page(compare(runs), {"first": products}))


def test_the_page_loads_nothing(page: Element):
    """No element names an address outside of the page, and the page's policy forbids to load any."""
    assert page.all("link") == page.all("iframe") == []
    assert all(image.attributes["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert all(link.attributes["href"].startswith("#") for link in page.all("a"))
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_the_only_script_is_the_one_that_the_policy_names(page: Element):
    """The digest in the policy is that of the one script of the page."""
    (script,) = page.one("script").children
    digest = base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode()
    policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
    assert f"script-src 'sha256-{digest}'" in policy


def test_what_strangers_wrote_is_text(page: Element):
    """Markup in titles and in names of runs and categories is shown as the text that it is."""
    cards = page.all("div", class_="product")
    assert any(HOSTILE in card.text for card in cards)
    assert HOSTILE in page.one("table", id="all-runs").text
    assert "Crates & <Boxes>" in page.all("table", class_="classes")[0].text


def test_the_table_of_all_runs_has_their_figures(page: Element):
    """A line for each run: seed, accuracy with each set of inputs, the best in bold, calibration, cost."""
    heading, *rows = page.one("table", id="all-runs").rows()
    assert [row[:2] for row in rows] == [["first", "0"], ["second", "1"], [HOSTILE, "0"]]
    column = heading.index("picture and title fusion_classifier")
    assert rows[0][column] == f"{100 * draw_evaluation(0, 0.7).main.accuracy:.1f} %"
    assert rows[0][heading.index("parameters")] == "1,234"
    assert rows[0][heading.index("ONNX, MB")] == "2.0"
    assert rows[0][heading.index("ms a row")] == "1.25"
    bold = [cell.text for cell in page.one("table", id="all-runs").all("td", class_="best")]
    assert max(row[column] for row in rows) in bold


def test_warnings_stand_before_everything(page: Element):
    """A run on another split is named in a warning above the summary."""
    warning = page.one("p", role="alert").text
    assert warning.startswith(HOSTILE)
    assert "another split" in warning


def test_seeds_are_shown_as_mean_and_spread(page: Element):
    """The two runs that differ in their seed have a table of their own, with ± and the range."""
    (table,) = [table for table in page.all("table") if "sample standard deviation" in table.text]
    assert "0, 1" in table.one("caption").text
    first = table.rows()[1]
    assert "±" in first[3]
    assert "–" in first[4]
    assert table.rows()[-1][6] == "–"  # the baseline has no confidence


def test_each_run_has_its_sections(page: Element):
    """Figures of every row, charts, confusions in words, categories hardest first, errors, curves and origin."""
    section = page.one("section", id="run-0")
    evaluation = draw_evaluation(0, 0.7)
    figures = section.one("table", class_="figures").rows()
    assert len(figures) == 1 + len(evaluation.figures)
    assert figures[3][2] == "picture blurred"
    assert figures[3][5].startswith(("-", "+"))
    titles = [caption.text for caption in section.all("figcaption")]
    assert any("honest" in title for title in titles)
    assert "image_classifier: loss" in titles
    classes = section.one("table", class_="classes").rows()[1:]
    assert len(classes) == len(evaluation.classes)
    assert [float(row[4]) for row in classes] == sorted(float(row[4]) for row in classes)
    assert " taken for " in section.all("ol", class_="confusions")[0].all("li")[0].text
    assert evaluation.origin.split_sha256 in section.text


def test_lines_have_their_names_in_the_legend(page: Element):
    """A chart's legend names as many lines as it draws, and a bin's point says how many products it stands for."""
    for figure in page.all("figure"):
        chart = figure.one("svg", class_="chart")
        lines = [line for line in chart.all("polyline") if "diagonal" not in line.attributes.get("class", "")]
        assert len(figure.one("ul", class_="legend").all("li")) == len(lines)
    reliability = page.one("section", id="run-0").all("figure")[0]
    assert all("products," in mark.text for mark in reliability.all("circle"))


def test_what_may_be_decided_is_told(page: Element):
    """Coverage at each level, decisions and unknown products have a table each, with a sentence, and a chart with a line a level."""
    section, confidence = page.one("section", id="run-0"), draw_confidence()
    levels, decisions, unknown = (
        section.all("table", class_=name)[0].rows()[1:] for name in ("levels", "decisions", "unknown")
    )
    mine = [each for each in confidence.levels if each.model == "fusion_classifier"]
    assert [row[-1] for row in levels] == [f"{100 * each.coverage['0.98']:.1f} %" for each in mine]
    assert [row[1:5] for row in levels] == [
        ["picture and title", "1", "Home", "3"],
        ["picture and title", "2", "Home > Clocks", "4"],
    ]
    assert decisions[1][2] == "98 %"
    assert decisions[1][4] == f"{100 * confidence.decisions[1].auto:.1f} %"
    assert unknown[1][0] == "categories left out"
    assert unknown[1][5] == f"{100 * confidence.out_of_class[1].auto:.1f} %"
    assert unknown[1][-1] == f"{confidence.out_of_class[1].separation:.3f}"
    (chart,) = [each for each in section.all("figure") if "at each level" in each.one("figcaption").text]
    assert [item.text.strip() for item in chart.all("li")] == ["level 1 (3 categories)", "level 2 (4 categories)"]
    text = section.text
    assert "can be answered with 98 of 100 right" in text
    assert "these decisions are right" in text
    assert "it never learnt" in text
    others = section.all("table", class_="decisions")[1].rows()[1:]
    assert {row[0] for row in others} == {"image_classifier"}


def test_a_run_without_confidence_is_reported(page: Element):
    """A run that was evaluated before confidence was measured has all but these tables."""
    section = page.one("section", id="run-1")
    assert section.all("table", class_="levels") == []
    assert "Where it errs" in section.text


def test_classifiers_stand_side_by_side(page: Element):
    """One table holds every classifier of every run with each set of inputs, and each baseline once a split."""
    heading, *rows = page.one("table", id="side-by-side").rows()
    assert [(row[0], row[2]) for row in rows] == [
        *(
            (name, model)
            for name in ("first", "second", HOSTILE)
            for model in ("fusion_classifier", "image_classifier")
        ),
        ("first", "most frequent class"),
        (HOSTILE, "most frequent class"),
    ]
    assert rows[1][heading.index("ms")] == "1.25"
    assert rows[-1][heading.index("ms")] == "–"


def test_errors_come_with_small_pictures(page: Element):
    """The surest errors are shown with a picture of our own making, or the word that there is none, and their number is bounded."""
    cards = page.one("section", id="run-0").all("div", class_="product")
    assert len(cards) == SHOWN_ERRORS
    pictures = [image for card in cards for image in card.all("img")]
    assert 0 < len(pictures) < len(cards)
    encoded = base64.b64decode(pictures[0].attributes["src"].partition(",")[2])
    assert len(encoded) < 5000
    assert Image.open(io.BytesIO(encoded)).size == (80, 80)
    assert all("no picture" in card.text for card in cards if not card.all("img"))


def test_without_the_catalogue_the_page_says_so(page: Element):
    """Errors of a run whose catalogue is not at hand are shown by their ids, and the page says why."""
    section = page.one("section", id="run-1")
    assert "is not at hand" in section.text
    assert section.all("img") == []
    assert "id p" in section.all("div", class_="product")[0].text


def test_a_long_title_is_cut(tmp_path: Path):
    """A title of a megabyte takes a line on the page."""
    run = reported("only")
    products = {f"p{row}": Product(f"p{row}", "x" * 1_000_000, ("Home",), None) for row in range(ROWS)}
    assert len(render_page(compare([run]), {"only": products})) < 200_000


def test_many_runs_share_the_room_for_pictures(products: dict[str, Product]):
    """The more runs a page has, the fewer pictures each shows; a page of 30 runs holds 240 at most."""
    runs = [reported(f"run {number}", number) for number in range(30)]
    page = read_html(render_page(compare(runs), {run.name: products for run in runs}))
    assert len(page.all("div", class_="product")) == 240
