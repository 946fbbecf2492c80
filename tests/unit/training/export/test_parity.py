"""An export that does not answer like its network is found out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from aisle_training.export.classifiers import EMBEDDING_AND_PROBABILITIES, Classifier
from aisle_training.export.errors import ExportError
from aisle_training.export.parity import check_parity


@dataclass(frozen=True)
class FakeTensor:
    """A symbolic tensor as Keras describes one."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class FakeTitleModel:
    """A network that counts token ids."""

    def __init__(self, length: int | None = 6, output: str = "PROBABILITIES") -> None:
        self.inputs = [FakeTensor("TOKEN_IDS", (None, length), "int32")]
        self.output = {
            "EMBEDDING": FakeTensor("", (None, 6), "float32"),
            output: FakeTensor("", (None, 2), "float32"),
        }

    def __call__(self, token_ids: Any, training: bool) -> dict[str, np.ndarray]:
        even = (token_ids % 2 == 0).mean(axis=1, keepdims=True)
        return {
            "EMBEDDING": token_ids.astype(np.float32),
            "PROBABILITIES": np.concatenate([even, 1 - even], axis=1).astype(np.float32),
        }


MODEL = FakeTitleModel()
CLASSIFIER = Classifier.of("title_classifier", MODEL, ["TOKEN_IDS"], EMBEDDING_AND_PROBABILITIES, highest=9)


def answer(tensors: Any) -> dict[str, np.ndarray]:
    """Answer as the network does."""
    return MODEL(tensors["TOKEN_IDS"], training=False)


def test_same_answers_pass() -> None:
    """An export that answers like its network passes, with the difference that was found."""
    assert check_parity(CLASSIFIER, answer) == 0.0

    def nearly(tensors: Any) -> dict[str, np.ndarray]:
        return answer(tensors) | {"PROBABILITIES": answer(tensors)["PROBABILITIES"] + np.float32(5e-5)}

    assert check_parity(CLASSIFIER, nearly) == pytest.approx(5e-5, rel=0.01)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda out: out | {"PROBABILITIES": out["PROBABILITIES"] + np.float32(2e-4)},
            "PROBABILITIES.*differs.*0.0002",
        ),
        (lambda out: out | {"PROBABILITIES": out["PROBABILITIES"] * np.float32("nan")}, "PROBABILITIES.*differs.*nan"),
        (lambda out: out | {"EMBEDDING": out["EMBEDDING"] * np.float32(1.01)}, "EMBEDDING.*differs"),
        (lambda out: out | {"PROBABILITIES": out["PROBABILITIES"].astype(np.float64)}, "is float64"),
        (lambda out: out | {"EMBEDDING": out["EMBEDDING"][:, :3]}, r"\[1, 3\], expected float32 \[1, 6\]"),
        (lambda out: {"EMBEDDING": out["EMBEDDING"]}, r"has outputs \['EMBEDDING'\]"),
        # Right for one row, wrong for several: what a batch frozen at 1 does.
        (lambda out: {name: np.repeat(rows[:1], len(rows), axis=0) for name, rows in out.items()}, "in a batch of 5"),
    ],
)
def test_other_answers_fail(change: Any, problem: str) -> None:
    """An export with other numbers, names, datatypes or shapes fails, and the text says which."""
    with pytest.raises(ExportError, match=problem):
        check_parity(CLASSIFIER, lambda tensors: change(answer(tensors)))


def test_tensors_with_other_names() -> None:
    """A network whose tensors are not named as the interface names them is not exported."""
    with pytest.raises(ExportError, match=r"outputs \['EMBEDDING', 'output_0'\], expected \['EMBEDDING', 'PROB"):
        Classifier.of(
            "title_classifier",
            FakeTitleModel(output="output_0"),
            ["TOKEN_IDS"],
            EMBEDDING_AND_PROBABILITIES,
        )


def test_tensors_without_a_fixed_size() -> None:
    """A network that takes titles of any length is not exported: the configuration could not state its shape."""
    with pytest.raises(ExportError, match="TOKEN_IDS of title_classifier has shape"):
        Classifier.of("title_classifier", FakeTitleModel(length=None), ["TOKEN_IDS"], EMBEDDING_AND_PROBABILITIES)
