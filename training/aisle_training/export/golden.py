"""A golden file per model: requests, and what the trained networks answer to them.

`golden.json` lies beside `config.pbtxt`. Its answers come from the encoders and the Keras networks, not from the files
that were written, so whoever serves the repository can be held against what was trained: `aisle export --verify` does.
The format is that of perf_analyzer's `--input-data` with `validation_data`; tensors of numbers are base64 of their
little-endian elements, those of BYTES base64 of the one element that they hold.

Source: "Real Input Data" and "Output Validation" of perf_analyzer's documentation.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from aisle_training.catalogue.catalogue import Product
from aisle_training.export.classifiers import FAMILIARITY, Classifier
from aisle_training.modalities.encoder import Encoded, Encoder
from aisle_training.recipes.recipe import FUSION

GOLDEN: Final = "golden.json"

Row = Mapping[str, bytes | npt.NDArray[Any]]

_COLOURS: Final = ((200, 40, 40), (30, 60, 160), (40, 140, 60), (230, 200, 60))
_WORDS: Final = ("Red", "آبی", "Cotton", "Size 42")


def draw_products(labels: Sequence[tuple[str, ...]], attributes: Sequence[str], folder: Path) -> list[Product]:
    """Make products that no shop has: a drawn picture and a title with a category's name each.

    Args:
        labels: Categories of the run.
        attributes: Names of the attributes that they have.
        folder: Where the pictures go.

    Returns:
        Four products, each with a picture, a title, a description and these attributes.
    """
    products = []
    for number, (colour, word) in enumerate(zip(_COLOURS, _WORDS, strict=True)):
        path = folder / f"{number}.png"
        picture = Image.new("RGB", (60, 80), "white")
        pen = ImageDraw.Draw(picture)
        pen.ellipse((8 + 3 * number, 10, 50, 70 - 8 * number), fill=colour, outline=(0, 0, 0))
        pen.line((0, 79, 59, 20 * number), fill=(90, 90, 90), width=2)
        picture.save(path)
        category = labels[number * (len(labels) - 1) // 3]
        title = f"{word} {category[-1]}"
        described = f"{title}, new in its box"
        products.append(Product(str(number), title, category, path, described, dict.fromkeys(attributes, word)))
    return products


def golden_rows(
    encoders: Sequence[Encoder], classifiers: Mapping[str, Classifier], products: Sequence[Product]
) -> dict[str, list[tuple[Row, Row]]]:
    """Ask the trained networks.

    Args:
        encoders: Of all modalities.
        classifiers: By the names of their models.
        products: What is asked about; the second lacks the first modality, the third the last, where there are several.

    Returns:
        By model, requests of one row and their answers, by tensor.
    """
    rows: dict[str, list[tuple[Row, Row]]] = {}
    encoded = {encoder.name: encoder.encode(products) for encoder in encoders}
    answers = {
        encoder.name: _answers(classifiers[encoder.classifier], {encoder.array_name: encoded[encoder.name].array})
        for encoder in encoders
    }
    for encoder in encoders:
        array, answer = encoded[encoder.name], answers[encoder.name]
        sent = [{encoder.input_name: encoder.served_value(product)} for product in products]
        category = [_told(row) for row in answer]
        arrays = [{encoder.array_name: row} for row in array.array]
        flags = [{encoder.present_name: np.ones(1, np.float32)} for _ in products]
        both = [{**row, **flag} for row, flag in zip(arrays, flags, strict=True)]
        rows[f"{encoder.name}_preprocess"] = list(zip(sent, both, strict=True))
        rows[encoder.classifier] = list(zip(arrays, answer, strict=True))
        rows[f"{encoder.name}_categorizer"] = list(zip(sent, category, strict=True))
    if len(encoders) == 1:
        rows["product_categorizer"] = rows[f"{encoders[0].name}_categorizer"]
        return rows
    present = _present(encoders, len(products))
    fused = {
        **{each.embedding_name: np.stack([row["EMBEDDING"] for row in answers[each.name]]) for each in encoders},
        **{each.present_name: present[each.name].astype(np.float32)[:, None] for each in encoders},
    }
    answer = _answers(classifiers[FUSION], fused)
    requests = [{name: tensor[number] for name, tensor in fused.items()} for number in range(len(products))]
    rows[FUSION] = list(zip(requests, answer, strict=True))
    rows["product_categorizer"] = _whole_rows(encoders, classifiers, products, encoded, present)
    return rows


def write_golden(path: Path, rows: Sequence[tuple[Row, Row]]) -> None:
    """Write the golden file of a model."""
    content = {
        "data": [{name: _spell(tensor) for name, tensor in request.items()} for request, _ in rows],
        "validation_data": [{name: _spell(tensor) for name, tensor in answer.items()} for _, answer in rows],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _present(encoders: Sequence[Encoder], rows: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Say which modalities the drawn products are asked by: all, all but the first, all but the last, all."""
    present = {encoder.name: np.ones(rows, dtype=np.bool_) for encoder in encoders}
    present[encoders[0].name][1] = False
    present[encoders[-1].name][2] = False
    return present


def _whole_rows(
    encoders: Sequence[Encoder],
    classifiers: Mapping[str, Classifier],
    products: Sequence[Product],
    encoded: Mapping[str, Encoded],
    present: Mapping[str, npt.NDArray[np.bool_]],
) -> list[tuple[Row, Row]]:
    """Ask from end to end; a modality that is missing is sent as an empty element."""
    fused: dict[str, npt.NDArray[Any]] = {}
    for each in encoders:
        there = present[each.name]
        shape = (len(there),) + (1,) * (encoded[each.name].array.ndim - 1)
        array = np.where(there.reshape(shape), encoded[each.name].array, 0).astype(encoded[each.name].array.dtype)
        answers = _answers(classifiers[each.classifier], {each.array_name: array})
        fused[each.embedding_name] = np.stack([row["EMBEDDING"] for row in answers])
        fused[each.present_name] = there.astype(np.float32)[:, None]
    sent = [
        {each.input_name: each.served_value(product) if present[each.name][row] else b"" for each in encoders}
        for row, product in enumerate(products)
    ]
    answers = [_told(row) for row in _answers(classifiers[FUSION], fused)]
    return list(zip(sent, answers, strict=True))


def _told(answer: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """What an ensemble tells of its last classifier's answer."""
    familiarity = {name: tensor for name, tensor in answer.items() if name == FAMILIARITY}
    return {"CATEGORY": answer["PROBABILITIES"], **familiarity}


def _answers(classifier: Classifier, tensors: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, npt.NDArray[Any]]]:
    outputs = {name: np.asarray(output) for name, output in classifier.call(tensors).items()}
    rows = len(next(iter(outputs.values())))
    return [{name: output[row] for name, output in outputs.items()} for row in range(rows)]


def _spell(tensor: bytes | npt.NDArray[Any]) -> dict[str, Any]:
    """Spell a tensor without its batch."""
    if isinstance(tensor, bytes):
        return {"content": {"b64": base64.b64encode(tensor).decode()}, "shape": [1]}
    little = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
    return {"content": {"b64": base64.b64encode(little.tobytes()).decode()}, "shape": list(tensor.shape)}
