"""A catalogue goes in, an answer comes out: every room between them is the real one."""

from __future__ import annotations

import base64
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aisle_client import Categorizer, InferenceClient, InvalidArgumentError
from tests.end_to_end.conftest import Trained, aisle
from tests.support.drawn_catalogue import draw_products
from tests.support.server_process import ServerProcess

FILES = (
    "image_preprocess/config.pbtxt",
    "image_preprocess/1/model.py",
    "title_preprocess/1/model.py",
    "title_preprocess/1/tokenizer.json",
    "image_categorizer/config.pbtxt",
    "title_categorizer/config.pbtxt",
    "product_categorizer/config.pbtxt",
    "product_categorizer/labels.txt",
)


@pytest.fixture(scope="module")
def unseen():
    """Products that no split of the catalogue holds, with either input missing in turn."""
    products = draw_products(per_category=3, seed=99)
    return [
        {
            "title": None if index % 3 == 1 else product.title,
            "picture": None if index % 3 == 2 else product.picture,
        }
        for index, product in enumerate(products)
    ]


@pytest.fixture(scope="module")
def expected(trained: Trained, unseen) -> np.ndarray:
    """What the Keras networks in a process of their own say, float64 [products, classes]."""
    questions = [
        {"title": each["title"], "picture": each["picture"] and base64.b64encode(each["picture"]).decode()}
        for each in unseen
    ]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("in_process_network.py"), trained.run],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout))


def _ask(server: ServerProcess, product: dict) -> np.ndarray:
    """Ask for the whole probability vector, over gRPC, an absent input left out."""
    tensors = {"IMAGE": product["picture"], "TITLE": product["title"] and product["title"].encode()}
    inputs = {name: np.array([[value]], dtype=object) for name, value in tensors.items() if value}
    with InferenceClient(server.grpc) as client:
        return client.infer("product_categorizer", inputs).outputs["CATEGORY"][0]


def test_what_answers_are_decided_by_rides_along(trained: Trained, onnx_server: ServerProcess):
    """What training fitted reaches the client through the repository: a decision, its familiarity, and the taxonomy's ids.

    From a handful of validation products no threshold can be drawn, so nothing is answered automatically.
    """
    product = trained.products[0]
    with Categorizer(onnx_server.grpc, precision=0.98) as categorizer:
        answer = categorizer.categorize(title=product.title, image=product.picture)
        policy = categorizer.policy()
    assert policy.precisions == [0.95, 0.98]
    assert set(policy.inputs) == {frozenset({"image", "title"}), frozenset({"image"}), frozenset({"title"})}
    assert answer.decision.action in ("review", "abstain")
    assert 0.0 <= answer.decision.familiarity <= 1.0
    taxonomy = json.loads((trained.onnx / "product_categorizer" / "taxonomy.json").read_text(encoding="utf-8"))
    assert {node.id for node in policy.nodes.values()} == {node["id"] for node in taxonomy["nodes"]}
    figures = json.loads((trained.run / "confidence.json").read_text(encoding="utf-8"))
    assert {each["level"] for each in figures["levels"]} == {1, 2}
    assert {"Persian titles", "noise", "blank pictures"} <= {each["source"] for each in figures["out_of_class"]}
    assert all(each["auto"] == 0.0 for each in figures["out_of_class"])


def test_the_evaluation_has_its_rows(trained: Trained):
    """`aisle evaluate` prints a row for each way to ask, disturbed inputs and baselines among them, and writes them down."""
    written = json.loads((trained.run / "evaluation.json").read_text())
    rows = {(row["model"], row["inputs"], row["condition"]): row for row in written["figures"]}
    for model, inputs, condition in (
        ("fusion_classifier", "picture and title", "as it is"),
        ("fusion_classifier", "picture alone", "as it is"),
        ("fusion_classifier", "title alone", "as it is"),
        ("image_classifier", "picture", "as it is"),
        ("title_classifier", "title", "as it is"),
        ("image_classifier", "picture", "picture blurred"),
        ("fusion_classifier", "picture and title", "picture blurred"),
        ("title_classifier", "title", "title with typos"),
        ("fusion_classifier", "picture and title", "title with words dropped"),
        ("title_classifier", "title", "title without category words"),
        ("linear model on 16x16 thumbnails", "picture", "as it is"),
        ("TF-IDF + linear SVM", "title", "as it is"),
        ("linear models together", "picture and title", "as it is"),
        ("most frequent category", "nothing", "as it is"),
    ):
        row = rows[model, inputs, condition]
        assert 0 <= row["accuracy"] <= 1
        assert row["rows"] > 0
        assert inputs in trained.evaluation_table
    assert rows["most frequent category", "nothing", "as it is"]["accuracy"] < 0.5
    first = written["breakdowns"][0]
    assert (first["model"], first["inputs"]) == ("fusion_classifier", "picture and title")
    assert (
        sum(rows for _, _, rows in first["confusion"])
        == rows["fusion_classifier", "picture and title", "as it is"]["rows"]
    )
    assert set(written["training"]) == {"image_classifier", "title_classifier", "fusion_classifier"}
    assert all(cost["epochs"] == 2 and cost["seconds"] > 0 for cost in written["training"].values())


@pytest.mark.parametrize("file_format", ["onnx", "savedmodel"])
def test_the_repository_is_complete(trained: Trained, file_format: str):
    """The exported repository holds the eight models, with configuration and labels, in either format."""
    repository = getattr(trained, file_format)
    missing = [name for name in FILES if not (repository / name).is_file()]
    assert not missing
    classifier = {"onnx": "model.onnx", "savedmodel": "model.savedmodel"}[file_format]
    for name in ("image_classifier", "title_classifier", "fusion_classifier"):
        assert (repository / name / "1" / classifier).exists()


def test_onnx_answers_as_the_network_does(onnx_server: ServerProcess, unseen, expected):
    """Over gRPC, through preprocessing, batching and the ensemble, probabilities equal the Keras network's."""
    served = np.array([_ask(onnx_server, product) for product in unseen])
    np.testing.assert_allclose(served, expected, atol=1e-4)


def test_savedmodel_answers_as_the_network_does(savedmodel_server: ServerProcess, unseen, expected):
    """The same repository as SavedModels gives the same probabilities."""
    served = np.array([_ask(savedmodel_server, product) for product in unseen])
    np.testing.assert_allclose(served, expected, atol=1e-4)


def test_an_empty_element_counts_as_missing(onnx_server: ServerProcess, unseen, expected):
    """In one batch, rows may lack different inputs: an empty element stands for the missing one."""
    rows = {
        "IMAGE": np.array([[each["picture"] or b""] for each in unseen], dtype=object),
        "TITLE": np.array([[(each["title"] or "").encode()] for each in unseen], dtype=object),
    }
    with InferenceClient(onnx_server.grpc) as client:
        served = client.infer("product_categorizer", rows).outputs["CATEGORY"]
    np.testing.assert_allclose(served, expected, atol=1e-4)


def test_the_categorizer_gives_a_path(onnx_server: ServerProcess):
    """A product goes in, a path of the shop's own categories with a confidence comes out."""
    product = draw_products(per_category=1, seed=5)[0]
    with Categorizer(onnx_server.grpc) as categorizer:
        answer = categorizer.categorize(title=product.title, image=product.picture)
    assert answer.used == ("title", "image")
    assert answer.best.path[0] in {"Home", "Outdoor"}
    assert 0 < answer.best.confidence <= 1
    assert sum(each.confidence for each in answer.top(4)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("title", "image", "words"),
    [
        (None, b"this is no picture", "picture"),
        (None, b"\xff\xd8\xff\xe0 cut off", "picture"),
        ("   ", None, "neither a picture nor a title"),
    ],
)
def test_a_bad_product_is_refused_with_words(onnx_server: ServerProcess, title, image, words):
    """What cannot be categorized is refused with a text that says what is wrong, and the server stays up."""
    inputs = {"IMAGE": image, "TITLE": title and title.encode()}
    tensors = {name: np.array([[value]], dtype=object) for name, value in inputs.items() if value}
    with InferenceClient(onnx_server.grpc) as client:
        with pytest.raises(InvalidArgumentError, match=words):
            client.infer("product_categorizer", tensors)
        assert client.is_server_ready()


def test_the_shell_categorizes_a_catalogue(trained: Trained, onnx_server: ServerProcess, tmp_path: Path):
    """`aisle categorize products.csv -o out.csv` answers every row, and a broken picture is the trouble of its own row."""
    folder = trained.catalogue.parent
    with (folder / "products.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:12]
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for row in rows:
        (pictures / f"{row['id']}.jpg").write_bytes((folder / "pictures" / f"{row['id']}.jpg").read_bytes())
    (pictures / f"{rows[3]['id']}.jpg").write_bytes(b"broken")
    source = tmp_path / "products.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=rows[0])
        writer.writeheader()
        writer.writerows(rows)
    target = tmp_path / "out.csv"
    aisle("categorize", source, "-o", target, "--server", onnx_server.grpc, "--pictures", pictures)
    with target.open(encoding="utf-8") as file:
        answers = list(csv.DictReader(file))
    assert [each["id"] for each in answers] == [row["id"] for row in rows]
    assert [bool(each["error"]) for each in answers] == [index == 3 for index in range(12)]
    assert all(each["category"] for index, each in enumerate(answers) if index != 3)


def test_the_shell_categorizes_one_product(onnx_server: ServerProcess):
    """`aisle categorize --title ... --json` prints one line of JSON."""
    printed = json.loads(aisle("categorize", "--title", "Birch red wall clock", "--json", "--server", onnx_server.grpc))
    assert printed["used"] == ["title"]
    assert printed["best"]["path"][0] in {"Home", "Outdoor"}
    assert len(printed["alternatives"]) == 4
