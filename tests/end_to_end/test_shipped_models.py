"""The repository that ships, served as `make demo` serves it."""

from __future__ import annotations

import csv
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aisle_client import Categorizer, Product
from aisle_demo.examples import EXAMPLES
from tests.support.server_process import ServerProcess, running_server

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("AISLE_DATA", ROOT.parent / "shared" / "data"))
ROWS = 400


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """The shipped repository, served."""
    with running_server(ROOT / "model_repository") as server:
        yield server


@pytest.mark.parametrize(
    ("title", "leaf"),
    [
        ("Navy blue round neck cotton t-shirt", "Tshirts"),
        ("Leather analogue watch with a steel case", "Watches"),
        ("Red stiletto heels with ankle strap", "Heels"),
        ("Canvas school backpack", "Backpacks"),
        ("Gold plated drop earrings", "Earrings"),
        ("Matte pink nail polish", "Nail Polish"),
    ],
)
def test_titles_of_our_own(server: ServerProcess, title: str, leaf: str):
    """Plain titles that no catalogue holds land where a person would put them."""
    with Categorizer(server.grpc) as categorizer:
        answer = categorizer.categorize(title=title)
    assert answer.best.path[-1] == leaf
    assert answer.best.confidence > 0.5


def test_every_example_of_the_page_is_answered(server: ServerProcess):
    """Each example that the page offers has an answer, by its title, its picture, or both."""
    with Categorizer(server.grpc) as categorizer:
        outcomes = categorizer.categorize_batch([Product(each.title or None, each.path) for each in EXAMPLES])
    assert [outcome.error for outcome in outcomes] == [None] * len(EXAMPLES)


@pytest.mark.data
@pytest.mark.skipif(
    not (DATA / "fashion").is_dir(), reason="the fashion catalogue is not there; AISLE_DATA names its folder"
)
@pytest.mark.parametrize(
    ("inputs", "least"),
    [(("title",), 0.95), (("image",), 0.85), (("title", "image"), 0.95)],
    ids=["title", "picture", "both"],
)
def test_rows_of_the_real_catalogue(server: ServerProcess, real_products, inputs: tuple[str, ...], least: float):
    """On real rows the served models are as good as their evaluation says: a mistake in serving would show here."""
    products, labels = real_products
    asked = [
        Product(each.title if "title" in inputs else None, each.image if "image" in inputs else None)
        for each in products
    ]
    with Categorizer(server.grpc) as categorizer:
        outcomes = list(categorizer.categorize_many(asked))
    right = [outcome.categorization.best.label == label for outcome, label in zip(outcomes, labels, strict=True)]
    assert np.mean(right) >= least


@pytest.fixture(scope="module")
def real_products() -> tuple[list[Product], list[str]]:
    """Rows spread over the fashion catalogue, of the categories that the models know, and their labels."""
    known = set((ROOT / "model_repository" / "product_categorizer" / "labels.txt").read_text().splitlines())
    with (DATA / "fashion" / "styles.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows = [row for row in rows if _label(row) in known]
    rows = rows[:: len(rows) // ROWS]
    wanted = {f"{row['id']}.jpg" for row in rows}
    with tarfile.open(DATA / "fashion" / "images.tar") as archive:
        pictures = {
            Path(member.name).name: file.read()
            for member in archive
            if Path(member.name).name in wanted and (file := archive.extractfile(member)) is not None
        }
    rows = [row for row in rows if f"{row['id']}.jpg" in pictures]
    products = [Product(row["productDisplayName"], pictures[f"{row['id']}.jpg"]) for row in rows]
    return products, [_label(row) for row in rows]


def _label(row: dict[str, str]) -> str:
    return " > ".join(row[column].strip() for column in ("masterCategory", "subCategory", "articleType"))
