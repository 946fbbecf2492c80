"""Importing a table whose pictures are addresses, from a server that has its moments."""

from __future__ import annotations

import csv
from pathlib import Path

from click.testing import CliRunner, Result

from aisle_training.catalogue import Catalogue
from aisle_training.commands.catalogue import catalogue
from tests.support.drawn_catalogue import draw_products
from tests.support.product_api_server import ProductApiServer, ShopProduct


def test_import_by_address(tmp_path: Path) -> None:
    """Pictures are downloaded, moments of trouble pass, and what stays away is told of; no download is left over."""
    drawn = draw_products(3)
    products = [ShopProduct(int(one.id), one.title, "", "all", one.picture) for one in drawn]
    with ProductApiServer([], products) as shop:

        def run(output: str, *more: str) -> Result:
            columns = ["--category-column", "type", "--image-url-column", "picture", "--rate", "0"]
            options = ["-o", str(tmp_path / output), "--allow-private-addresses", *columns, *more]
            return CliRunner().invoke(catalogue, ["import", str(tmp_path / "shop.csv"), *options])

        def write(*last: str) -> None:
            with (tmp_path / "shop.csv").open("w", newline="", encoding="utf-8") as file:
                rows = [(one.id, one.title, one.category[-1], f"{shop.origin}/pictures/{one.id}.jpg") for one in drawn]
                csv.writer(file).writerows([("id", "title", "type", "picture"), *rows, *([last] if last else [])])

        # A catalogue that stands there is refused before anything is downloaded.
        write()
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "catalogue.sqlite").write_bytes(b"")
        assert "exists already" in run("shop").output
        assert not shop.asked
        shop.faults = {"/pictures/2.jpg": ["status 503", "cut"], "/pictures/3.jpg": ["status 404"]}
        write("13", "Last", "Tents", "file:///etc/passwd")
        result = run("shop", "--replace")
        assert result.exit_code == 0, result.output
        assert "pictures kept                      11" in result.output
        assert "pictures unreadable                2" in result.output
        assert (shop.asked["/pictures/1.jpg"], shop.asked["/pictures/2.jpg"]) == (1, 3)
    kept = {product.id: product.picture for product in Catalogue.open(tmp_path / "shop").products()}
    for one in drawn:
        picture = kept[one.id]
        assert (picture is None) == (one.id == "3")
        assert picture is None or picture.read_bytes() == one.picture
    assert kept["13"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop", "shop.csv"]
