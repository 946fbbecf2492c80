"""Triton python model `image_preprocess`: encoded pictures to the pixels that the image classifier was trained on.

`aisle export` copies this file into the model repository as `model.py`, beside the modules it imports. It runs on any
server with Triton's python backend; what is trained and what is served share one decoder, for it is the same file.
"""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from .images import ImageError, decode_image
from .product_rows import read_rows


class TritonPythonModel:
    """`IMAGE`, `TITLE` (BYTES [rows, 1], either may be absent) -> `PIXELS` UINT8 [rows, size, size, 3] and
    `IMAGE_PRESENT` FP32 [rows, 1], which is 1 where the row has a picture; the pixels of other rows are zero.
    """  # noqa: D205

    def initialize(self, args: dict[str, str]) -> None:
        """Learn the picture size from the model configuration.

        Args:
            args: As Triton hands them in; `model_config` is JSON.
        """
        pixels = pb_utils.get_output_config_by_name(json.loads(args["model_config"]), "PIXELS")
        self._size = int(pixels["dims"][0])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request of a batch; a row that cannot be used fails its own request and no other."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        images, titles = (_array(pb_utils.get_input_tensor_by_name(request, name)) for name in ("IMAGE", "TITLE"))
        try:
            if images is None and titles is not None:  # title_preprocess speaks for these
                pictures = [b""] * len(titles)
            else:
                pictures = [row.image for row in read_rows(images, titles)]
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


def _array(tensor: Any) -> Any:
    return None if tensor is None else tensor.as_numpy()
