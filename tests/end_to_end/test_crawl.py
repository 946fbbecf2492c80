"""Crawling a product API that fails in every way there is, into a catalogue that can be trained on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aisle_training.catalogue import Catalogue, CatalogueError, Product
from aisle_training.catalogue.catalogue import REPORT_NAME
from aisle_training.catalogue.crawling.crawl import CrawlOptions, CrawlReport, crawl
from aisle_training.catalogue.crawling.crawl_store import CrawlStore
from aisle_training.catalogue.crawling.product_api import ProductApi
from aisle_training.catalogue.web.errors import FetchError
from aisle_training.catalogue.web.fetcher import Fetcher, FetchOptions
from aisle_training.catalogue.web.retries import RetryPolicy
from tests.support.drawn_catalogue import draw_products
from tests.support.product_api_server import ProductApiServer, ShopProduct

CATEGORIES = [
    {"id": "home", "name": "Home", "parentId": "all"},
    {"id": "clocks", "name": "Clocks", "parentId": "home"},
    {"id": "crates", "name": "Crates", "parentId": "home"},
    {"id": "outdoor", "name": "Outdoor", "parentId": "all"},
    {"id": "tents", "name": "Tents", "parentId": "outdoor"},
    {"id": "ladders", "name": "Ladders", "parentId": "outdoor"},
]
DATA = Path(os.environ.get("AISLE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def drawn_shop(per_category: int = 6, **options: object) -> ProductApiServer:
    """A shop of drawn products in four leaves."""
    products = [
        ShopProduct(int(one.id), one.title, f"A <b>fine</b> {one.title}", one.category[-1].lower(), one.picture)
        for one in draw_products(per_category)
    ]
    return ProductApiServer(CATEGORIES, products, **options)  # type: ignore[arg-type]


def run(shop: ProductApiServer, folder: Path, per_category: int = 100, page_size: int = 4) -> CrawlReport:
    """Crawl with short waits."""
    options = FetchOptions(
        requests_per_second=0, read_timeout_s=0.5, retries=RetryPolicy(3, 0.01, 1.5), allow_private=True
    )
    with Fetcher(options) as fetcher:
        api = ProductApi(shop.url, fetcher, api_key="secret")
        with CrawlStore(folder, api.base, None) as store:
            return crawl(api, store, CrawlOptions(per_category, page_size))


def contents(folder: Path) -> list[tuple[Product, bytes | None]]:
    """Products without their places, with their pictures, by id."""
    return sorted(
        (
            (
                Product(one.id, one.title, one.category, None, one.description, one.attributes),
                one.picture and one.picture.read_bytes(),
            )
            for one in Catalogue.open(folder).products()
        ),
        key=lambda pair: pair[0].id,
    )  # type: ignore[return-value]


def test_whole_shop(tmp_path: Path) -> None:
    """Each product comes with its picture, byte for byte, the whole path, and text without markup; the key is not kept."""
    with drawn_shop() as shop:
        report = run(shop, tmp_path / "shop")
        assert shop.keys == {"secret"}
        assert shop.asked["/products/clocks/4"] == 1
    assert (report.failed_leaves, report.owed_pictures) == ({}, 0)
    assert (report.catalogue.rows_kept, report.catalogue.pictures_kept) == (24, 24)
    for product, picture in contents(tmp_path / "shop"):
        (origin,) = (one for one in shop.products if str(one.id) == product.id)
        assert product.title == origin.name
        assert product.category[-1].lower() == origin.category
        assert product.category[0] == ("Home" if origin.category in ("clocks", "crates") else "Outdoor")
        assert product.description == f"A fine {origin.name}"
        assert product.attributes == {"brand": "Aster", "price": "9.5"}
        assert picture == origin.picture
    assert json.loads((tmp_path / "shop" / REPORT_NAME).read_text())["rows_kept"] == 24
    files = [path.name for path in (tmp_path / "shop").iterdir()]
    assert sorted(files) == [".crawl-lock", "catalogue.sqlite", REPORT_NAME, "pictures"]
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "shop").rglob("*") if path.is_file())


def test_crawl_again(tmp_path: Path) -> None:
    """A crawl that is done asks for nothing again, and one that wants more goes on where it stopped."""
    with drawn_shop() as shop:
        run(shop, tmp_path / "shop", per_category=3)
        assert len(Catalogue.open(tmp_path / "shop")) == 12
        shop.asked.clear()
        run(shop, tmp_path / "shop", per_category=3)
        assert sum(shop.asked.values()) == 0
        run(shop, tmp_path / "shop", per_category=5)
        assert len(Catalogue.open(tmp_path / "shop")) == 20
        assert sorted(shop.asked) == sorted(
            ["/robots.txt", *(f"/products/{leaf}/3" for leaf in ("clocks", "crates", "tents", "ladders"))]
            + [f"/pictures/{n}.jpg" for n in (4, 5, 10, 11, 16, 17, 22, 23)]
        )


PASSING = ["status 500", "status 503", "retry-after 1", "half", "cut", "silence 0.8", "text <html>busy</html>"]


@pytest.mark.parametrize("fault", PASSING)
def test_trouble_that_passes(tmp_path: Path, fault: str) -> None:
    """Trouble that passes while the crawl tries again leaves no trace in the catalogue."""
    with drawn_shop(per_category=1) as shop:
        run(shop, tmp_path / "calm")
        picture = [] if fault in ("half", "text <html>busy</html>") else [fault]
        shop.faults = {"/categories": [fault], "/products/clocks/0": [fault], "/pictures/2.jpg": picture}
        started = time.monotonic()
        report = run(shop, tmp_path / "rough")
        assert not any(shop.faults.values())
    assert report.failed_leaves == {}
    assert contents(tmp_path / "rough") == contents(tmp_path / "calm")
    if fault.startswith("retry-after"):
        assert time.monotonic() - started >= 1


def test_trouble_that_stays(tmp_path: Path) -> None:
    """A leaf and a picture that fail through all tries are told of and left for the next crawl, which completes them."""
    with drawn_shop(per_category=2) as shop:
        shop.faults = {"/products/crates/0": ["status 500"] * 3, "/pictures/1.jpg": ["status 503"] * 3}
        report = run(shop, tmp_path / "shop")
        assert list(report.failed_leaves) == ["crates"]
        assert "/api/v2/products answered with status 500" in report.failed_leaves["crates"]
        assert "secret" not in str(report)
        assert (report.owed_pictures, report.catalogue.rows_kept, report.catalogue.pictures_kept) == (1, 6, 5)
        report = run(shop, tmp_path / "shop")
        assert (report.failed_leaves, report.owed_pictures) == ({}, 0)
        assert (report.catalogue.rows_kept, report.catalogue.pictures_kept) == (8, 8)
        assert report.catalogue.unreadable == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("text <html>no picture</html>", "the picture cannot be read: the file is not a picture in a known format"),
        ("half", "the picture cannot be read: the file is damaged or cut short"),
        ("text", "the picture cannot be read: the file is empty"),
        ("status 404", "answered with status 404, expected 200"),
        ("endless", "has more than 33,554,432 bytes"),
        (
            "redirect http://localhost:1/1.jpg",
            "redirects to http://localhost:1, expected to stay with http://127.0.0.1",
        ),
        ("redirect file:///etc/passwd", "redirects, but its address 'file:/etc/passwd' is not http://host/"),
    ],
)
def test_broken_pictures(tmp_path: Path, fault: str, reason: str) -> None:
    """A product whose picture is broken for good is kept without it, the report says why, and nobody asks again."""
    with drawn_shop(per_category=1) as shop:
        shop.faults = {"/pictures/1.jpg": [fault] * 9}
        report = run(shop, tmp_path / "shop")
        assert shop.asked["/pictures/1.jpg"] == 1
    (picture,) = report.catalogue.unreadable
    assert picture.id == "1"
    assert reason in picture.reason
    assert (report.owed_pictures, report.catalogue.rows_kept, report.catalogue.pictures_kept) == (0, 4, 3)


def test_strange_products(tmp_path: Path) -> None:
    """A product in two leaves is kept once, one with neither name nor picture not at all, and both are told of."""
    with drawn_shop(per_category=1) as shop:
        shop.products += [
            ShopProduct(1, "Again", "", "tents", None),
            ShopProduct(99, " ", "", "tents", None),
            ShopProduct(98, "چادر", "", "tents", None),
        ]
        report = run(shop, tmp_path / "shop")
    assert [(row.where, str(row.reason)) for row in report.catalogue.skipped] == [
        ("product '1' of category tents", "duplicate id"),
        ("product '99' of category tents", "neither title nor picture"),
    ]
    assert (report.catalogue.rows_read, report.catalogue.rows_kept, report.catalogue.missing) == (7, 5, ["98"])


def test_robots(tmp_path: Path) -> None:
    """Where robots.txt forbids the API nothing else is asked for; where it forbids the pictures, they are left."""
    with drawn_shop(per_category=1, robots="User-agent: *\nDisallow: /api\n") as shop:
        with pytest.raises(CatalogueError, match=r"robots\.txt does not allow /api/v2/categories"):
            run(shop, tmp_path / "api")
        assert dict(shop.asked) == {"/robots.txt": 1}
    with drawn_shop(per_category=1, robots="User-agent: Aisle-catalogue\nDisallow: /pictures\n") as shop:
        report = run(shop, tmp_path / "pictures")
    assert (report.catalogue.rows_kept, report.catalogue.pictures_kept) == (4, 0)
    assert {picture.reason.rpartition("robots.txt")[2] for picture in report.catalogue.unreadable} == {
        f" does not allow /pictures/{n}.jpg to Aisle-catalogue" for n in range(1, 5)
    }


def test_server_that_is_away(tmp_path: Path) -> None:
    """When leaf after leaf fails the crawl ends, keeps what came, and goes on when the server is back."""
    categories = [{"id": f"c{n}", "name": f"C{n}"} for n in range(9)]
    products = [ShopProduct(n, f"Mug {n}", "", f"c{n}", None) for n in range(9)]
    with ProductApiServer(categories, products) as shop:
        shop.faults = {f"/products/c{n}/0": ["status 502"] * 3 for n in range(1, 9)}
        with pytest.raises(CatalogueError, match="5 categories in a row cannot be had"):
            run(shop, tmp_path / "shop")
        assert len(Catalogue.open(tmp_path / "shop")) == 1
        assert "/products/c6/0" not in shop.asked
        shop.faults = {}
        run(shop, tmp_path / "shop")
    assert len(Catalogue.open(tmp_path / "shop")) == 9


def test_private_network(tmp_path: Path) -> None:
    """Unless it is asked for, no private network is crawled."""
    with drawn_shop(per_category=1) as shop, Fetcher(FetchOptions(retries=RetryPolicy(1))) as fetcher:
        with pytest.raises(FetchError, match="which is not public"):
            ProductApi(shop.url, fetcher).leaves(None)
        assert not shop.asked


def test_strange_folders(tmp_path: Path) -> None:
    """A crawl goes neither into a folder of something else, nor into another shop's, nor where another crawl works."""
    with drawn_shop(per_category=1) as shop:
        (tmp_path / "letters").mkdir()
        (tmp_path / "letters" / "dear.txt").write_text("Dear")
        with pytest.raises(CatalogueError, match="exists and is no catalogue"):
            run(shop, tmp_path / "letters")
        run(shop, tmp_path / "shop")
        with (
            CrawlStore(tmp_path / "shop", shop.url, None),
            pytest.raises(CatalogueError, match="another crawl is at work"),
        ):
            run(shop, tmp_path / "shop")
        with pytest.raises(CatalogueError, match="was crawled from http://127"):
            CrawlStore(tmp_path / "shop", "http://other.example", None)
        run(shop, tmp_path / "shop")


def command(shop: ProductApiServer, folder: Path) -> list[str]:
    """The shell command that crawls a shop."""
    options = ["-o", str(folder), "--rate", "1000", "--page-size", "4", "--allow-private-addresses"]
    return [sys.executable, "-m", "aisle_cli", "catalogue", "crawl", shop.url, *options]


def test_killed_crawl(tmp_path: Path) -> None:
    """A crawl that is killed loses the product under way at most, can be read as it lies, and goes on from there."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with drawn_shop(pause_s=0.03) as shop:
        run(shop, tmp_path / "calm")
        shop.asked.clear()
        kills = 0
        while True:
            process = subprocess.Popen(
                command(shop, tmp_path / "rough"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            before = sum(shop.asked.values())
            while process.poll() is None and sum(shop.asked.values()) < before + 9:
                time.sleep(0.005)
            if process.poll() is None and kills < 3:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                for _, picture in contents(tmp_path / "rough"):
                    assert picture is not None
                continue
            output, _ = process.communicate()
            break
        assert process.returncode == 0, output.decode()
        assert kills == 3
        assert b"pictures kept                      24" in output
        pictures = {path: count for path, count in shop.asked.items() if path.startswith("/pictures/")}
    assert contents(tmp_path / "rough") == contents(tmp_path / "calm")
    assert len(pictures) == 24
    assert sum(pictures.values()) <= 24 + kills


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "shopstyle").is_dir(), reason=f"there is no folder {DATA}: set AISLE_DATA")
def test_real_records(tmp_path: Path) -> None:
    """Real records, served in the API's shape, become a catalogue without a loss."""
    picture = draw_products(1)[0].picture
    with (DATA / "shopstyle" / "shopstyle_products.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    products = [
        ShopProduct(row["id"], row["name"], row["description"], row["category"], picture if n % 10 == 0 else None)
        for n, row in enumerate(rows)
    ]
    categories = [
        {"id": category, "name": category.replace("-", " ").title(), "parentId": "women"}
        for category in sorted({row["category"] for row in rows})
    ]
    with ProductApiServer(categories, products) as shop:
        report = run(shop, tmp_path / "shop", page_size=50)
    assert (report.catalogue.rows_kept, report.catalogue.skipped, report.failed_leaves) == (996, [], {})
    assert report.catalogue.pictures_kept == 100
    by_id = {product.id: product for product in Catalogue.open(tmp_path / "shop").products()}
    for row in rows:
        product = by_id[str(row["id"])]
        assert product.title == row["name"].strip()
        assert product.category == (row["category"].replace("-", " ").title(),)
        assert "<li>" not in product.description
