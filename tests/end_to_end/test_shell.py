"""`aisle categorize` and `aisle status` in a process of their own, as in a shell, against a server that listens."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest

from tests.support.fake_triton import FakeTriton, listening


@pytest.fixture
def fake():
    """A server that listens on a free port while `aisle` is used."""
    return FakeTriton()


@pytest.fixture
def aisle(fake):
    """Runs a command of the shell against the fake."""
    with listening(fake) as address:

        def run(command, *arguments):
            return subprocess.run(
                [sys.executable, "-m", "aisle_cli", command, "--server", address, *map(str, arguments)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        yield run


def test_a_product(aisle):
    """A product's best categories are printed with their confidence, and what they were judged by."""
    done = aisle("categorize", "--title", "Blue cotton shirts")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split("  ")[0] == "Apparel > Topwear > Shirts"
    assert lines[0].endswith("70.9%")
    assert len(lines) == 5 + 1
    assert lines[-1].startswith("from title, by product_categorizer version 1, in ")


def test_decisions(aisle, fake, tmp_path):
    """Where the model has thresholds the answer begins with what becomes of the product; --precision gives a catalogue columns."""
    entry = {"familiarity": 0.04, "strange": 0.001}
    thresholds = {"0.95": {"levels": [0.5, 0.5, 0.7], **entry}, "0.98": {"levels": [0.6, 0.7, 0.9], **entry}}
    fake.parameters["decisions"] = json.dumps({"inputs": {"title": thresholds}})
    told = [
        aisle("categorize", "--title", title, *options).stdout.splitlines()[0]
        for title, options in (("shirts", ()), ("shirts", ("--precision", "0.98")), ("alien shirts", ()))
    ]
    assert told == [
        "auto: Apparel > Topwear > Shirts  70.9%  (precision 0.95)",
        "review, proposed: Apparel > Topwear  85.9%  (precision 0.98)",
        "abstain: nothing is sure enough  (precision 0.95)",
    ]
    (tmp_path / "catalogue.csv").write_text("id,title\n1,shirts\n")
    done = aisle("categorize", tmp_path / "catalogue.csv", "-o", tmp_path / "out.csv", "--precision", "0.98")
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader((tmp_path / "out.csv").read_text().splitlines())
    assert (row["decision"], row["answer"], row["answer_confidence"]) == ("review", "Apparel > Topwear", "0.859375")
    refused = aisle("categorize", "--title", "shirts", "--precision", "0.9")
    assert refused.returncode == 1
    assert "the model has thresholds for 0.95, 0.98" in refused.stderr


def test_json(aisle, tmp_path):
    """With --json the answer is one line that a program reads."""
    (tmp_path / "a.jpg").write_bytes(b"\x03")
    done = aisle("categorize", "--image", tmp_path / "a.jpg", "--json", "--top", "2")
    answer = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert answer["best"]["path"] == ["Accessories", "Watches", "Watches"]
    assert len(answer["alternatives"]) == 2
    assert answer["used"] == ["image"]


def test_a_picture_that_is_none(aisle, tmp_path):
    """A refused picture is one line on standard error, exit 1, and nothing on standard output."""
    (tmp_path / "a.jpg").write_bytes(b"BROKEN")
    done = aisle("categorize", "--image", tmp_path / "a.jpg", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: the picture cannot be read: the file is damaged\n"


def test_a_catalogue(aisle, fake, tmp_path):
    """A catalogue becomes a file of results; the same command again asks for nothing twice."""
    catalogue, results = tmp_path / "shop.csv", tmp_path / "out.csv"
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "p1.jpg").write_bytes(b"\x04")
    catalogue.write_text("sku,name,file\n1,Blue shirts,\n2,,p1.jpg\n3,,../shop.csv\n", encoding="utf-8")
    columns = [
        "--id-column",
        "sku",
        "--title-column",
        "name",
        "--image-column",
        "file",
        "--pictures",
        tmp_path / "pictures",
    ]
    done = aisle("categorize", catalogue, "-o", results, *columns)
    assert done.returncode == 0
    assert f"3 rows in {results}; 1 with an error" in done.stderr
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["category"] for row in rows] == ["Apparel > Topwear > Shirts", "Accessories > Bags > Handbags", ""]
    assert "leads out" in rows[2]["error"]
    fake.requests.clear()
    again = aisle("categorize", catalogue, "-o", results, *columns)
    assert "3 of them by an earlier run" in again.stderr
    assert fake.requests == []


def test_a_server_that_is_away(aisle, tmp_path):
    """Without a server the shell says so in one line, and a catalogue's run tells how to go on."""
    done = subprocess.run(
        [sys.executable, "-m", "aisle_cli", "categorize", "--server", "127.0.0.1:9", "--title", "a"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: no server answers at 127.0.0.1:9")
    assert done.stderr.count("\n") == 1
    catalogue = tmp_path / "shop.csv"
    catalogue.write_text("id,title\n1,a\n")
    done = aisle("categorize", catalogue, "-o", tmp_path / "out.csv", "--server", "127.0.0.1:9", "--patience", "0")
    assert done.returncode == 1
    assert "0 of 1 rows are in" in done.stderr
    assert "the same command goes on from there" in done.stderr


def test_status(aisle, fake):
    """`aisle status` lists the models; its exit status says whether the server is ready."""
    done = aisle("status")
    assert done.returncode == 0
    assert "ready" in done.stdout.splitlines()[0]
    assert "product_categorizer  1        READY        7" in done.stdout
    assert "no such file" in done.stdout
    models = json.loads(aisle("status", "--json").stdout)["models"]
    assert models[0] == {
        "name": "product_categorizer",
        "version": "1",
        "state": "READY",
        "reason": "",
        "inference_count": 7,
    }
    fake.is_ready = False
    assert aisle("status").returncode == 1
