"""The python models in the repository: what they answer is what training computed, bit for bit."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aisle_training.preprocessing.images import decode_image
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.recipes.tiny import RECIPE
from aisle_training.runs import RunFolder
from tests.support.fake_python_backend import TritonError, loaded_model, request

SIZE, LENGTH = RECIPE.modalities["image"].picture_size, RECIPE.modalities["title"].length


def picture(seed: int = 0, file_format: str = "JPEG") -> bytes:
    """A picture of noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (70, 50, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, file_format)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def image_preprocess(onnx_repository: Path) -> Iterator[Any]:
    """The picture model, loaded from the repository."""
    with loaded_model(onnx_repository / "image_preprocess" / "1") as model:
        yield model


@pytest.fixture(scope="module")
def title_preprocess(onnx_repository: Path) -> Iterator[Any]:
    """The title model, loaded from the repository."""
    with loaded_model(onnx_repository / "title_preprocess" / "1") as model:
        yield model


def test_pixels_are_those_of_training(image_preprocess: Any) -> None:
    """The picture model's pixels equal those that the network was trained on."""
    pictures = [picture(1), picture(2, "PNG"), picture(3, "WEBP")]
    (response,) = image_preprocess.execute([request(IMAGE=pictures)])
    assert response.error is None
    assert response["PIXELS"].dtype == np.uint8
    assert (response["PIXELS"] == np.stack([decode_image(each, SIZE) for each in pictures])).all()
    assert response["IMAGE_PRESENT"].dtype == np.float32
    assert response["IMAGE_PRESENT"].tolist() == [[1.0]] * 3


def test_token_ids_are_those_of_training(title_preprocess: Any, run: RunFolder) -> None:
    """The title model's token ids equal those that the network was trained on."""
    titles = ["Red T-Shirt", "كتاب‌ها آبی ۹متر", "😀\u200f", "Blue lamp " * 6000]
    (response,) = title_preprocess.execute([request(TITLE=[title.encode() for title in titles])])
    assert response.error is None
    assert response["TOKEN_IDS"].dtype == np.int32
    assert (
        response["TOKEN_IDS"] == TitleTokenizer.load(run.path / "title_tokenizer.json", LENGTH).encode(titles)
    ).all()
    assert response["TITLE_PRESENT"].dtype == np.float32
    assert response["TITLE_PRESENT"].tolist() == [[1.0]] * 4


def test_shipped_code_is_that_of_training(onnx_repository: Path) -> None:
    """Each module beside a `model.py` is, byte for byte, the one that training imports."""
    source = Path(__file__).parents[4] / "training" / "aisle_training" / "preprocessing"
    shipped = sorted(onnx_repository.glob("*_preprocess/1/*.py"))
    assert len(shipped) == 9
    models = {"image_preprocess": "image_preprocess.py", "title_preprocess": "text_preprocess.py"}
    for path in shipped:
        original = source / (models[path.parents[1].name] if path.name == "model.py" else path.name)
        assert path.read_bytes() == original.read_bytes()


def test_missing_inputs_are_zero(image_preprocess: Any, title_preprocess: Any) -> None:
    """A row without a picture, or without a title, is zero and flagged; the other input says how many rows there are."""
    absent = request(TITLE=[b"Red lamp", b"Blue lamp"]), request(IMAGE=[picture()])
    (pixels, token_ids) = image_preprocess.execute([absent[0]])[0], title_preprocess.execute([absent[1]])[0]
    assert pixels["PIXELS"].shape == (2, SIZE, SIZE, 3)
    assert not pixels["PIXELS"].any()
    assert pixels["IMAGE_PRESENT"].tolist() == [[0.0], [0.0]]
    assert token_ids["TOKEN_IDS"].shape == (1, LENGTH)
    assert not token_ids["TOKEN_IDS"].any()
    assert token_ids["TITLE_PRESENT"].tolist() == [[0.0]]


def test_empty_elements_are_missing(image_preprocess: Any, title_preprocess: Any) -> None:
    """In a batch, an empty picture and a blank title count as missing in their own row alone."""
    mixed = request(IMAGE=[picture(), b""], TITLE=["\u200f ".encode(), b"Red lamp"])
    (pixels,), (token_ids,) = image_preprocess.execute([mixed]), title_preprocess.execute([mixed])
    assert pixels["IMAGE_PRESENT"].tolist() == [[1.0], [0.0]]
    assert token_ids["TITLE_PRESENT"].tolist() == [[0.0], [1.0]]
    assert pixels["PIXELS"][0].any()
    assert not pixels["PIXELS"][1].any()
    assert not token_ids["TOKEN_IDS"][0].any()


@pytest.mark.parametrize(
    "inputs",
    [
        {"IMAGE": [b""], "TITLE": [b" "]},
        {"IMAGE": [b"no picture"], "TITLE": [b"caf\xe9"]},
        {"IMAGE": [picture()], "TITLE": [b"caf\xe9"]},
        {"IMAGE": [b""]},
        {"TITLE": [b" "]},
        {"TITLE": [b"caf\xe9"]},
        {},
    ],
)
def test_exactly_one_model_refuses(
    image_preprocess: Any, title_preprocess: Any, inputs: dict[str, list[bytes]]
) -> None:
    """A request that cannot be used is refused by one of the two models: NVIDIA Triton does not survive two at once."""
    answers = [model.execute([request(**inputs)])[0] for model in (image_preprocess, title_preprocess)]
    assert sorted(answer.error is not None for answer in answers) == [False, True]


def test_row_with_neither(image_preprocess: Any, title_preprocess: Any) -> None:
    """A row with neither picture nor title is refused in the same words, whichever input came."""
    (both,) = image_preprocess.execute([request(IMAGE=[picture(), b""], TITLE=[b"", b" "])])
    assert both.error == TritonError("row 1 has neither a picture nor a title", TritonError.INVALID_ARG)
    (title,) = title_preprocess.execute([request(TITLE=[b"lamp", b" "])])
    assert title.error == both.error


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        (b"no picture", "the file is not a picture in a known format"),
        (picture()[:300], "the file is damaged or cut short"),
    ],
)
def test_bad_picture_fails_its_request_alone(image_preprocess: Any, element: bytes, problem: str) -> None:
    """A picture that cannot be read fails its own request, naming the row; others in the batch are answered."""
    good = request(IMAGE=[picture()])
    first, second, third = image_preprocess.execute([good, request(IMAGE=[picture(), element]), good])
    assert second.error.code == TritonError.INVALID_ARG
    assert second.error.message.startswith(f"row 1: the picture cannot be read: {problem}")
    assert not second.output_tensors
    assert first.error is None
    assert (first["PIXELS"] == third["PIXELS"]).all()


def test_bad_title_fails_its_request_alone(title_preprocess: Any) -> None:
    """A title that is not UTF-8 fails its own request, naming the row; others in the batch are answered."""
    bad, good = title_preprocess.execute([request(TITLE=[b"lamp", b"caf\xe9"]), request(TITLE=[b"lamp"])])
    assert bad.error == TritonError("row 1: the title is not UTF-8: byte 3 is 0xe9", TritonError.INVALID_ARG)
    assert good.error is None


def test_request_without_inputs(image_preprocess: Any) -> None:
    """A request with neither input is refused."""
    (response,) = image_preprocess.execute([request()])
    assert response.error.code == TritonError.INVALID_ARG
    assert "neither IMAGE nor TITLE" in response.error.message
