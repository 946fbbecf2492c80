"""Triton python model `<name>_preprocess` of an attribute: to the bucket that its classifier was trained on.

`aisle export` copies this file into the model repository as `model.py`, beside the modules it imports. It runs on any
server with Triton's python backend.
"""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from .attributes import hash_values
from .product_rows import check_rows, texts


class TritonPythonModel:
    """An attribute, such as `BRAND` (BYTES [rows, 1], may be absent) -> `BUCKET` INT32 [rows, 1] and `BRAND_PRESENT` FP32
    [rows, 1], which is 1 where the row has the attribute; the bucket of other rows is 0. The attribute is the first input
    of the model configuration; for the others, see `product_rows`.
    """  # noqa: D205

    def initialize(self, args: dict[str, str]) -> None:
        """Learn the number of buckets and the inputs from the model configuration.

        Args:
            args: As Triton hands them in; `model_config` is JSON.
        """
        config = json.loads(args["model_config"])
        self._buckets = int(config["parameters"]["buckets"]["string_value"])
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
        buckets = hash_values(texts(inputs, own), self._buckets)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("BUCKET", buckets), pb_utils.Tensor(f"{own}_PRESENT", np.float32(buckets != 0))]
        )
