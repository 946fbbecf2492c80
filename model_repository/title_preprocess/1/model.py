"""Triton python model `<name>_preprocess` of a text: to the token ids that the text's classifier was trained on.

`aisle export` copies this file into the model repository as `model.py`, beside the modules it imports and the text's
`tokenizer.json`. It runs on any server with Triton's python backend.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from .product_rows import check_rows, texts
from .titles import TitleTokenizer


class TritonPythonModel:
    """A text, such as `TITLE` (BYTES [rows, 1], may be absent) -> `TOKEN_IDS` INT32 [rows, length] and `TITLE_PRESENT`
    FP32 [rows, 1], which is 1 where the row has the text; the token ids of other rows are zero. The text is the first
    input of the model configuration; for the others, see `product_rows`.
    """  # noqa: D205

    def initialize(self, args: dict[str, str]) -> None:
        """Load the tokenizer; learn the length and the inputs from the model configuration.

        Args:
            args: As Triton hands them in; `model_config` is JSON.
        """
        config = json.loads(args["model_config"])
        length = int(pb_utils.get_output_config_by_name(config, "TOKEN_IDS")["dims"][0])
        self._tokenizer = TitleTokenizer.load(Path(__file__).with_name("tokenizer.json"), length)
        self._inputs = [each["name"] for each in config["input"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request of a batch; a row that cannot be used fails its own request and no other."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        own = self._inputs[0]
        tensors = {name: pb_utils.get_input_tensor_by_name(request, name) for name in self._inputs}
        inputs = {name: None if tensor is None else tensor.as_numpy() for name, tensor in tensors.items()}
        try:
            check_rows(inputs, own)
        except ValueError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))
        token_ids = self._tokenizer.encode(texts(inputs, own))
        # Whatever is legible has a token, be it that of the unknown.
        present = token_ids.any(axis=1, keepdims=True).astype(np.float32)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("TOKEN_IDS", token_ids), pb_utils.Tensor(f"{own}_PRESENT", present)]
        )
