"""The RPCs of the inference service: plain functions of the decoded message and the call.

They decide nothing about inference and know no gRPC library; `binding.py` binds them to one. An RPC `ModelInfer` is the method
`model_infer`.

Source: Triton inference protocol, service `GRPCInferenceService`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server import messages
from aisle_server.errors import InferenceServerError, UnavailableError, UnsupportedError
from aisle_server.frontends.admission import Admission
from aisle_server.frontends.classification import classify
from aisle_server.frontends.forwarding import HeaderForwarding
from aisle_server.frontends.grpc import describe
from aisle_server.frontends.grpc.call import Call
from aisle_server.frontends.grpc.convert import decode_class_counts, decode_placements, decode_request, encode_response
from aisle_server.frontends.grpc.parameters import EMPTY_FINAL_RESPONSE
from aisle_server.frontends.grpc.repository_parameters import decode_load_override, decode_unload_dependents
from aisle_server.frontends.grpc.settings_rpcs import SettingsRpcs
from aisle_server.frontends.grpc.shared_memory_rpcs import SharedMemoryRpcs
from aisle_server.frontends.grpc.streaming import answer_stream
from aisle_server.frontends.inflight_bytes import InflightBytes
from aisle_server.frontends.log_settings import LogSettings
from aisle_server.frontends.model_version import parse_model_version
from aisle_server.frontends.shared_memory import SharedMemoryRegions
from aisle_server.frontends.status import told
from aisle_server.frontends.tracing import TracedRequest, Tracer
from aisle_server.inference import InferenceRequest, InferenceResponse, StreamedResponse
from aisle_server.inference_server import InferenceServer
from aisle_server.model_config.message import to_message
from aisle_server.model_config.schema import ModelConfig

_log = logging.getLogger(__name__)
_FINAL_RESPONSE: Final = "triton_final_response"


class InferenceServicer(SharedMemoryRpcs, SettingsRpcs):
    """Answers the RPCs out of an inference server."""

    def __init__(
        self,
        server: InferenceServer,
        *,
        admission: Admission | None = None,
        forwarding: HeaderForwarding | None = None,
        inflight_bytes: InflightBytes | None = None,
        regions: SharedMemoryRegions | None = None,
        log: LogSettings | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Answer for a server.

        Args:
            server: Has the models.
            admission: Bounds the inference requests under way; None for no bound.
            forwarding: Picks the headers that become parameters; None for none of them.
            inflight_bytes: Is charged each request of a stream; None for no bound on all of them together.
            regions: Shared memory that tensors may lie in; None for none.
            log: What the log tells; None for settings that nothing follows.
            tracer: Takes the times of some requests; None for one without a file.
        """
        SharedMemoryRpcs.__init__(self, regions or SharedMemoryRegions())
        SettingsRpcs.__init__(self, server, log or LogSettings(), tracer or Tracer())
        self._server = server
        self._admission = admission or Admission()
        self._forwarding = forwarding or HeaderForwarding()
        self._inflight_bytes = inflight_bytes or InflightBytes()
        self._stopping = asyncio.Event()

    def model_config_for_inference(self, name: str, version: int) -> ModelConfig:
        """Return the configuration of a model that can be asked, for doors that read requests by it."""
        return self._server.model_config_for_inference(name, version)

    def stop_accepting(self) -> None:
        """Refuse inference from now on, and end each stream once what it has asked is answered."""
        self._stopping.set()

    async def server_live(self, message: pb.ServerLiveRequest, call: Call) -> pb.ServerLiveResponse:
        """Tell whether the process is up and not about to exit."""
        return pb.ServerLiveResponse(live=self._server.is_live())

    async def server_ready(self, message: pb.ServerReadyRequest, call: Call) -> pb.ServerReadyResponse:
        """Tell whether the models are ready."""
        return pb.ServerReadyResponse(ready=self._server.is_ready())

    async def server_metadata(self, message: pb.ServerMetadataRequest, call: Call) -> pb.ServerMetadataResponse:
        """Tell who answers, and which extensions are spoken."""
        return describe.server_metadata(self._server.server_metadata())

    async def model_ready(self, message: pb.ModelReadyRequest, call: Call) -> pb.ModelReadyResponse:
        """Tell whether a model is ready; one that is unknown is not."""
        version = parse_model_version(message.version)
        return pb.ModelReadyResponse(ready=self._server.is_model_ready(message.name, version))

    async def model_metadata(self, message: pb.ModelMetadataRequest, call: Call) -> pb.ModelMetadataResponse:
        """Tell a model's versions and tensors."""
        version = parse_model_version(message.version)
        return describe.model_metadata(self._server.model_metadata(message.name, version))

    async def model_config(self, message: pb.ModelConfigRequest, call: Call) -> pb.ModelConfigResponse:
        """Tell a model's configuration, defaults filled in."""
        version = parse_model_version(message.version)
        return pb.ModelConfigResponse(config=to_message(self._server.model_config(message.name, version)))

    async def model_statistics(self, message: pb.ModelStatisticsRequest, call: Call) -> pb.ModelStatisticsResponse:
        """Tell the figures of one model, or of every ready one when no name is given."""
        version = parse_model_version(message.version)
        return describe.statistics(self._server.statistics(message.name, version))

    async def repository_index(self, message: pb.RepositoryIndexRequest, call: Call) -> pb.RepositoryIndexResponse:
        """Tell every model of the repositories and its state."""
        if message.repository_name:
            raise UnsupportedError(messages.REPOSITORY_NAME_UNSUPPORTED)
        return describe.repository_index(await self._server.repository_index(ready_only=message.ready))

    async def repository_model_load(
        self, message: pb.RepositoryModelLoadRequest, call: Call
    ) -> pb.RepositoryModelLoadResponse:
        """Load a model, or load it again."""
        if message.repository_name:
            raise UnsupportedError(messages.REPOSITORY_NAME_UNSUPPORTED)
        await self._server.load_model(message.model_name, decode_load_override(message.parameters))
        return pb.RepositoryModelLoadResponse()

    async def repository_model_unload(
        self, message: pb.RepositoryModelUnloadRequest, call: Call
    ) -> pb.RepositoryModelUnloadResponse:
        """Unload a model; what it has accepted may still be answered after this."""
        if message.repository_name:
            raise UnsupportedError(messages.REPOSITORY_NAME_UNSUPPORTED)
        unload_dependents = decode_unload_dependents(message.parameters)
        await self._server.unload_model(message.model_name, unload_dependents=unload_dependents)
        return pb.RepositoryModelUnloadResponse()

    async def model_infer(self, message: pb.ModelInferRequest, call: Call) -> pb.ModelInferResponse:
        """Run a model once."""
        if self._stopping.is_set():
            raise UnavailableError(messages.SHUTTING_DOWN)
        version = parse_model_version(message.model_version)
        config = self._server.model_config_for_inference(message.model_name, version)
        if config.decoupled:
            raise UnsupportedError(messages.DECOUPLED_ON_UNARY)
        traced = self._tracer.begin(config.name, call, (call.arrived_ns, time.monotonic_ns()))
        try:
            asked = self._prepared(message, config, version, self._caller(call), traced)
            with self._admission:
                return asked.encode(await self._server.infer(asked.request))
        finally:
            if traced is not None:
                traced.send()
                call.when_sent(traced.sent)
                call.when_sent(traced.close)

    async def model_stream_infer(self, requests: AsyncIterator[pb.ModelInferRequest], call: Call) -> None:
        """Run models. Answers keep the order of the requests, but for those of decoupled models, which go as they come.

        An error is told within the stream and does not end it, unless the caller asked for that with the metadata
        `triton_grpc_error: true`.
        """
        ends_on_error = call.metadata().get("triton_grpc_error") == "true"
        caller = self._caller(call)

        waits_since_ns = call.arrived_ns

        def told_in_stream(
            message: pb.ModelInferRequest, error: Exception, traced: TracedRequest | None
        ) -> pb.ModelStreamInferResponse:
            if ends_on_error:
                if traced is not None:
                    traced.close()
                raise error
            if not isinstance(error, InferenceServerError):
                _log.error("ModelStreamInfer failed on a request for model '%s'", message.model_name, exc_info=error)
            return pb.ModelStreamInferResponse(
                error_message=told(error)[1], infer_response=pb.ModelInferResponse(id=message.id)
            )

        async def answer_once(message: pb.ModelInferRequest, read_ns: tuple[int, int]) -> _Outgoing:
            traced = None
            try:
                with self._inflight_bytes.lease(message.ByteSize()):
                    asked = self._asked(message, caller, call, read_ns)
                    traced = asked.traced
                    with self._admission:
                        response = asked.encode(await self._server.infer(asked.request))
            except asyncio.CancelledError:
                if traced is not None:
                    traced.close()
                raise
            except Exception as error:
                return _Outgoing(told_in_stream(message, error, traced), traced)
            response.parameters[_FINAL_RESPONSE].bool_param = True
            return _Outgoing(pb.ModelStreamInferResponse(infer_response=response), traced)

        async def answer_often(
            message: pb.ModelInferRequest, read_ns: tuple[int, int]
        ) -> AsyncGenerator[_Outgoing, None]:
            # A look at a key that is not there would put it there.
            wants_end = (
                EMPTY_FINAL_RESPONSE in message.parameters and message.parameters[EMPTY_FINAL_RESPONSE].bool_param
            )
            traced = None
            try:
                asked = self._asked(message, caller, call, read_ns)
                traced = asked.traced
                async with aclosing(self._admitted(asked.request, message.ByteSize())) as responses:
                    async for streamed in responses:
                        if streamed.result is None:
                            if not wants_end:
                                continue
                            # As Triton has it: the version that was asked for, not the one that ran.
                            end = pb.ModelInferResponse(
                                model_name=message.model_name, model_version=message.model_version, id=message.id
                            )
                            answer = pb.ModelStreamInferResponse(infer_response=end)
                        elif isinstance(streamed.result, InferenceServerError):
                            answer = told_in_stream(message, streamed.result, traced)
                            answer.infer_response.model_name = message.model_name
                            answer.infer_response.model_version = message.model_version
                        else:
                            answer = pb.ModelStreamInferResponse(infer_response=asked.encode(streamed.result))
                        answer.infer_response.parameters[_FINAL_RESPONSE].bool_param = streamed.is_final
                        yield _Outgoing(answer, traced, is_last=False)
            except Exception as error:
                yield _Outgoing(told_in_stream(message, error, traced), traced, is_last=False)
            finally:
                if traced is not None:
                    traced.close()

        def answer(message: pb.ModelInferRequest) -> Coroutine[Any, Any, _Outgoing] | AsyncGenerator[_Outgoing, None]:
            nonlocal waits_since_ns
            read_ns = waits_since_ns, time.monotonic_ns()
            waits_since_ns = read_ns[1]
            return answer_often(message, read_ns) if self._is_decoupled(message) else answer_once(message, read_ns)

        async def send(outgoing: _Outgoing) -> None:
            traced = outgoing.traced
            if traced is None:
                await call.send(outgoing.message)
                return
            traced.send()
            try:
                await call.send(outgoing.message)
            finally:
                traced.sent()
                if outgoing.is_last:
                    traced.close()

        await answer_stream(requests, answer, send, self._stopping)

    async def _admitted(self, request: InferenceRequest, byte_size: int) -> AsyncGenerator[StreamedResponse, None]:
        with self._inflight_bytes.lease(byte_size), self._admission:
            async with aclosing(self._server.stream(request)) as responses:
                async for each in responses:
                    yield each

    def _caller(self, call: Call) -> _Caller:
        # A look at the headers costs more than most RPCs have to spare.
        headers = call.metadata() if self._forwarding else {}
        return _Caller(call.deadline_ns(), self._forwarding.forwarded(headers))

    def _asked(self, message: pb.ModelInferRequest, caller: _Caller, call: Call, read_ns: tuple[int, int]) -> _Asked:
        version = parse_model_version(message.model_version)
        config = self._server.model_config_for_inference(message.model_name, version)
        return self._prepared(message, config, version, caller, self._tracer.begin(config.name, call, read_ns))

    def _is_decoupled(self, message: pb.ModelInferRequest) -> bool:
        try:
            version = parse_model_version(message.model_version)
            return self._server.model_config_for_inference(message.model_name, version).decoupled
        except InferenceServerError:  # to be told in its turn
            return False

    def _prepared(
        self,
        message: pb.ModelInferRequest,
        config: ModelConfig,
        version: int,
        caller: _Caller,
        traced: TracedRequest | None,
    ) -> _Asked:
        request = decode_request(message, config, version, caller.deadline_ns, self._regions)
        if traced is not None:
            request = request.changed(trace=traced.trace)
        if caller.forwarded:
            request = request.changed(parameters={**request.parameters, **caller.forwarded})
        if not message.outputs:
            return _Asked(request, lambda response: encode_response(response, response.outputs), traced)
        class_counts = decode_class_counts(message)
        placements = decode_placements(message, self._regions)
        # Looked up now: when the answer comes, the version may be on its way out.
        labels = {name: self._server.labels(config.name, version, name) or () for name in class_counts}

        def encode(response: InferenceResponse) -> pb.ModelInferResponse:
            return encode_response(
                response,
                [
                    classify(tensor, class_counts[tensor.name], labels[tensor.name], is_batching=config.is_batching)
                    if tensor.name in class_counts
                    else tensor
                    for tensor in response.outputs
                ],
                placements,
            )

        return _Asked(request, encode, traced)


class _Caller(NamedTuple):
    """What is known of whoever asks, beside the message."""

    deadline_ns: int | None
    forwarded: Mapping[str, str]


class _Asked(NamedTuple):
    """A request, and how its caller wants to read the answers."""

    request: InferenceRequest
    encode: Callable[[InferenceResponse], pb.ModelInferResponse]
    traced: TracedRequest | None


class _Outgoing(NamedTuple):
    """A message of a stream that is to be sent, and whether it is all that its request is answered with."""

    message: pb.ModelStreamInferResponse
    traced: TracedRequest | None
    is_last: bool = True
