"""The shell command `aisle catalogue`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aisle_training.catalogue import Catalogue, read_split
from aisle_training.commands.catalogue import catalogue
from tests.unit.training.catalogue.drawing import draw, encode, scene, write_csv


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A shop of 60 products with a picture each, in a CSV with tabs and a folder."""
    rows = [("id", "title", "aisle", "shelf"), *((str(n), f"Mug {n}", "Home", f"S{n % 3}") for n in range(60))]
    path = write_csv(tmp_path / "shop.csv", rows)
    path.write_text(path.read_text().replace(",", "\t"))
    (tmp_path / "pictures").mkdir()
    for n in range(60):
        (tmp_path / "pictures" / f"{n}.png").write_bytes(encode(draw(n)))
    return tmp_path


def run(*arguments: str | Path) -> Result:
    """Call `aisle catalogue` with arguments."""
    return CliRunner().invoke(catalogue, [str(argument) for argument in arguments], catch_exceptions=False)


def import_shop(shop: Path, *more: str) -> Result:
    """Import the shop, with more options."""
    options = ["--pictures", shop / "pictures", "-o", shop / "catalogue", "--image-pattern", "{id}.png"]
    categories = ["--category-column", "aisle", "--category-column", "shelf"]
    return run("import", shop / "shop.csv", *options, *categories, "--delimiter", r"\t", *more)


def test_import_and_split(shop: Path) -> None:
    """Import prints the report, split writes a file for the catalogue that was imported and prints its proportions."""
    result = import_shop(shop)
    assert result.exit_code == 0, result.output
    assert "rows kept                          60\n" in result.output
    assert "pictures missing                   0\n" in result.output
    result = run("split", shop / "catalogue", "-o", shop / "splits.csv", "--seed", "4", "--min-class", "20")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1:] == [
        "train             42        42           3    0.7000  0.0000  Home > S0",
        "validation         6         6           3    0.1000  0.0000  Home > S0",
        "test              12        12           3    0.2000  0.0000  Home > S0",
    ]
    split_by_id = read_split(shop / "splits.csv", Catalogue.open(shop / "catalogue"))
    assert len(split_by_id) == 60


def test_splitting_twice(shop: Path) -> None:
    """Splitting again with the same seed writes the same bytes."""
    import_shop(shop)
    for name in ("one.csv", "two.csv"):
        run("split", shop / "catalogue", "-o", shop / name)
    assert (shop / "one.csv").read_bytes() == (shop / "two.csv").read_bytes()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--delimiter", "ab"], "Invalid value for --delimiter: 'ab' came, expected one character"),
        (["--delimiter", '"'], "Invalid value for --delimiter"),
        (["--id-column", "sku"], "has no column 'sku'; its header has id, title, aisle, shelf"),
        (["--image-pattern", "mug.png"], "lacks {id} or another column"),
        (["--image-pattern", "{colour}.png"], "has no column 'colour'; its header has id, title, aisle, shelf"),
    ],
)
def test_bad_options(shop: Path, more: list[str], text: str) -> None:
    """A bad option ends in one sentence that says what came and what was expected, not in a traceback."""
    result = import_shop(shop, *more)
    assert result.exit_code != 0
    assert text in result.output
    assert not (shop / "catalogue").exists()


def test_bad_catalogue(tmp_path: Path) -> None:
    """Splitting what is no catalogue, and splitting in impossible fractions, ends in one sentence."""
    result = run("split", tmp_path, "-o", tmp_path / "splits.csv")
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "is no catalogue" in result.output
    assert not list(tmp_path.iterdir())


def test_impossible_fractions(shop: Path) -> None:
    """Fractions that leave nothing to train on write no file."""
    import_shop(shop)
    result = run("split", shop / "catalogue", "-o", shop / "splits.csv", "--validation", "0.5", "--test", "0.5")
    assert result.exit_code == 1
    assert "expected at least 0 each and below 1 together" in result.output
    assert not (shop / "splits.csv").exists()


def test_titles_alone(tmp_path: Path) -> None:
    """A table without ids and pictures becomes a catalogue: rows are numbered, categories get their names."""
    write_csv(tmp_path / "titles.csv", [("name1", "name2", "cat_id"), ("کاپشن", "", "0"), ("چمدان", "Suitcase", "1")])
    write_csv(tmp_path / "names.csv", [("0", "پوشاک > کاپشن"), ("1", "ساک > چمدان")])
    titles = ["--title-column", "name1", "--title-column", "name2", "--number-rows", "--no-pictures"]
    categories = ["--category-column", "cat_id", "--category-separator", ">"]
    names = ["--category-names", tmp_path / "names.csv"]
    result = run("import", tmp_path / "titles.csv", "-o", tmp_path / "titles", *titles, *categories, *names)
    assert result.exit_code == 0, result.output
    first, second = Catalogue.open(tmp_path / "titles").products()
    assert (first.id, first.title, first.category, first.picture) == ("1", "کاپشن", ("پوشاک", "کاپشن"), None)
    assert second.title == "چمدان Suitcase"


def test_layouts(shop: Path) -> None:
    """Folders of classes are imported by their layout."""
    for n in range(4):
        (shop / "classes" / f"S{n % 2}").mkdir(parents=True, exist_ok=True)
        (shop / "pictures" / f"{n}.png").rename(shop / "classes" / f"S{n % 2}" / f"{n}.png")
    result = run("import", shop / "classes", "--layout", "folders", "-o", shop / "catalogue")
    assert result.exit_code == 0, result.output
    categories = [product.category for product in Catalogue.open(shop / "catalogue").products()]
    assert categories == [("S0",), ("S0",), ("S1",), ("S1",)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["shop.csv"], "nothing came, expected one of --pictures, --image-url-column, --no-pictures"),
        (["shop.csv", "--no-pictures", "--image-url-column", "url"], "--image-url-column and --no-pictures came"),
        (["pictures", "--no-pictures"], "is a folder: name a file, or give --layout"),
        (["shop.csv", "--layout", "folders"], "--layout folders needs a folder"),
        (["pictures", "--layout", "folders", "--no-pictures"], "--no-pictures is for tables"),
        (["pictures", "--layout", "fashion"], "holds no styles.csv"),
        (["shop.csv", "--no-pictures", "--no-titles"], "leave nothing to learn from; a text of any length can be the"),
    ],
)
def test_contradictions(shop: Path, arguments: list[str], text: str) -> None:
    """Options that leave open what is wanted, or contradict each other, are told of."""
    result = run("import", shop / arguments[0], "-o", shop / "catalogue", *arguments[1:])
    assert result.exit_code != 0
    assert text in " ".join(result.output.replace("\n", " ").split())
    assert not (shop / "catalogue").exists()


def test_addresses_inside(shop: Path) -> None:
    """Pictures are not fetched from a private network unless that is asked for; the products are kept without."""
    write_csv(shop / "urls.csv", [("id", "title", "category", "url"), ("1", "Mug", "Home", "http://127.0.0.1:9/1.jpg")])
    result = run("import", shop / "urls.csv", "-o", shop / "catalogue", "--image-url-column", "url")
    assert result.exit_code == 0, result.output
    assert "pictures unreadable                1" in result.output
    report = (shop / "catalogue" / "import_report.json").read_text()
    assert "127.0.0.1 has the address 127.0.0.1, which is not public" in report
    assert not (shop / "catalogue.downloads").exists()


def test_pictures_alone(shop: Path) -> None:
    """A table of file names and classes becomes a catalogue of pictures without titles."""
    write_csv(shop / "files.csv", [("file", "label"), *((f"{n}.png", f"S{n % 2}") for n in range(4))])
    columns = ["--id-column", "file", "--image-column", "file", "--no-titles", "--category-column", "label"]
    result = run("import", shop / "files.csv", "--pictures", shop / "pictures", "-o", shop / "catalogue", *columns)
    assert result.exit_code == 0, result.output
    products = Catalogue.open(shop / "catalogue").products()
    assert [(product.id, product.title) for product in products] == [(f"{n}.png", "") for n in range(4)]
    assert all(product.picture for product in products)


def test_a_table_without_a_header(tmp_path: Path) -> None:
    """A file that begins with a product is read by the names that are given for its columns, and loses no row."""
    write_csv(tmp_path / "texts.csv", [("Books", 'A "long" text,\nin two lines'), ("Household", "Another text")])
    options = ["--column-names", "category, text", "--title-column", "text", "--number-rows", "--no-pictures"]
    result = run("import", tmp_path / "texts.csv", "-o", tmp_path / "catalogue", *options)
    assert result.exit_code == 0, result.output
    products = Catalogue.open(tmp_path / "catalogue").products()
    assert [(product.id, product.category) for product in products] == [("1", ("Books",)), ("2", ("Household",))]
    assert products[0].title == 'A "long" text,\nin two lines'


def test_categories_in_a_table_of_their_own(shop: Path) -> None:
    """Categories come from another table by the id, pictures by a name of several columns; a product without one is told of."""
    write_csv(
        shop / "x.csv", [("", "designation", "page", "image"), *((str(n), f"Mug {n}", "7", str(n)) for n in range(5))]
    )
    write_csv(shop / "y.csv", [("", "code"), *((str(n), str(n % 2)) for n in (3, 2, 1, 0))])
    write_csv(shop / "names.csv", [("0", "Home > Mugs"), ("1", "Home > Cups")])
    for n in range(5):
        (shop / "pictures" / f"{n}.png").rename(shop / "pictures" / f"image_{n}_page_7.png")
    result = run(
        *("import", shop / "x.csv", "-o", shop / "catalogue", "--pictures", shop / "pictures", "--id-column", ""),
        *("--title-column", "designation", "--image-pattern", "image_{image}_page_{page}.png"),
        *("--category-table", shop / "y.csv", "--category-column", "code"),
        *("--category-names", shop / "names.csv", "--category-separator", ">"),
    )
    assert result.exit_code == 0, result.output
    products = Catalogue.open(shop / "catalogue").products()
    assert [product.category[1] for product in products] == ["Mugs", "Cups", "Mugs", "Cups"]
    assert all(product.picture for product in products)
    report = json.loads((shop / "catalogue" / "import_report.json").read_text())
    assert report["rows_skipped"]["first"][0]["detail"] == "the table of categories has no category for the id '4'"


def test_two_categories_for_one_product(shop: Path) -> None:
    """A table of categories that contradicts itself ends the import, for neither row is better than the other."""
    write_csv(shop / "y.csv", [("id", "shelf"), ("1", "S1"), ("2", "S2"), ("1", "S2")])
    result = import_shop(shop, "--category-table", str(shop / "y.csv"))
    assert result.exit_code != 0
    write_csv(shop / "y.csv", [("id", "aisle", "shelf"), ("1", "A", "S1"), ("1", "A", "S2")])
    (shop / "y.csv").write_text((shop / "y.csv").read_text().replace(",", "\t"))
    result = import_shop(shop, "--category-table", str(shop / "y.csv"))
    assert result.exit_code != 0
    assert "says that '1' is ('A', 'S2'), and an earlier one ('A', 'S1')" in " ".join(result.output.split())


def test_near_duplicates_stay_together(shop: Path) -> None:
    """With --near-duplicates a picture and its copy in another size are in one split, which its record says."""
    (shop / "classes").mkdir()
    for folder in ("Mugs", "Cups"):
        (shop / "classes" / folder).mkdir()
    for n in range(30):
        (shop / "classes" / "Mugs" / f"{n}.png").write_bytes(encode(scene(n)))
        (shop / "classes" / "Cups" / f"{n}.jpg").write_bytes(encode(scene(n, (180, 240)), "JPEG", quality=90))
    run("import", shop / "classes", "--layout", "folders", "-o", shop / "catalogue")
    result = run("split", shop / "catalogue", "-o", shop / "splits.csv", "--near-duplicates")
    assert result.exit_code == 0, result.output
    assert "kept together: 60 products in 30 sets of similar pictures" in result.output
    split_by_id = read_split(shop / "splits.csv", Catalogue.open(shop / "catalogue"))
    assert all(split_by_id[f"Mugs/{n}.png"] == split_by_id[f"Cups/{n}.jpg"] for n in range(30))
    assert json.loads((shop / "splits.json").read_text())["near_duplicates"] is True
    run("split", shop / "catalogue", "-o", shop / "splits.csv")
    split_by_id = read_split(shop / "splits.csv", Catalogue.open(shop / "catalogue"))
    assert any(split_by_id[f"Mugs/{n}.png"] != split_by_id[f"Cups/{n}.jpg"] for n in range(30))


def test_nothing_became_a_product(tmp_path: Path) -> None:
    """An import that keeps no row fails and says where the reasons are; a catalogue without products is not split."""
    write_csv(tmp_path / "shop.csv", [("id", "title", "category"), ("1", "", "Home"), ("2", "Mug", "")])
    result = run("import", tmp_path / "shop.csv", "-o", tmp_path / "catalogue", "--no-pictures")
    assert result.exit_code == 1
    assert "neither title nor picture  " in result.output
    assert "none of 2 rows became a product" in result.output
    report = json.loads((tmp_path / "catalogue" / "import_report.json").read_text())
    assert report["rows_skipped"]["count"] == 2
    result = run("split", tmp_path / "catalogue", "-o", tmp_path / "splits.csv")
    assert result.exit_code == 1
    assert "has no products" in result.output
