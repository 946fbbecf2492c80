"""A catalogue's CSV in, its results out: every row accounted for, whatever happens on the way."""

import csv
import json

import grpc
import pytest

from aisle_client import (
    CatalogueError,
    CatalogueFile,
    Categorizer,
    ClientOptions,
    InferenceClient,
    InvalidInputError,
    Product,
    Progress,
    RetryPolicy,
    ServerUnreachableError,
    categorize_catalogue,
)
from tests.support.fake_triton import FakeTransport, FakeTriton, Refusal

AWAY = Refusal(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses")
LATE = Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "")


@pytest.fixture
def fake():
    """A server without a socket."""
    return FakeTriton()


@pytest.fixture
def run(tmp_path, fake):
    """Categorizes a CSV text and returns the rows of its results."""
    catalogue, results = tmp_path / "catalogue.csv", tmp_path / "out.csv"

    def categorize(text=None, top_k=1, **settings):
        if text is not None:
            catalogue.write_bytes(text.encode() if isinstance(text, str) else text)
        named = {
            name: settings.pop(name)
            for name in ("on_wait", "on_progress", "sleep", "clock", "patience_s")
            if name in settings
        }
        precision = settings.pop("precision", None)
        options = ClientOptions(retry=RetryPolicy(max_attempts=1))
        client = InferenceClient(options, transport=FakeTransport(fake))
        with Categorizer(client, top_k=5, precision=precision) as categorizer:
            categorize.progress = categorize_catalogue(
                categorizer,
                CatalogueFile(path=catalogue, **settings),
                results,
                top_k=top_k,
                is_decided=precision is not None,
                batch_size=2,
                in_flight=2,
                **named,
            )
        return rows()

    def rows():
        with results.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            return list(csv.DictReader(file))

    categorize.results = results
    categorize.rows = rows
    return categorize


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


def test_a_row_for_each_product(run):
    """Results stand in the catalogue's order with id, category, confidence and what was used."""
    rows = run("id,title,price\n7,Blue shirts,1\n8,Steel watches,2\n9,Leather handbags,3\n")
    assert [(row["id"], row["category"]) for row in rows] == [
        ("7", "Apparel > Topwear > Shirts"),
        ("8", "Accessories > Watches > Watches"),
        ("9", "Accessories > Bags > Handbags"),
    ]
    assert {row["confidence"] for row in rows} == {"0.709375"}
    assert {(row["used"], row["error"]) for row in rows} == {("title", "")}
    assert run.progress == Progress(done=3, errors=0, skipped=0)


def test_other_columns_go_to_a_model_that_takes_them(run, fake):
    """A column named like a text that the model takes is sent, and a foreign byte in any other column harms nobody."""
    fake.inputs = ["TITLE", "DESCRIPTION"]
    rows = run(b"id,title,description,price\n7,,Blue shirts,\xff\n8,Steel watches,,2\n9,,\xff,3\n10,,,4\n")
    assert [row["used"] for row in rows] == ["description", "title", "", ""]
    assert rows[0]["category"] == "Apparel > Topwear > Shirts"
    assert "the description is not text" in rows[2]["error"]
    assert "neither a title nor a description was given" in rows[3]["error"]


def test_alternatives(run):
    """With more categories asked for, each has two columns of its own."""
    (row,) = run("id,title\n1,shirts\n", top_k=3)
    assert list(row) == [
        "id",
        "category",
        "confidence",
        "used",
        "category_2",
        "confidence_2",
        "category_3",
        "confidence_3",
        "error",
    ]
    assert row["category_2"] == "Apparel > Topwear > Tshirts"
    assert float(row["confidence_3"]) == pytest.approx(0.075)


def test_decisions(run, fake):
    """With a precision each row says what becomes of the product, what is answered, how sure that is, and its id."""
    entry = {"levels": [0.5, 0.5, 0.7], "familiarity": 0.04, "strange": 0.001}
    nodes = [{"id": "a1", "parent": None, "name": "Apparel"}, {"id": "b2", "parent": "a1", "name": "Topwear"}]
    fake.parameters = {
        "decisions": json.dumps({"inputs": {"title": {"0.95": entry}}}),
        "taxonomy": json.dumps({"nodes": nodes}),
    }
    text = "id,title\n1,shirts\n2,odd shirts\n3,alien shirts\n4,\n"
    rows = run(text, precision=0.95, top_k=2)
    assert list(rows[0])[3:9] == ["used", "decision", "answer", "answer_confidence", "answer_id", "category_2"]
    told = [tuple(row[name] for name in ("decision", "answer", "answer_confidence", "answer_id")) for row in rows]
    assert told == [
        ("auto", "Apparel > Topwear > Shirts", "0.709375", ""),
        ("review", "Apparel > Topwear", "0.859375", "b2"),
        ("abstain", "", "0.000000", ""),
        ("", "", "", ""),
    ]
    assert rows[0]["category_2"] == "Apparel > Topwear > Tshirts"
    assert rows[3]["error"]
    assert run(text, precision=0.95, top_k=2) == rows
    with pytest.raises(CatalogueError, match="for decisions as then"):
        run(text, top_k=2)


def test_pictures_by_pattern(run, tmp_path):
    """Without an image column the picture's name follows from the id; a file that is not there is no picture."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.jpg").write_bytes(b"\x04")
    rows = run("id,title\n1,\n2,shirts\n3,\n", pictures=tmp_path / "pictures")
    assert [row["used"] for row in rows] == ["image", "title", ""]
    assert [row["category"] for row in rows] == ["Accessories > Bags > Handbags", "Apparel > Topwear > Shirts", ""]
    assert "neither a title nor a picture" in rows[2]["error"]


def test_pictures_by_column(run, tmp_path):
    """An image column names the file; one that is named and not there, or refused, is that row's error alone."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.jpg").write_bytes(b"\x03")
    (tmp_path / "a" / "c.jpg").write_bytes(b"BROKEN")
    rows = run(
        "id,title,file\n1,,b.jpg\n2,shirts,\n3,shirts,no.jpg\n4,shirts,c.jpg\n5,shirts,b.jpg\n",
        pictures=tmp_path / "a",
        image_column="file",
    )
    assert [row["used"] for row in rows] == ["image", "title", "", "", "title+image"]
    assert "is not there" in rows[2]["error"]
    assert rows[3]["error"] == "the picture cannot be read: the file is damaged"
    assert run.progress == Progress(done=5, errors=2, skipped=0)


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/hostname", "sub/../../secret.jpg", "link.jpg", "a\0b", "x" * 5000]
)
def test_pictures_never_leave_their_folder(run, tmp_path, name):
    """A name that leads out of the folder, by dots, by a link or from the root, is refused; so is one that is no name."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"\x01")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    rows = run(f"id,title,file\n1,shirts,{name}\n2,shirts,\n", pictures=folder, image_column="file")
    assert "leads out" in rows[0]["error"] or "no file name" in rows[0]["error"]
    assert rows[1]["error"] == ""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('id,title\n1,shirts\n2,"a "stray" quote"\n3,shirts\n', "malformed"),
        ("id,title\n1,shirts\n2\n3,shirts\n", "has 1 fields; expected 2"),
        (b"id,title\n1,shirts\n2,\xff\xfe\n3,shirts\n", "not text"),
        ("id,title\n1,shirts\n2,\n3,shirts\n", "neither"),
    ],
)
def test_a_bad_row_is_its_own_error(run, text, error):
    """A malformed row, a short one, one that is not UTF-8 and an empty one are errors in their places."""
    rows = run(text)
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert error in rows[1]["error"]


def test_ids_come_back_byte_for_byte(run):
    """An id that is not UTF-8, or holds commas, quotes and line breaks, comes back as it stood."""
    run(b'id,title\n\xff1,shirts\n"a,""b""\nc",shirts\n')
    assert run.results.read_bytes().splitlines()[1].startswith(b"\xff1,")
    assert run.rows()[1]["id"] == 'a,"b"\nc'


def test_a_byte_order_mark_and_another_delimiter(run):
    """Files as spreadsheets write them are read: a byte order mark, semicolons, carriage returns, blank lines."""
    rows = run(
        b"\xef\xbb\xbfSKU;name\r\n1;shirts\r\n\r\n2;watches\r\n", id_column="SKU", title_column="name", delimiter=";"
    )
    assert [row["id"] for row in rows] == ["1", "2"]


def test_an_empty_catalogue(run):
    """A header alone gives a header alone."""
    assert run("id,title\n") == []
    assert run.results.read_text() == "id,category,confidence,used,error\n"


@pytest.mark.parametrize("text", ["", "sku,title\n1,a\n", "id,id,title\n1,1,a\n"])
def test_a_column_that_is_missing(run, text):
    """A file without the columns is an error that names those it has."""
    with pytest.raises(CatalogueError, match="column 'id'"):
        run(text)


def test_a_file_that_is_missing(run):
    """A catalogue that is not there is an error."""
    with pytest.raises(CatalogueError, match="No such file"):
        run()


def test_a_line_without_end(run):
    """A file that is one endless line is refused before it fills memory."""
    with pytest.raises(CatalogueError, match="a line of more than"):
        run(b"id,title\n1," + b"x" * (2**20 + 1))


@pytest.mark.parametrize(
    "settings", [{"image_column": "file"}, {"title_column": None}, {"delimiter": "::"}, {"delimiter": ""}]
)
def test_columns_that_cannot_be(tmp_path, settings):
    """An image column without a folder, neither titles nor pictures, and a long delimiter are refused."""
    with pytest.raises(InvalidInputError):
        CatalogueFile(path=tmp_path / "a.csv", **settings)


def test_counting(tmp_path):
    """The number of rows is what the results will have, malformed ones included."""
    path = tmp_path / "a.csv"
    path.write_text('id,title\n1,"two\nlines"\n\n2\n3,x\n')
    file = CatalogueFile(path=path)
    assert file.count() == len(list(file.rows())) == 3
    assert next(file.rows()).product == Product("two\nlines")


TEXT = "id,title\n" + "".join(f"{number},shirts {number}\n" for number in range(10))


@pytest.mark.parametrize("cut", [1, 20, 37, 38, 60, 100, 150, 250, -1])
def test_a_stopped_run_goes_on(run, fake, cut):
    """A run that was stopped anywhere, in the middle of a row too, goes on; the results are those of one run."""
    run(TEXT)
    whole = run.results.read_bytes()
    run.results.write_bytes(whole[:cut])
    kept = max(whole[:cut].count(b"\n") - 1, 0)
    fake.requests.clear()
    run(TEXT)
    assert run.results.read_bytes() == whole
    assert run.progress == Progress(done=10, errors=0, skipped=kept)
    assert sum(request.inputs[0].shape[0] for request in fake.requests) == 10 - kept


def test_a_cut_within_quotes(run):
    """A row cut off within a quoted id of several lines is taken away whole."""
    text = 'id,title\n"a\n""b""\nc",shirts\n"d\n""e""\nf",watches\n'
    run(text)
    whole = run.results.read_bytes()
    for cut in range(len(whole)):
        run.results.write_bytes(whole[:cut])
        run(text)
        assert run.results.read_bytes() == whole


def test_a_finished_run_asks_nothing(run, fake):
    """The same command again does nothing, and says so."""
    run(TEXT)
    fake.methods.clear()
    run(TEXT)
    assert fake.methods == []
    assert run.progress == Progress(done=10, errors=0, skipped=10)


@pytest.mark.parametrize("text", ["id,title\n5,other\n", "id,title\n0,shirts\n", "id,title\n"])
def test_results_of_another_catalogue(run, text):
    """Results that are not the first rows of this catalogue are left alone, and the run is refused."""
    run(TEXT)
    whole = run.results.read_bytes()
    with pytest.raises(CatalogueError, match="another catalogue"):
        run(text)
    assert run.results.read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    [b"name,price\nx,1\n", b"id,category,confidence,used,error\n1,a\n", b'id,"cate', b"precious"],
    ids=["other", "short", "quotes", "no line"],
)
def test_a_file_that_holds_something_else(run, content):
    """A file that holds no results, or holds them with other columns, is left alone."""
    run.results.write_bytes(content)
    with pytest.raises(CatalogueError):
        run(TEXT)
    assert run.results.read_bytes() == content


def test_a_full_disk(run):
    """When the disk is full the run ends with an error that names the file, and goes on when there is room."""
    resource = pytest.importorskip("resource", reason="this system has no limits on the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        with pytest.raises(CatalogueError, match=r"out.csv cannot be written: File too large"):
            run(TEXT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert run.results.stat().st_size == 200
    assert len(run(TEXT)) == 10


def test_a_place_that_cannot_be_written(run):
    """A folder that is not there is an error."""
    run.results = run.results.parent / "no"
    run.results.parent.joinpath("out.csv").mkdir()
    with pytest.raises(CatalogueError, match="cannot be written"):
        run(TEXT)


@pytest.mark.parametrize("failure", [AWAY, LATE])
def test_a_server_that_comes_back(run, fake, failure):
    """While the server is away the run waits, and then goes on with the first row that has no answer."""
    clock, waits = Clock(), []
    fake.refusals = [failure] * 4
    rows = run(TEXT, on_wait=lambda error, seconds: waits.append(seconds), sleep=clock.sleep, clock=clock)
    assert [row["id"] for row in rows] == [str(number) for number in range(10)]
    assert all(row["category"] for row in rows)
    assert 1 <= len(waits) <= 4  # several requests that fail together are one wait
    assert clock.now_s == sum(waits)


def test_a_server_that_stays_away(run, fake):
    """When patience ends the run ends, with all that was answered in the file and the rest for next time."""
    clock = Clock()
    progress = []

    def go_away(now):
        progress.append(now)
        if now.done == 4:
            fake.refusals = [AWAY] * 1000

    with pytest.raises(ServerUnreachableError):
        run(TEXT, on_progress=go_away, sleep=clock.sleep, clock=clock, patience_s=60)
    done = len(run.rows())
    assert 4 <= done < 10
    assert [row["id"] for row in run.rows()] == [str(number) for number in range(done)]
    assert 30 < clock.now_s <= 60
    fake.refusals = []
    assert len(run(TEXT)) == 10
    assert run.progress.skipped == done


def test_progress_is_told(run):
    """Progress is told from the first row on."""
    told = []
    run(TEXT, on_progress=told.append)
    assert [progress.done for progress in told] == list(range(11))
