"""A small catalogue that the tests draw themselves: four categories that a network learns in seconds, from pictures or from titles."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

SIDE = 64
COLOURS = {
    "red": "#c0392b",
    "blue": "#2255aa",
    "green": "#2e8b57",
    "grey": "#777777",
    "violet": "#7d3c98",
    "orange": "#d35400",
}
MAKERS = ("Alder", "Birch", "Cedar", "Hazel", "Maple", "Rowan")
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class DrawnProduct:
    """A row of the catalogue and its picture, encoded as JPEG."""

    id: str
    title: str
    category: tuple[str, ...]
    picture: bytes


def _clock(draw: ImageDraw.ImageDraw, box: Box, colour: str) -> None:
    draw.ellipse(box, outline=colour, width=5)
    centre = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
    draw.line([centre, (centre[0], box[1] + 9)], fill="black", width=3)
    draw.line([centre, (box[2] - 12, centre[1])], fill="black", width=3)


def _tent(draw: ImageDraw.ImageDraw, box: Box, colour: str) -> None:
    draw.polygon([(box[0], box[3]), ((box[0] + box[2]) // 2, box[1]), (box[2], box[3])], fill=colour)


def _crate(draw: ImageDraw.ImageDraw, box: Box, colour: str) -> None:
    for bar in range(3):
        top = box[1] + bar * (box[3] - box[1]) // 3
        draw.rectangle([box[0], top, box[2], top + 8], fill=colour)


def _ladder(draw: ImageDraw.ImageDraw, box: Box, colour: str) -> None:
    for x in (box[0] + 8, box[2] - 8):
        draw.line([(x, box[1]), (x, box[3])], fill=colour, width=4)
    for y in range(box[1] + 4, box[3], 9):
        draw.line([(box[0] + 8, y), (box[2] - 8, y)], fill=colour, width=3)


Drawing = Callable[[ImageDraw.ImageDraw, Box, str], None]
CATEGORIES: dict[tuple[str, ...], tuple[tuple[str, ...], Drawing]] = {
    ("Home", "Clocks"): (("wall clock", "kitchen clock", "round clock with hands"), _clock),
    ("Home", "Crates"): (("storage crate", "wooden crate", "stacking crate"), _crate),
    ("Outdoor", "Tents"): (("family tent", "two person tent", "festival tent"), _tent),
    ("Outdoor", "Ladders"): (("garden ladder", "folding ladder", "step ladder"), _ladder),
}


def draw_products(per_category: int = 40, seed: int = 0) -> list[DrawnProduct]:
    """Draw so many products of each category; the same seed draws the same ones."""
    generator = random.Random(seed)
    products = []
    for category, (nouns, drawing) in CATEGORIES.items():
        for _ in range(per_category):
            colour = generator.choice(list(COLOURS))
            number = generator.randrange(1000)
            title = f"{generator.choice(MAKERS)} {colour} {generator.choice(nouns)} {number}"
            identity = str(len(products) + 1)
            products.append(DrawnProduct(identity, title, category, _picture(drawing, COLOURS[colour], generator)))
    return products


def _picture(drawing: Drawing, colour: str, generator: random.Random) -> bytes:
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    left, top = generator.randrange(2, 14), generator.randrange(2, 14)
    box = (left, top, SIDE - generator.randrange(2, 14), SIDE - generator.randrange(2, 14))
    drawing(ImageDraw.Draw(picture), box, colour)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def write_catalogue(folder: Path, products: list[DrawnProduct]) -> Path:
    """Write products as `products.csv` (id, title, department, type) and `pictures/<id>.jpg`.

    Args:
        folder: Made when it is not there.
        products: In the order of the rows.

    Returns:
        The path of the CSV file.
    """
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    path = folder / "products.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "department", "type"])
        for product in products:
            writer.writerow([product.id, product.title, *product.category])
            (pictures / f"{product.id}.jpg").write_bytes(product.picture)
    return path
