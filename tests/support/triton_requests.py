"""Short ways to ask with NVIDIA's client in a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

ROW = np.arange(16, dtype=np.float32).reshape(1, 16)


def infer_input(name: str, array: Any, datatype: str = "FP32") -> triton.InferInput:
    """An input as the client takes it."""
    given = triton.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def row_input(rows: Any = ROW) -> list[triton.InferInput]:
    """The input of a model that takes FP32[16]."""
    return [infer_input("INPUT0", rows)]


def raw_request(model: str = "identity", datatype: str = "FP32", shape: Any = (1, 16), raw: bytes = bytes(64)) -> Any:
    """A request as the protocol writes it, right or wrong."""
    request = pb.ModelInferRequest(model_name=model, raw_input_contents=[raw])
    request.inputs.add(name="INPUT0", datatype=datatype, shape=shape)
    return request


@contextlib.contextmanager
def refused(status: grpc.StatusCode | str, text: str) -> Iterator[None]:
    """Expect the server to refuse, with this status and exactly this text.

    Args:
        status: Of gRPC, or of HTTP as its client tells it.
        text: `...` at its end stands for anything.
    """
    with pytest.raises((InferenceServerException, grpc.RpcError)) as caught:
        yield
    error = caught.value
    told = (error.status(), error.message()) if isinstance(error, InferenceServerException) else _told(error)
    assert told[0] == str(status)
    if text.endswith("..."):
        assert told[1].startswith(text[:-3])
    else:
        assert told[1] == text


def _told(error: Any) -> tuple[str, str]:
    return str(error.code()), error.details()
