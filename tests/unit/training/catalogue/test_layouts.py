"""Catalogues that come in a layout of their own: folders of classes, and Kaggle's fashion products."""

from pathlib import Path

import pytest

from aisle_training.catalogue import Catalogue, CatalogueError
from aisle_training.catalogue.class_folders import read_class_folders
from aisle_training.catalogue.fashion_layout import open_fashion
from aisle_training.catalogue.importer import import_catalogue
from aisle_training.catalogue.picture_sources import open_pictures
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from tests.unit.training.catalogue.drawing import draw, encode, write_tar

FASHION = b"""id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName
1,Men,Apparel,Topwear,Tshirts,Blue,Summer,2011,Casual,Blue shirt
2,Men,Apparel,Topwear,Tshirts,Blue,Summer,2011,,Blue shirt, striped, "slim"
"""


def test_folder_for_each_class(tmp_path: Path) -> None:
    """Folders are the path, the picture's path is the id; hidden files and what is no picture are no rows."""
    for name in ("Home/Mugs/1.png", "Home/Mugs/2.JPG", "Home/Wall  clocks/1.png", "loose.png", "Home/Thumbs.db"):
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(draw(len(name))))
    (tmp_path / "shop" / ".cache").mkdir()
    (tmp_path / "shop" / ".cache" / "3.png").write_bytes(b"")
    rows = list(read_class_folders(tmp_path / "shop"))
    assert rows == [
        SkippedRow(
            "loose.png", SkipReason.EMPTY_CATEGORY, "it lies in no class folder, whose name would be its category"
        ),
        *(
            Record(name, name, "", ("Home", category), name)
            for name, category in (
                ("Home/Mugs/1.png", "Mugs"),
                ("Home/Mugs/2.JPG", "Mugs"),
                ("Home/Wall  clocks/1.png", "Wall clocks"),
            )
        ),
    ]
    report = import_catalogue(rows, open_pictures(tmp_path / "shop"), tmp_path / "catalogue")
    assert (report.rows_kept, report.pictures_kept) == (3, 3)


def test_no_class_folders(tmp_path: Path) -> None:
    """A folder without a picture, and what is no folder, are errors."""
    with pytest.raises(CatalogueError, match="holds no pictures"):
        list(read_class_folders(tmp_path))
    with pytest.raises(CatalogueError, match="is no folder"):
        list(read_class_folders(tmp_path / "nowhere"))


@pytest.mark.parametrize("inner", ["", "fashion-dataset"])
def test_fashion(tmp_path: Path, inner: str) -> None:
    """The fashion data set is found as it was unpacked, and a comma in its unquoted titles stays in the title."""
    home = tmp_path / "download" / inner
    home.mkdir(parents=True)
    (home / "styles.csv").write_bytes(FASHION.replace(b'"slim"', b"slim"))
    write_tar(home / "images.tar", [("images/1.jpg", encode(draw(1), "JPEG"))])
    rows, pictures = open_fashion(tmp_path / "download")
    report = import_catalogue(rows, pictures, tmp_path / "fashion")
    assert (report.rows_kept, report.pictures_kept, report.missing) == (2, 1, ["2"])
    first, second = Catalogue.open(tmp_path / "fashion").products()
    assert first.category == ("Apparel", "Topwear", "Tshirts")
    assert first.attributes == {
        "gender": "Men",
        "baseColour": "Blue",
        "season": "Summer",
        "year": "2011",
        "usage": "Casual",
    }
    assert second.title == "Blue shirt, striped, slim"
    assert "usage" not in second.attributes


def test_no_fashion(tmp_path: Path) -> None:
    """What lacks the table or the pictures is told so."""
    with pytest.raises(CatalogueError, match=r"holds no styles\.csv"):
        open_fashion(tmp_path)
    (tmp_path / "styles.csv").write_bytes(FASHION)
    with pytest.raises(CatalogueError, match="holds no pictures, expected one of images"):
        open_fashion(tmp_path)
