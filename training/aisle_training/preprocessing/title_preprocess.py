"""Triton python model `title_preprocess`: titles to the token ids that the title classifier was trained on.

`aisle export` copies this file into the model repository as `model.py`, beside the modules it imports and the run's
`tokenizer.json`. It runs on any server with Triton's python backend.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from .product_rows import read_rows, read_titles
from .titles import TitleTokenizer


class TritonPythonModel:
    """`TITLE`, `IMAGE` (BYTES [rows, 1], either may be absent) -> `TOKEN_IDS` INT32 [rows, length] and
    `TITLE_PRESENT` FP32 [rows, 1], which is 1 where the row has a title; the token ids of other rows are zero.
    """  # noqa: D205

    def initialize(self, args: dict[str, str]) -> None:
        """Load the tokenizer and learn the title length from the model configuration.

        Args:
            args: As Triton hands them in; `model_config` is JSON.
        """
        token_ids = pb_utils.get_output_config_by_name(json.loads(args["model_config"]), "TOKEN_IDS")
        path = Path(__file__).with_name("tokenizer.json")
        self._tokenizer = TitleTokenizer.load(path, length=int(token_ids["dims"][0]))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request of a batch; a request of titles alone fails when a row of it cannot be used."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        images, titles = (_array(pb_utils.get_input_tensor_by_name(request, name)) for name in ("IMAGE", "TITLE"))
        if titles is not None and images is None:
            try:
                texts = [row.title for row in read_rows(images, titles)]
            except ValueError as error:
                return pb_utils.InferenceResponse(
                    error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
                )
        else:  # image_preprocess speaks for these
            texts = read_titles(images, titles)
        token_ids = self._tokenizer.encode(texts)
        # Whatever is legible has a token, be it that of the unknown.
        present = token_ids.any(axis=1, keepdims=True).astype(np.float32)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("TOKEN_IDS", token_ids), pb_utils.Tensor("TITLE_PRESENT", present)]
        )


def _array(tensor: Any) -> Any:
    return None if tensor is None else tensor.as_numpy()
