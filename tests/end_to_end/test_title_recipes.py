"""Title networks through the whole pipeline: from titles to the answer of a served model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from aisle_client import Categorizer
from aisle_training.catalogue.catalogue import Catalogue
from aisle_training.export.exporter import export_run
from aisle_training.modalities.registry import create_encoders
from aisle_training.recipes.recipe import Schedule
from aisle_training.recipes.tiny import RECIPE
from aisle_training.runs import RunFolder
from aisle_training.train import train
from tests.end_to_end.conftest import aisle
from tests.support.bert_preset import write_preset
from tests.support.drawn_catalogue import draw_products
from tests.support.server_process import running_server

SCHEDULE = Schedule(epochs=4, batch_size=8, learning_rate=2e-2)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of titles alone, imported and split."""
    folder = tmp_path_factory.mktemp("titles")
    records = [
        {"id": product.id, "title": product.title, "type": product.category[-1]}
        for product in draw_products(per_category=40)
    ]
    table = folder / "products.jsonl"
    table.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    options = ["--title-column", "title", "--category-column", "type", "--no-pictures"]
    aisle("catalogue", "import", table, "-o", folder / "catalogue", *options)
    aisle("catalogue", "split", folder / "catalogue", "-o", folder / "catalogue/splits.csv", "--min-class", "8")
    return folder / "catalogue"


@pytest.mark.parametrize("network", ["subwords", "bert"])
def test_titles_are_answered_as_trained(network: str, catalogue: Path, tmp_path: Path):
    """Members, n-grams, masked and unreadable titles, and BERT by preset: what is served answers as what was trained."""
    numbers = {"network": network, "ngrams": 200, "ngram_length": 24, "masked": 0.1, "unreadable": 0.2}
    if network == "bert":
        numbers["preset"] = write_preset(tmp_path / "preset", "[PAD]", "[UNK]", "[CLS]", "[SEP]")
        numbers["length"] = 12
    else:
        numbers["members"] = 2
    title = dataclasses.replace(RECIPE.modalities["title"], schedule=SCHEDULE, **numbers)
    recipe = dataclasses.replace(RECIPE, modalities={"title": title})
    opened, run = Catalogue.open(catalogue), RunFolder(tmp_path / "run")
    train(recipe, opened, catalogue / "splits.csv", run)
    histories = {path.stem for path in (run.path / "history").iterdir()}
    expected = {"title_classifier", "title_classifier_1"} if network == "subwords" else {"title_classifier"}
    assert histories == expected

    titles = [product.title for product in opened.products()[:9]] + ["ساعت مچی مردانه چرم", "дерево зелёное большое"]
    (encoder,) = create_encoders(recipe, run.path)
    encoded = encoder.encode([dataclasses.replace(opened.products()[0], title=each) for each in titles])
    known = run.load_classifier("title_classifier").predict(encoded.array, verbose=0)["PROBABILITIES"]
    export_run(run, tmp_path / "models")
    with running_server(tmp_path / "models") as server, Categorizer(server.grpc) as categorizer:
        labels = [" > ".join(path) for path in run.labels()]
        for title, probabilities in zip(titles, known, strict=True):
            answer = {each.label: each.confidence for each in categorizer.categorize(title=title).top(len(labels))}
            np.testing.assert_allclose([answer[label] for label in labels], probabilities, atol=1e-4)
    # A script that no title of the shop is written in tells nothing: the confidence stays low.
    assert known[-2:].max() < known[:9].max(axis=1).mean()


def test_seed_changes_all_that_is_drawn(catalogue: Path, tmp_path: Path):
    """The same seed gives the same probabilities, another seed others, in every member."""
    title = dataclasses.replace(RECIPE.modalities["title"], schedule=Schedule(epochs=1, batch_size=8), members=2)
    recipe = dataclasses.replace(RECIPE, modalities={"title": title})
    weights = []
    for number, seed in enumerate((3, 3, 4)):
        run = RunFolder(tmp_path / str(number))
        train(dataclasses.replace(recipe, seed=seed), Catalogue.open(catalogue), catalogue / "splits.csv", run)
        weights.append([weight.copy() for weight in run.load_classifier("title_classifier").get_weights()])
    assert all((one == same).all() for one, same in zip(weights[0], weights[1], strict=True))
    drawn = [one for one in weights[0] if one.ndim > 1]
    others = [other for other in weights[2] if other.ndim > 1]
    assert all((one != other).mean() > 0.9 for one, other in zip(drawn, others, strict=True))
