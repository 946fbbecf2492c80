"""The server, whatever the transport: frontends translate to and from it and decide nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from aisle_server import messages
from aisle_server.errors import InferenceServerError, InvalidArgumentError, UnavailableError, UnsupportedError
from aisle_server.inference import LATEST_VERSION, InferenceRequest, InferenceResponse, StreamedResponse
from aisle_server.inference_server.metadata import ModelMetadata, ServerMetadata, describe_model
from aisle_server.latency_window import LatencySketch
from aisle_server.model_config.schema import ModelConfig
from aisle_server.repository.lifecycle import ModelRepository
from aisle_server.repository.override import NO_OVERRIDE, LoadOverride
from aisle_server.repository.served_model import ServedModel
from aisle_server.repository.states import ModelIndex
from aisle_server.statistics import StatisticsSnapshot

_logger = logging.getLogger(__name__)


class _State(Enum):
    STARTING = auto()
    RUNNING = auto()
    EXITING = auto()


@dataclass(frozen=True, slots=True)
class ModelVersionStatistics:
    """The figures of one model version.

    Attributes:
        name: Of the model.
        version: Its number.
        snapshot: Since it was loaded.
        pending_request_count: Requests that are accepted and not executing yet.
        load_duration_s: How long it took to load.
        latencies: How the parts of its requests were spread in the last minute; empty when that is not kept.
    """

    name: str
    version: int
    snapshot: StatisticsSnapshot
    pending_request_count: int
    load_duration_s: float
    latencies: Mapping[str, LatencySketch] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelControl:
    """What callers may change of the models that are served.

    Attributes:
        is_explicit: They may load and unload models.
        allows_file_override: They may send files to load in place of those in the repository: code, for a python model.
    """

    is_explicit: bool = False
    allows_file_override: bool = False


class InferenceServer:
    """Answers for all models of a repository. Every method is called on the event loop.

    A `version` is a number, or LATEST_VERSION for the highest that is ready.
    """

    def __init__(
        self,
        repository: ModelRepository,
        *,
        name: str = "aisle",
        version: str = "",
        strict_readiness: bool = True,
        model_control: ModelControl = ModelControl(),
    ) -> None:
        """Make a server that has loaded nothing yet.

        Args:
            repository: Whose models it serves; the server starts and stops it.
            name: Of the server, for its metadata.
            version: Of the server, for its metadata.
            strict_readiness: Ready means that every model is ready, not merely that the models have been tried.
            model_control: What callers may change.
        """
        self._repository = repository
        self._metadata = ServerMetadata(name, version)
        self._is_readiness_strict = strict_readiness
        self._model_control = model_control
        self._state = _State.STARTING
        self._is_exit_announced = False

    async def start(self, models: Iterable[str] | None = None) -> Mapping[str, str]:
        """Load models, then answer requests.

        Args:
            models: To load, with all that they need; None for every model there is.

        Returns:
            Model -> why it is not served, for each that failed. Whether to go on without them is the caller's to decide.

        Raises:
            InvalidArgumentError: A model repository cannot be read.
        """
        failures = await self._repository.load_all(models)
        if self._state is _State.STARTING:
            self._state = _State.RUNNING
        return failures

    def announce_exit(self) -> None:
        """Say from now on that the server is on its way out. Requests are answered as before, until `stop`."""
        self._is_exit_announced = True

    async def stop(self, timeout_s: float) -> bool:
        """Refuse new requests, answer the accepted ones, and give everything back. Safe to call twice.

        Args:
            timeout_s: The most that this may take.

        Returns:
            Whether all of it was done in time.
        """
        self._state = _State.EXITING
        try:
            async with asyncio.timeout(timeout_s):
                await self._repository.stop()
        except TimeoutError:
            _logger.error("accepted requests are still under way after %g s", timeout_s)
            return False
        return True

    def is_live(self) -> bool:
        """Whether the process is up.

        Raises:
            UnavailableError: It is on its way out.
        """
        self._refuse_when_exiting()
        return True

    def is_ready(self) -> bool:
        """Whether requests can be sent.

        Raises:
            UnavailableError: The server is on its way out.
        """
        self._refuse_when_exiting()
        if self._state is not _State.RUNNING:
            return False
        return not self._is_readiness_strict or self._repository.is_every_model_ready()

    def is_model_ready(self, name: str, version: int = LATEST_VERSION) -> bool:
        """Whether a model can be asked; False for one that nobody knows, or that has an instance which cannot execute.

        Source: Triton up to 26.05; later releases answer NOT_FOUND, which clients that poll after an unload do not expect.
        """
        try:
            served = self._repository.served(name, version)
        except InferenceServerError:
            return False
        return self._state is _State.RUNNING and served.is_healthy

    def server_metadata(self) -> ServerMetadata:
        """Return who answers."""
        return self._metadata

    def model_metadata(self, name: str, version: int = LATEST_VERSION) -> ModelMetadata:
        """Return a model as callers see it.

        Raises:
            NotFoundError: No such model or version, or none is ready.
            UnavailableError: The version is known, and is not ready.
        """
        served = self._repository.served(name, version)
        versions = self._repository.ready_versions(name) if version == LATEST_VERSION else (version,)
        return describe_model(served.config, versions)

    def model_config(self, name: str, version: int = LATEST_VERSION) -> ModelConfig:
        """Return a model's configuration, complete.

        Raises:
            NotFoundError: No such model or version, or none is ready.
            UnavailableError: The version is known, and is not ready.
        """
        return self._repository.served(name, version).config

    def model_config_for_inference(self, name: str, version: int) -> ModelConfig:
        """Return the configuration of a model that is about to be asked, complete.

        Raises:
            NotFoundError: No such model or version, or none is ready.
            UnavailableError: The version is known, and is not ready; or the server is still loading, or on its way out.
        """
        if self._state is not _State.RUNNING:
            starting = self._state is _State.STARTING
            raise UnavailableError(messages.SERVER_NOT_READY if starting else messages.SERVER_EXITING)
        return self._repository.served(name, version).config

    def labels(self, name: str, version: int, output: str) -> tuple[str, ...] | None:
        """Return the names of an output's classes; an ensemble inherits those of the model that gives the output.

        Raises:
            NotFoundError: No such model or version, or none is ready.
            UnavailableError: The version is known, and is not ready.
        """
        return self._labels(self._repository.served(name, version), output)

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Answer a request.

        Cancelling the task that awaits this says that the caller has left.

        Args:
            request: Its tensors hold what their datatype says; all else is checked here.

        Raises:
            NotFoundError: No such model or version, or none is ready.
            UnavailableError: The version or the server is not ready or is stopping, or the queue is full or too slow.
            InvalidArgumentError: The request does not fit the model configuration.
            InferenceServerError: The model refused the request, or failed.
        """
        if self._state is not _State.RUNNING:
            raise self._not_running(request)
        return await self._repository.infer(request)

    def stream(self, request: InferenceRequest) -> AsyncGenerator[StreamedResponse, None]:
        """Answer a request as often as the model does: any number of times for a decoupled model, else once.

        Closing the iterator, or cancelling the task that waits for it, says that the caller has left.

        Args:
            request: As for `infer`.

        Returns:
            Responses as the model makes them, up to and with the final one. An error among them is told to the caller and ends nothing.

        Raises:
            InferenceServerError: As `infer`, for a request that never reaches its model.
        """
        if self._state is not _State.RUNNING:
            raise self._not_running(request)
        return self._repository.stream(request)

    def statistics(self, name: str = "", version: int = LATEST_VERSION) -> list[ModelVersionStatistics]:
        """Return figures, by model and version.

        Args:
            name: Of the model; empty for every version of every model that is ready.
            version: LATEST_VERSION for every version of the model that is ready.

        Raises:
            InvalidArgumentError: The model or the version is unknown or not ready.
        """
        now_ms = time.time_ns() // 1_000_000
        return [
            ModelVersionStatistics(
                served.config.name,
                served.version,
                served.statistics.snapshot(),
                served.pending_request_count,
                served.load_duration_s,
                served.statistics.latencies(now_ms),
            )
            for served in self._served(name, version)
        ]

    async def repository_index(self, ready_only: bool = False) -> list[ModelIndex]:
        """List every model directory there is now with the versions that somebody asked to load, by name and version.

        Raises:
            InvalidArgumentError: A model repository cannot be read.
        """
        return await self._repository.index(ready_only=ready_only)

    async def load_model(self, name: str, override: LoadOverride = NO_OVERRIDE) -> None:
        """Load a model as it lies in the repository now, or load it anew; see `ModelRepository.load`.

        Args:
            name: Of the model.
            override: Stands in the place of what lies in the repository.

        Raises:
            InvalidArgumentError: The name is no name, or a version failed to load; the text says why.
            UnavailableError: Callers may not load models, or the server is still loading or on its way out.
            UnsupportedError: Files came with the request, and may not.
            InternalError: There is no such model, or it or the override cannot be read.
        """
        if not name.strip():
            raise InvalidArgumentError(messages.EMPTY_MODEL_NAME)
        if name.strip() == ".." or "/" in name:
            raise InvalidArgumentError(messages.unsafe_model_name(name))
        self._refuse_model_control()
        if override.files and not self._model_control.allows_file_override:
            raise UnsupportedError(messages.FILE_OVERRIDE_DISABLED)
        await self._repository.load(name, override)

    async def unload_model(self, name: str, *, unload_dependents: bool = False) -> None:
        """Take a model out of service, and the ensembles that need it; see `ModelRepository.unload`.

        Args:
            name: Of the model; an unknown one is none.
            unload_dependents: Take the models that only this ensemble needs out of service too, unless somebody loaded them by name.

        Raises:
            UnavailableError: Callers may not unload models, or the server is still loading or on its way out.
        """
        self._refuse_model_control()
        await self._repository.unload(name, unload_dependents=unload_dependents)

    def _served(self, name: str, version: int) -> list[ServedModel]:
        if not name:
            return list(self._repository.all_served())
        versions = self._repository.ready_versions(name)
        if not versions:
            raise InvalidArgumentError(messages.model_not_available(name))
        if version != LATEST_VERSION and version not in versions:
            raise InvalidArgumentError(messages.model_version_not_available(name))
        chosen = versions if version == LATEST_VERSION else (version,)
        return [self._repository.served(name, each) for each in chosen]

    def _labels(self, served: ServedModel, output: str) -> tuple[str, ...] | None:
        scheduling = served.config.ensemble_scheduling
        if output in served.labels or scheduling is None:
            return served.labels.get(output)
        for step in scheduling.steps:
            for source, target in step.output_map.items():
                if target == output:
                    return self._labels(self._repository.served(step.model_name, step.model_version), source)
        return None

    def _refuse_model_control(self) -> None:
        if not self._model_control.is_explicit:
            raise UnavailableError(messages.LOAD_NOT_ALLOWED)
        self._refuse_when_exiting()
        if self._state is not _State.RUNNING:
            raise UnavailableError(messages.SERVER_NOT_READY)

    def _refuse_when_exiting(self) -> None:
        if self._is_exit_announced or self._state is _State.EXITING:
            raise UnavailableError(messages.SERVER_EXITING)

    def _not_running(self, request: InferenceRequest) -> UnavailableError:
        if self._state is _State.EXITING:
            return UnavailableError(messages.scheduler_stopping(request.log_prefix()))
        return UnavailableError(messages.SERVER_NOT_READY)
