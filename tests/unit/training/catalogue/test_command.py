"""The shell command `aisle catalogue`."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aisle_training.catalogue import Catalogue, read_split
from aisle_training.commands.catalogue import catalogue
from tests.unit.training.catalogue.drawing import draw, encode, write_csv


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
        (["--image-pattern", "mug.png"], "lacks {id}"),
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
