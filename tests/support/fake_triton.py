"""A small Triton-style server that knows one categorizer: answers bytes with bytes, with or without a socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np

from aisle_client.codec import Call
from aisle_client.options import ClientOptions
from aisle_client.transport import error_for
from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_protocol.raw_contents import from_raw, to_raw

LABELS = (
    "Apparel > Topwear > Tshirts",
    "Apparel > Topwear > Shirts",
    "Footwear > Shoes > Sports Shoes",
    "Accessories > Watches > Watches",
    "Accessories > Bags > Handbags",
    "Personal Care > Fragrance: Eau de Toilette",
)


class Refusal(Exception):
    """The fake answers a status instead of a message."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class FakeTriton:
    """Answers as a server with the model `product_categorizer` would.

    The category is the label whose last word stands in the title, or else that of the index in the picture's first byte.
    A picture that begins with `BROKEN` is refused, one that begins with `CRASH` ends in INTERNAL.
    A title with the word `odd` is less familiar than most, one with `alien` than any.

    Attributes:
        requests: Every ModelInferRequest received, in order.
        methods: Every other call and these, in order; but those for a model's configuration, which are not questions.
        refusals: Statuses to answer a question instead, oldest first; each is used once.
        hold: While cleared, answers wait.
        inputs: What the model takes; a request with another input is refused.
        parameters: Of the model's configuration.
        config_refusal: The status to answer instead of a model's configuration.
    """

    def __init__(self) -> None:
        self.requests: list[pb.ModelInferRequest] = []
        self.methods: list[str] = []
        self.refusals: list[Refusal] = []
        self.is_ready = True
        self.inputs = ["IMAGE", "TITLE"]
        self.parameters = {"threshold": "0.5"}
        self.config_refusal: Refusal | None = None
        self.hold = threading.Event()
        self.hold.set()
        self._lock = threading.Condition()

    def answer(self, method: str, body: bytes) -> bytes:
        """Answer one call."""
        if method != "ModelConfig":
            with self._lock:
                self.methods.append(method)
                self._lock.notify_all()
                if self.refusals:
                    raise self.refusals.pop(0)
            self.hold.wait(10)
        respond = getattr(self, f"_{method}", None)
        if respond is None:
            raise Refusal(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not offered")
        request = getattr(pb, f"{method}Request").FromString(body)
        response: bytes = respond(request).SerializeToString()
        return response

    def reached(self, count: int) -> bool:
        """Wait until that many calls have come."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self.methods) >= count, timeout=10)

    def _ServerLive(self, request: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def _ServerReady(self, request: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self.is_ready)

    def _ModelReady(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        return pb.ModelReadyResponse(ready=self.is_ready)

    def _ServerMetadata(self, request: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(name="fake", version="0", extensions=["classification"])

    def _ModelMetadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=["1"],
            platform="ensemble",
            inputs=[tensor(name="TITLE", datatype="BYTES", shape=[-1, 1])],
            outputs=[tensor(name="CATEGORY", datatype="FP32", shape=[-1, len(LABELS)])],
        )

    def _ModelConfig(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        if self.config_refusal is not None:
            raise self.config_refusal
        response = pb.ModelConfigResponse()
        config = response.config
        config.name, config.platform, config.max_batch_size = request.name, "ensemble", 64
        for name in self.inputs:
            config.input.add(name=name, data_type="TYPE_STRING", dims=[1], optional=len(self.inputs) > 1)
        for key, value in self.parameters.items():
            config.parameters[key].string_value = value
        config.output.add(name="CATEGORY", data_type="TYPE_FP32", dims=[len(LABELS)])
        if "decisions" in self.parameters:
            config.output.add(name="FAMILIARITY", data_type="TYPE_FP32", dims=[1])
        return response

    def _ModelStatistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        response = pb.ModelStatisticsResponse()
        model = response.model_stats.add(name="product_categorizer", version="1", inference_count=7, execution_count=3)
        model.inference_stats.success.count, model.inference_stats.success.ns = 7, 7_000_000
        batch = model.batch_stats.add(batch_size=4)
        batch.compute_infer.count, batch.compute_infer.ns = 1, 500
        return response

    def _RepositoryIndex(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        response = pb.RepositoryIndexResponse()
        response.models.add(name="product_categorizer", version="1", state="READY")
        if not request.ready:
            response.models.add(name="broken", version="1", state="UNAVAILABLE", reason="no such file")
        return response

    def _ModelInfer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
        with self._lock:
            self.requests.append(request)
        inputs = {
            tensor.name: from_raw(raw, tensor.datatype, tensor.shape)
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        response = pb.ModelInferResponse(model_name=request.model_name, model_version="1", id=request.id)
        if request.model_name == "identity":
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
                response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
                response.raw_output_contents.append(raw)
            return response
        if request.model_name == "two_rows":
            response.outputs.add(name="Y", datatype="BOOL", shape=[2])
            response.raw_output_contents.append(b"\x00\x01")
            return response
        if request.model_name != "product_categorizer":
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.model_name}' is not found")
        if unexpected := set(inputs) - set(self.inputs):
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"unexpected inference input '{min(unexpected)}'")
        rows = next(iter(inputs.values())).shape[0]
        nothing = np.array([b""] * rows, dtype=object).reshape(-1, 1)
        titles = sum((inputs[name] for name in self.inputs if name != "IMAGE" and name in inputs), nothing)[:, 0]
        images = inputs.get("IMAGE", nothing)[:, 0]
        probabilities = np.stack([self._probabilities(i, titles[i], images[i]) for i in range(rows)])
        k = request.outputs[0].parameters["classification"].int64_param
        classes = [
            f"{row[index]:.6f}:{index}:{LABELS[index]}".encode()
            for row in probabilities
            for index in np.argsort(-row)[:k]
        ]
        elements = np.array(classes, dtype=object).reshape(rows, -1)
        response.outputs.add(name="CATEGORY", datatype="BYTES", shape=elements.shape)
        response.raw_output_contents.append(to_raw(elements, "BYTES"))
        if any(output.name == "FAMILIARITY" for output in request.outputs):
            words = [title.decode("utf-8", "replace").split() for title in titles]
            familiarity = np.array([[0.0 if "alien" in each else 0.01 if "odd" in each else 0.5] for each in words])
            response.outputs.add(name="FAMILIARITY", datatype="FP32", shape=familiarity.shape)
            response.raw_output_contents.append(to_raw(familiarity.astype(np.float32), "FP32"))
        return response

    @staticmethod
    def _probabilities(row: int, title: bytes, image: bytes) -> np.ndarray:
        if image.startswith(b"BROKEN"):
            raise Refusal(
                grpc.StatusCode.INVALID_ARGUMENT, f"row {row}: the picture cannot be read: the file is damaged"
            )
        if image.startswith(b"CRASH"):
            raise Refusal(grpc.StatusCode.INTERNAL, "internal error")
        if not title and not image:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"row {row} has neither a picture nor a title")
        words = title.decode("utf-8", "replace").casefold().split()
        named = [i for i, label in enumerate(LABELS) if label.split()[-1].casefold() in words]
        best = named[0] if named else (image[0] if image else len(title)) % len(LABELS)
        probabilities = 0.3 * 0.5 ** np.arange(1, len(LABELS) + 1)
        return np.insert(probabilities[:-1], best, 1 - probabilities[:-1].sum())


class FakeTransport:
    """Carries calls to a fake without a socket."""

    def __init__(self, fake: FakeTriton) -> None:
        self.fake = fake
        self.timeouts_s: list[float] = []
        self.is_closed = False

    def send(self, call: Call[object], timeout_s: float) -> bytes:
        """Answer, or raise what the status stands for."""
        self.timeouts_s.append(timeout_s)
        try:
            return self.fake.answer(call.method, call.body)
        except Refusal as refusal:
            raise error_for(refusal.code, refusal.text, call, ClientOptions()) from None

    def close(self) -> None:
        """Remember it."""
        self.is_closed = True


class FakeAsyncTransport:
    """The same for asyncio; a fake that holds its answers does not hold the event loop."""

    def __init__(self, fake: FakeTriton) -> None:
        self._sync = FakeTransport(fake)

    @property
    def is_closed(self) -> bool:
        """Has it been closed?"""
        return self._sync.is_closed

    async def send(self, call: Call[object], timeout_s: float) -> bytes:
        """Answer, or raise what the status stands for."""
        return await asyncio.to_thread(self._sync.send, call, timeout_s)

    async def close(self) -> None:
        """Remember it."""
        self._sync.close()


@contextmanager
def listening(fake: FakeTriton, port: int = 0) -> Iterator[str]:
    """Put a fake on a loopback port; yields `127.0.0.1:port`."""

    class AnyMethod(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            method = details.method.rpartition("/")[2]

            def answer(body: bytes, context: grpc.ServicerContext) -> bytes:
                try:
                    return fake.answer(method, body)
                except Refusal as refusal:
                    context.abort(refusal.code, refusal.text)

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(
        ThreadPoolExecutor(8),
        [AnyMethod()],
        options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)],
    )
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        server.stop(None).wait()
