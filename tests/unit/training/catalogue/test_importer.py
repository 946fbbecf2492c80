"""Making a catalogue, and leaving nothing behind when it fails."""

import json
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from aisle_training.catalogue import Catalogue, CatalogueError
from aisle_training.catalogue.catalogue import REPORT_NAME
from aisle_training.catalogue.import_report import UnreadablePicture
from aisle_training.catalogue.importer import import_catalogue
from aisle_training.catalogue.picture_sources import FoundPicture, RefusedPicture, open_pictures
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.tables.columns import Columns
from aisle_training.catalogue.tables.csv_records import read_csv
from tests.unit.training.catalogue.drawing import PicturesInMemory, draw, encode, record, write_csv, write_tar

MUG, CUP = encode(draw(1)), encode(draw(2), "JPEG")


class FailingPictures:
    """A source that gives one picture and then fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def resolve(self, text: str) -> str | RefusedPicture:
        return text

    def read(self, wanted: Collection[str]) -> Iterator[FoundPicture | RefusedPicture]:
        yield FoundPicture("1.png", MUG)
        raise self._error


def names(folder: Path) -> list[str]:
    """Name what lies in a folder."""
    return sorted(entry.name for entry in folder.iterdir())


def test_shop(tmp_path: Path) -> None:
    """A CSV and an archive become a catalogue, and the report accounts for each row and each picture."""
    table = write_csv(
        tmp_path / "shop.csv",
        [
            ("sku", "name", "aisle", "shelf", "file"),
            ("1", "Blue mug", "Home", "Mugs", "1.png"),
            ("2", "blue  MUG", "Home", "Cups", "2.jpg"),
            ("3", "Jug", "Home", "Jugs", "again.bmp"),
            ("4", "Jar", "Home", "Jars", "cmyk.jpg"),
            ("5", "Tin", "Home", "Jars", "broken.jpg"),
            ("6", "Lid", "Home", "Jars", "nowhere.jpg"),
            ("7", "Pot", "Home", "Pots", ""),
            ("8", "Pan", "Home", "Pots", "../secret.jpg"),
            ("9", "Can", "Home", "Pots", "link.jpg"),
            ("10", "", "Home", "Pots", "empty.jpg"),
            ("11", "", "Home", "Pots", "deep.png"),
            ("1", "Bowl", "Home", "Bowls", "1.png"),
            ("12", "Vase", "", "", "1.png"),
            ("13", "Plate", "Home"),
        ],
    )
    link = tarfile.TarInfo()
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
    archive = write_tar(
        tmp_path / "pictures.tgz",
        [
            ("images/1.png", MUG),
            ("images/2.jpg", CUP),
            ("images/again.bmp", encode(draw(1), "BMP")),
            ("images/cmyk.jpg", encode(draw(4, "CMYK"), "JPEG")),
            ("images/broken.jpg", CUP[:300]),
            ("images/../secret.jpg", MUG),
            ("images/link.jpg", link),
            ("images/empty.jpg", b""),
            ("images/deep.png", encode(draw(5, "L").convert("I;16"))),
            ("images/nobody.png", MUG),
        ],
        "w:gz",
    )
    steps: list[tuple[int, int]] = []
    report = import_catalogue(
        read_csv(table, Columns("sku", ("name",), ("aisle", "shelf"), image="file")),
        open_pictures(archive),
        tmp_path / "catalogue",
        progress=lambda done, wanted: steps.append((done, wanted)),
    )
    catalogue = Catalogue.open(tmp_path / "catalogue")
    pictures = {product.id: product.picture for product in catalogue.products()}
    assert [product_id for product_id, picture in pictures.items() if picture] == ["1", "2", "3", "4", "11"]
    assert [product_id for product_id, picture in pictures.items() if not picture] == ["5", "6", "7", "8", "9"]
    assert pictures["2"] is not None
    assert pictures["2"].read_bytes() == CUP
    assert (report.rows_read, report.rows_kept, report.pictures_kept) == (14, 10, 5)
    assert [(row.where, row.reason) for row in report.skipped] == [
        ("line 13", SkipReason.DUPLICATE_ID),
        ("line 14", SkipReason.EMPTY_CATEGORY),
        ("line 15", SkipReason.MALFORMED),
        ("line 11", SkipReason.NEITHER),
    ]
    assert report.missing == ["6", "7"]
    assert [(picture.id, picture.reason) for picture in report.unreadable] == [
        ("8", "its name leads out of the folder or archive"),
        ("5", "the picture cannot be read: the file is damaged or cut short"),
        ("9", "it is no regular file"),
    ]
    duplicates = report.duplicates
    assert (duplicates.title_sets, duplicates.title_products) == (1, 2)
    assert (duplicates.pixel_sets, duplicates.pixel_products) == (1, 2)
    assert [(conflict.same, list(conflict.categories)) for conflict in duplicates.conflicts] == [
        ("title", ["1", "2"]),
        ("pixels", ["1", "3"]),
    ]
    assert steps[-1] == (8, 9)
    assert names(tmp_path) == ["catalogue", "pictures.tgz", "shop.csv"]


def test_report_in_the_catalogue(tmp_path: Path) -> None:
    """The report stands in the catalogue as JSON, with the same figures and the reasons in words."""
    rows: list[Record | SkippedRow] = [
        record("1", "Mug", picture_name="1.png"),
        record("2", "mug", "Home > Cups", "2.png"),
        SkippedRow("line 4", SkipReason.MALFORMED, "it has 3 fields, expected 4"),
    ]
    report = import_catalogue(rows, PicturesInMemory({"1.png": CUP[:300]}), tmp_path / "shop")
    written = json.loads((tmp_path / "shop" / REPORT_NAME).read_text())
    reason = "the picture cannot be read: the file is damaged or cut short"
    assert report.unreadable == [UnreadablePicture("1", "1.png", reason)]
    assert written.pop("seconds") >= 0
    assert written == {
        "rows_read": 3,
        "rows_kept": 2,
        "rows_skipped": {
            "count": 1,
            "first": [{"where": "line 4", "reason": "malformed row", "detail": "it has 3 fields, expected 4"}],
            "reasons": {"malformed row": 1},
        },
        "pictures_kept": 0,
        "pictures_missing": {"count": 1, "first": ["2"]},
        "pictures_unreadable": {"count": 1, "first": [{"id": "1", "name": "1.png", "reason": reason}]},
        "duplicate_titles": {"sets": 1, "products": 2},
        "duplicate_pixels": {"sets": 0, "products": 0},
        "conflicts": {
            "count": 1,
            "first": [
                {"same": "title", "key": "mug", "categories": {"1": ["Home", "Mugs"], "2": ["Home", "Cups"]}},
            ],
        },
    }


def test_one_picture_for_several_products(tmp_path: Path) -> None:
    """Products may share a picture file: each has its own copy."""
    records = [record("1", "Mug", picture_name="1.png"), record("2", "Cup", picture_name="./1.png")]
    report = import_catalogue(records, PicturesInMemory({"1.png": MUG}), tmp_path / "shop")
    assert report.pictures_kept == 2
    assert len({product.picture for product in Catalogue.open(tmp_path / "shop").products()}) == 2


def test_ids_name_no_file(tmp_path: Path) -> None:
    """Whatever text an id is, its picture stays inside the catalogue."""
    ids = ["../../x", "/etc/x", "x" * 1000, "نان", "a\\b", "..", "C:x", "a'; DROP TABLE products"]
    records = [record(product_id, "Mug", picture_name="1.png") for product_id in ids]
    import_catalogue(records, PicturesInMemory({"1.png": MUG}), tmp_path / "shop")
    products = Catalogue.open(tmp_path / "shop").products()
    assert [product.id for product in products] == ids
    for product in products:
        assert product.picture is not None
        assert product.picture.resolve().parent.parent == tmp_path / "shop" / "pictures"
        assert product.picture.read_bytes() == MUG


@pytest.mark.parametrize("error", [CatalogueError("the archive is damaged"), KeyboardInterrupt(), OSError("disk full")])
def test_failure_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    """An import that fails or is interrupted half way leaves neither a catalogue nor its beginnings."""
    records = [record("1", "Mug", picture_name="1.png")]
    expected = CatalogueError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        import_catalogue(records, FailingPictures(error), tmp_path / "shop")
    assert names(tmp_path) == []


def test_failed_replacement_leaves_what_was(tmp_path: Path) -> None:
    """An import that fails leaves the catalogue that it was to replace."""
    import_catalogue([record("1", "Mug")], PicturesInMemory({}), tmp_path / "shop")
    with pytest.raises(CatalogueError, match="damaged"):
        import_catalogue(
            [record("2", "Cup", picture_name="1.png")],
            FailingPictures(CatalogueError("damaged")),
            tmp_path / "shop",
            replace=True,
        )
    assert [product.id for product in Catalogue.open(tmp_path / "shop").products()] == ["1"]
    assert names(tmp_path) == ["shop"]


def test_replacement(tmp_path: Path) -> None:
    """A catalogue is replaced only on demand; pictures of the former one go, files of the user's own stay."""
    target = tmp_path / "shop"
    import_catalogue([record("1", "Mug", picture_name="1.png")], PicturesInMemory({"1.png": MUG}), target)
    (target / "splits.csv").write_text("id,split")
    with pytest.raises(CatalogueError, match="exists already: replace it with --replace"):
        import_catalogue([record("2", "Cup")], PicturesInMemory({}), target)
    import_catalogue([record("2", "Cup")], PicturesInMemory({}), target, replace=True)
    assert [product.id for product in Catalogue.open(target).products()] == ["2"]
    assert names(target) == ["catalogue.sqlite", "import_report.json", "pictures", "splits.csv"]
    assert names(target / "pictures") == []
    assert names(tmp_path) == ["shop"]


@pytest.mark.parametrize("replace", [True, False])
def test_what_is_no_catalogue_is_not_replaced(tmp_path: Path, replace: bool) -> None:
    """A folder or a file that is no catalogue is never replaced, nor one behind a link."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").touch()
    (tmp_path / "file").touch()
    import_catalogue([record("1", "Mug")], PicturesInMemory({}), tmp_path / "shop")
    (tmp_path / "link").symlink_to("shop")
    for name in ("home", "file", "link"):
        with pytest.raises(CatalogueError, match="exists and is no catalogue"):
            import_catalogue([record("1", "Mug")], PicturesInMemory({}), tmp_path / name, replace=replace)
    assert names(tmp_path / "home") == ["letter.txt"]


def test_import_is_the_same_twice(tmp_path: Path) -> None:
    """The same rows and pictures make the same catalogue, though threads decode the pictures."""
    records = [record(str(n), f"Mug {n}", picture_name=f"{n}.png") for n in range(50)]
    pictures = PicturesInMemory({f"{n}.png": encode(draw(n)) if n % 5 else b"" for n in range(50)})
    reports = [import_catalogue(records, pictures, tmp_path / name) for name in ("one", "two")]
    one, two = (Catalogue.open(tmp_path / name) for name in ("one", "two"))
    assert one.content_hash == two.content_hash
    assert one.pixel_hashes() == two.pixel_hashes()
    assert reports[0].unreadable == reports[1].unreadable
    assert len(reports[0].unreadable) == 10
