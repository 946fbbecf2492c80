"""Other modalities than a picture and a title: titles alone; or a title, a description and a brand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aisle_client import Categorizer, InferenceClient, InvalidArgumentError, MissingInputError
from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.export.exporter import export_run
from aisle_training.modalities.registry import create_encoders
from aisle_training.recipes.recipe import AttributeRecipe, FusionRecipe, Recipe, Schedule, TextRecipe
from aisle_training.runs import RunFolder
from aisle_training.train import train
from tests.end_to_end.conftest import aisle
from tests.support.drawn_catalogue import draw_products
from tests.support.server_process import running_server

SCHEDULE = Schedule(epochs=3, batch_size=8, learning_rate=2e-2)
TEXT = {"vocabulary_size": 300, "length": 16, "token_size": 16, "filters": 16, "embedding_size": 32, "dropout": 0.1}
THREE = Recipe(
    name="three",
    minimum_products=8,
    modalities={
        "title": TextRecipe(schedule=SCHEDULE, **TEXT),
        "description": TextRecipe(schedule=SCHEDULE, field="description", **TEXT),
        "brand": AttributeRecipe(schedule=SCHEDULE, attribute="brand", buckets=64, embedding_size=8),
    },
    fusion=FusionRecipe(schedule=SCHEDULE, hidden_size=16),
)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue without pictures, imported and split; every fifth product has a title alone."""
    folder = tmp_path_factory.mktemp("texts")
    lines = []
    for number, product in enumerate(draw_products(per_category=40)):
        record = {"id": product.id, "title": product.title, "type": " > ".join(product.category)}
        if number % 5:
            record["text"] = f"Made for {product.category[0].lower()} use. {product.title.split(' ', 2)[2]}"
            record["brand"] = f"{product.category[1]} Works"
        lines.append(json.dumps(record))
    table = folder / "products.jsonl"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    columns = ["--category-column", "type", "--category-separator", " > "]
    texts = ["--title-column", "title", "--description-column", "text", "--attribute-column", "brand"]
    aisle("catalogue", "import", table, "--no-pictures", "-o", folder / "catalogue", *columns, *texts)
    aisle("catalogue", "split", folder / "catalogue", "-o", folder / "catalogue/splits.csv", "--min-class", "8")
    return folder / "catalogue"


def test_titles_alone(catalogue: Path, tmp_path: Path):
    """A recipe of pictures and titles is trained, evaluated, exported and served on a catalogue that has titles alone."""
    run, repository = tmp_path / "run", tmp_path / "models"
    aisle("train", "tiny", "--catalogue", catalogue, "-o", run)
    assert RunFolder(run).recipe().classifiers == ("title_classifier",)
    table = aisle("evaluate", run)
    assert "title_classifier" in table
    assert "picture" not in table
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert list(dict.fromkeys(figures["model"] for figures in evaluation["figures"])) == [
        "title_classifier",
        "TF-IDF + linear SVM",
        "most frequent category",
    ]
    aisle("export", run, "--model-repository", repository)
    assert {path.name for path in repository.iterdir()} == {
        "title_preprocess",
        "title_classifier",
        "title_categorizer",
        "product_categorizer",
    }
    with running_server(repository) as server, Categorizer(server.grpc) as categorizer:
        answer = categorizer.categorize(title="Alder red wall clock 12")
        assert answer.model == "product_categorizer"
        assert sum(each.confidence for each in answer.top(4)) == pytest.approx(1, abs=1e-4)
        assert categorizer.inputs() == ("title",)
        assert categorizer.categorize("Alder red wall clock 12", b"\xff\xd8").used == ("title",)
        with pytest.raises(MissingInputError, match="no title was given"):
            categorizer.categorize(image=b"\xff\xd8")
        printed = aisle("categorize", "--server", server.grpc, "--title", "Alder red wall clock 12")
        assert answer.best.label in printed
        with pytest.raises(InvalidArgumentError, match="row 0 has no title"):
            categorizer.client.infer("product_categorizer", {"TITLE": np.array([[b" "]], dtype=object)})


def test_a_third_modality(catalogue: Path, tmp_path: Path):
    """A title, a description and a brand are served, any of them missing, as the networks themselves answer."""
    opened, run, repository = Catalogue.open(catalogue), RunFolder(tmp_path / "run"), tmp_path / "models"
    train(THREE, opened, catalogue / "splits.csv", run)
    calibrated = json.loads(run.calibration_path.read_text())
    assert {name.partition("/")[2] for name in calibrated if name.startswith("fusion")} == {
        *("title, description and brand", "title and description", "title and brand", "description and brand"),
        *("title alone", "description alone", "brand alone"),
    }
    aisle("evaluate", run.path)
    evaluated = json.loads((run.path / "evaluation.json").read_text())["figures"]
    plain = [figures for figures in evaluated if figures["condition"] == "as it is"]
    accuracy = {(figures["model"], figures["inputs"]): figures["accuracy"] for figures in plain}
    for name in THREE.modalities:
        # Without the others, fusion is as good as the classifier of the one that is left.
        alone = accuracy["fusion_classifier", f"{name} alone"]
        assert alone == pytest.approx(accuracy[f"{name}_classifier", name], abs=0.01)
    export_run(run, repository)
    products = opened.products()[:14]
    sets = [{"title", "description", "brand"}, {"title"}, {"description"}, {"brand"}, {"title", "brand"}]
    given = [sets[number % len(sets)] for number in range(len(products))]
    embeddings, sent = {}, {}
    for encoder in create_encoders(THREE, run.path):
        encoded = encoder.encode(products)
        has = np.array([encoder.name in names for names in given]) & encoded.present
        classifier = run.load_classifier(encoder.classifier)
        embeddings[encoder.embedding_name] = classifier.predict(encoded.array, verbose=0)["EMBEDDING"]
        embeddings[encoder.present_name] = has.astype(np.float32)[:, None]
        texts = {
            "TITLE": [product.title for product in products],
            "DESCRIPTION": [product.description for product in products],
            "BRAND": [product.attributes.get("brand", "").upper() for product in products],
        }[encoder.input_name]
        column = [text.encode() if flag else b"" for text, flag in zip(texts, has, strict=True)]
        sent[encoder.input_name] = np.array(column, dtype=object).reshape(-1, 1)
    usable = [row for row in range(len(products)) if any(sent[name][row, 0] for name in sent)]
    expected = run.load_classifier("fusion_classifier").predict(embeddings, verbose=0)["PROBABILITIES"][usable]
    with running_server(repository) as server, InferenceClient(server.grpc) as client:
        rows = {name: column[usable] for name, column in sent.items()}
        served = client.infer("product_categorizer", rows).outputs["CATEGORY"]
        np.testing.assert_allclose(served, expected, atol=1e-4)
        alone = [place for place, row in enumerate(usable) if given[row] == {"brand"}]
        brands = client.infer("product_categorizer", {"BRAND": rows["BRAND"][alone]}).outputs["CATEGORY"]
        np.testing.assert_allclose(brands, expected[alone], atol=1e-4)
        with pytest.raises(InvalidArgumentError, match="row 1 has neither a brand nor a description nor a title"):
            client.infer("product_categorizer", {"BRAND": np.array([[b"Works"], [b""]], dtype=object)})
        with Categorizer(client) as categorizer:
            answer = categorizer.categorize(texts={"brand": "Clocks Works", "price": "12"})
            assert answer.used == ("brand",)
            assert answer.best.path == ("Home", "Clocks")
        table = tmp_path / "new.csv"
        table.write_text("id,title,brand,price\n1,,Clocks Works,12\n2,Alder red garden ladder 3,,9\n", encoding="utf-8")
        aisle("categorize", table, "--server", server.grpc, "-o", tmp_path / "results.csv")
        results = (tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()
        assert [line.split(",")[3] for line in results[1:]] == ["brand", "title"]
