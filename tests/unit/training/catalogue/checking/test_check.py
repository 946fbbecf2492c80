"""Looking a whole catalogue over, and the page that tells of it."""

import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from aisle_training.catalogue import Catalogue
from aisle_training.catalogue.catalogue import REPORT_NAME
from aisle_training.catalogue.checking.check import CheckOptions, check_catalogue
from aisle_training.catalogue.checking.check_report import CheckReport
from aisle_training.catalogue.checking.html_report import SHOWN_FINDINGS, html_report
from aisle_training.catalogue.importer import import_catalogue
from aisle_training.commands.catalogue import catalogue as command
from tests.support.drawn_catalogue import draw_products
from tests.unit.training.catalogue.drawing import PicturesInMemory, encode, record

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """A shop with one of each fault."""
    drawn = draw_products(3)
    picture = drawn[0].picture
    smaller = encode(Image.open(io.BytesIO(picture)).resize((48, 48)), "JPEG", quality=85)
    pictures = {f"{one.id}.jpg": one.picture for one in drawn}
    pictures |= {"again.jpg": picture, "smaller.jpg": smaller, "white.png": encode(Image.new("RGB", (9, 9), "white"))}
    pictures |= {"broken.jpg": picture[:200]}
    records = [record(one.id, one.title, " > ".join(one.category), f"{one.id}.jpg") for one in drawn]
    records += [
        record("again", "Again", "Home > Crates", "again.jpg"),
        record("smaller", "Smaller", "Outdoor > Tents", "smaller.jpg"),
        record("white", "سفید", "Home > Clocks", "white.png"),
        record("broken", "Broken", "Home > Clocks", "broken.jpg"),
        record("twin", drawn[5].title.upper(), " > ".join(drawn[5].category)),
        record("evil", EVIL, f"{EVIL} > Anvils"),
        record("blank", "", "Home > Clocks", "2.jpg"),
    ]
    folder = tmp_path_factory.mktemp("check") / "shop"
    import_catalogue(records, PicturesInMemory(pictures), folder)
    return Catalogue.open(folder)


def sections(report: CheckReport) -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """The findings by section."""
    return {section.name: [(f.products, f.detail) for f in section.findings] for section in report.sections}


def test_each_fault_is_found(shop: Catalogue) -> None:
    """One of each fault gives one finding of its kind, and what is sound gives none."""
    found = sections(check_catalogue(shop, options=CheckOptions(minimum_products=3)))
    assert "leaks" not in found
    assert found["conflicting_labels"] == [
        (("1", "again"), "same pixels: Home > Clocks (1), Home > Crates (1)"),
        (("1", "again", "smaller"), "similar pictures: Home > Clocks (1), Home > Crates (1), Outdoor > Tents (1)"),
    ]
    assert found["near_duplicates"] == [(("1", "again", "smaller"), "3 products")]
    assert found["equal_title"] == [(("6", "twin"), "2 products")]
    assert found["equal_pixels"] == [(("1", "again"), "2 products"), (("2", "blank"), "2 products")]
    assert found["unreadable_pictures"] == [
        (("broken",), "at import: the picture cannot be read: the file is damaged or cut short")
    ]
    assert found["blank_pictures"] == [(("white",), "spread 0.0 of 127.5")]
    assert found["tiny_classes"] == [(("evil",), f"{EVIL} > Anvils: 1 product")]
    assert found["scripts"] == [(("blank",), "the title is blank")]


def test_leaks(shop: Catalogue) -> None:
    """What is the same in two splits is a leak, also where only the eye can tell."""
    split_by_id = {product.id: "train" for product in shop.products()}
    assert sections(check_catalogue(shop, split_by_id))["leaks"] == []
    split_by_id |= {"smaller": "test", "twin": "validation", "blank": "test"}
    assert sections(check_catalogue(shop, split_by_id))["leaks"] == [
        (("6", "twin"), "same title: 1 in train, 1 in validation"),
        (("2", "blank"), "same pixels: 1 in test, 1 in train"),
        (("1", "again", "smaller"), "similar pictures: 1 in test, 2 in train"),
    ]


def test_picture_that_went_bad(shop: Catalogue, tmp_path: Path) -> None:
    """A picture that was damaged or lost since the import is found, and a lost import report is no obstacle."""
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder)
    pictures = {product.id: product.picture for product in Catalogue.open(folder).products()}
    assert pictures["1"] is not None
    assert pictures["3"] is not None
    pictures["1"].write_bytes(b"rot")
    pictures["3"].unlink()
    (folder / REPORT_NAME).unlink()
    found = sections(check_catalogue(Catalogue.open(folder)))
    assert [products for products, _ in found["unreadable_pictures"]] == [("1",), ("3",)]
    assert found["unreadable_pictures"][1][1] == "in the catalogue: its file cannot be read: No such file or directory"


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page(shop: Catalogue) -> None:
    """The page shows a stranger's text as text, loads nothing, and carries its pictures."""
    page = Page(html_report(check_catalogue(shop), shop.products(), {"evil": "test"}))
    assert EVIL in page.text
    assert "script" not in page.tags
    assert page.tags.count("img") > 5
    assert all(source.startswith(("data:image/jpeg;base64,", "#")) for source in page.sources)
    assert "سفید" in page.text
    assert "id evil, test" in page.text


def test_long_lists_are_told(tmp_path: Path) -> None:
    """Where a page shows the first findings only, it says so, and the JSON has them all."""
    records = [record(str(n), f"Mug {n // 2}", f"Home > Shelf {n // 2}") for n in range(200)]
    import_catalogue(records, PicturesInMemory({}), tmp_path / "shop")
    output = tmp_path / "reports" / "check.html"
    result = CliRunner().invoke(command, ["check", str(tmp_path / "shop"), "-o", str(output)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert re.search(r"Equal titles +100 +200\n", result.output)
    assert f"The first {SHOWN_FINDINGS} of 100 findings; all are in the JSON" in output.read_text(encoding="utf-8")
    findings = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))["sections"]["equal_title"][
        "findings"
    ]
    assert [finding["products"] for finding in findings] == [[str(2 * n), str(2 * n + 1)] for n in range(100)]


def test_bad_arguments(tmp_path: Path) -> None:
    """What is no catalogue, and a page where the JSON goes, end in one sentence."""
    result = CliRunner().invoke(command, ["check", str(tmp_path), "-o", str(tmp_path / "check.html")])
    assert "is no catalogue" in result.output
    result = CliRunner().invoke(command, ["check", str(tmp_path), "-o", str(tmp_path / "check.json")])
    assert "name the page" in result.output
    assert not list(tmp_path.iterdir())
