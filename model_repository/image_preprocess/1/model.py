"""Triton python model `image_preprocess`: encoded pictures to the pixels that the image classifier was trained on.

`aisle export` copies this file into the model repository as `model.py`, beside the modules it imports. It runs on any
server with Triton's python backend; what is trained and what is served share one decoder, for it is the same file.
"""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from .images import ImageError, decode_image
from .product_rows import IMAGE, check_rows, elements


class TritonPythonModel:
    """`IMAGE` (BYTES [rows, 1], may be absent) -> `PIXELS` UINT8 [rows, size, size, 3] and `IMAGE_PRESENT` FP32 [rows, 1],
    which is 1 where the row has a picture; the pixels of other rows are zero. Further inputs, see `product_rows`.
    """  # noqa: D205

    def initialize(self, args: dict[str, str]) -> None:
        """Learn the picture size and the inputs from the model configuration.

        Args:
            args: As Triton hands them in; `model_config` is JSON.
        """
        config = json.loads(args["model_config"])
        self._size = int(pb_utils.get_output_config_by_name(config, "PIXELS")["dims"][0])
        self._inputs = [each["name"] for each in config["input"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request of a batch; a row that cannot be used fails its own request and no other."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        tensors = {name: pb_utils.get_input_tensor_by_name(request, name) for name in self._inputs}
        inputs = {name: None if tensor is None else tensor.as_numpy() for name, tensor in tensors.items()}
        pictures = elements(inputs, IMAGE)
        try:
            check_rows(inputs, IMAGE)
            pixels = self._decode(pictures)
        except ValueError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))
        present = np.array([[bool(picture)] for picture in pictures], dtype=np.float32).reshape(-1, 1)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("PIXELS", pixels), pb_utils.Tensor("IMAGE_PRESENT", present)]
        )

    def _decode(self, pictures: list[bytes]) -> Any:
        pixels = np.zeros((len(pictures), self._size, self._size, 3), dtype=np.uint8)
        for number, picture in enumerate(pictures):
            if picture:
                try:
                    pixels[number] = decode_image(picture, self._size)
                except ImageError as error:
                    raise ValueError(f"row {number}: {error}") from None
        return pixels
