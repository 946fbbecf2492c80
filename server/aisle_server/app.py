"""The composition root: build the server and its endpoints, start them, wait to be told, stop them in reverse.

Endpoints listen before models are loaded, so that a probe can tell a server that is loading (live, not ready) from one that is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NoReturn, Protocol

from aisle_server.backends.metric_families import MetricFamilies
from aisle_server.backends.registry import backends_on_gpus, open_model
from aisle_server.errors import InferenceServerError
from aisle_server.frontends.admission import Admission
from aisle_server.frontends.forwarding import HeaderForwarding
from aisle_server.frontends.gpu_metrics import GpuMetrics, load_library
from aisle_server.frontends.grpc.health import HealthServicer
from aisle_server.frontends.grpc.server import GrpcEndpoint
from aisle_server.frontends.grpc.servicer import InferenceServicer
from aisle_server.frontends.host_metrics import HostMetrics
from aisle_server.frontends.http.routes import inference_app, metrics_app
from aisle_server.frontends.http.server import HttpEndpoint
from aisle_server.frontends.inflight_bytes import InflightBytes
from aisle_server.frontends.log_settings import LogSettings, LogValues
from aisle_server.frontends.metrics import render_metrics
from aisle_server.frontends.model_metrics import render_model_metrics
from aisle_server.frontends.shared_memory import SharedMemoryRegions
from aisle_server.frontends.trace_file import TraceFile
from aisle_server.frontends.trace_spans import TraceSpans
from aisle_server.frontends.tracing import Tracer, TraceSink
from aisle_server.inference_server import InferenceServer, ModelControl
from aisle_server.instance_group import ModelCalls, visible_gpus
from aisle_server.options import GrpcOptions, HttpOptions, MetricsOptions, ServerOptions, TraceValues
from aisle_server.repository.description import ReadingRules
from aisle_server.repository.lifecycle import ModelRepository
from aisle_server.repository.loader import VersionLoader
from aisle_server.repository.memory import ALLOCATOR_VARIABLES, limit_kept_memory
from aisle_server.repository.poller import RepositoryPoller
from aisle_server.scheduling.clock import SystemClock
from aisle_server.scheduling.response_cache import ResponseCache

_log = logging.getLogger(__name__)
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Endpoint(Protocol):
    """Something that listens."""

    async def start(self) -> str:
        """Listen, and return the address."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Refuse what is new, and answer what was accepted, for so long at most."""
        ...


async def serve(options: ServerOptions) -> int:
    """Run the server until it is told to stop.

    The first SIGTERM or SIGINT stops it gracefully: what is new is refused, what was accepted is answered, within
    `exit_timeout_secs`. The second exits at once.

    Returns:
        The exit status: 0 after a graceful stop, 1 when the server could not start.
    """
    log = configure_logging(options)
    if not ALLOCATOR_VARIABLES & os.environ.keys():
        limit_kept_memory()
    tracer = Tracer(options.trace, _trace_sink(options.trace))
    told_to_stop = _listen_to_signals()
    model_metrics = MetricFamilies()
    repository = _build_repository(options, model_metrics)
    server = _build_server(repository, options)
    poller = RepositoryPoller(repository, options.repository_poll_secs)
    started: list[Endpoint] = []
    try:
        for name, endpoint in _build_endpoints(server, model_metrics, log, tracer, options):
            address = await endpoint.start()
            started.append(endpoint)
            _log.info("Started %s at %s", name, address)
        return await _load_and_wait(server, poller, told_to_stop, options)
    except OSError as error:
        _log.error("%s", error.strerror or error)
        return 1
    finally:
        await _stop(server, started, options.exit_timeout_secs)
        await asyncio.to_thread(tracer.close)


def _build_repository(options: ServerOptions, model_metrics: MetricFamilies) -> ModelRepository:
    gpus = visible_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))
    if gpus:
        _log.info("GPUs: %s", ", ".join(map(str, gpus)))
    # A model may execute others, so the loader is given what leads to the repository, which is given the loader.
    model_calls = ModelCalls(
        asyncio.get_running_loop(),
        lambda request: repository.infer_step(request),
        lambda request: repository.stream_step(request),
    )
    loader = VersionLoader(
        open_model,
        SystemClock(),
        cores=_cores(),
        available_gpus=gpus,
        backend_settings=options.backend_config,
        auto_complete_config=not options.disable_auto_complete_config,
        model_caller=model_calls,
        metrics=model_metrics,
        response_cache=ResponseCache(options.response_cache_bytes) if options.response_cache_bytes else None,
        keeps_latencies=options.metrics is not None and options.metrics.config.summary_latencies,
    )
    repository = ModelRepository(
        options.model_repositories,
        loader,
        rules=ReadingRules(
            gpus, backends_on_gpus() if gpus else None, needs_config=options.disable_auto_complete_config
        ),
        concurrent_loads=options.model_load_thread_count,
    )
    return repository


def _build_server(repository: ModelRepository, options: ServerOptions) -> InferenceServer:
    return InferenceServer(
        repository,
        name=options.id,
        version=_version(),
        strict_readiness=options.strict_readiness,
        model_control=ModelControl(
            is_explicit=options.model_control_mode == "explicit", allows_file_override=options.allow_file_override
        ),
    )


def _build_endpoints(
    server: InferenceServer,
    model_metrics: MetricFamilies,
    log: LogSettings,
    tracer: Tracer,
    options: ServerOptions,
) -> Sequence[tuple[str, Endpoint]]:
    """Return the endpoints that are allowed, in the order of their start: gRPC last, so that it is stopped first."""
    endpoints: list[tuple[str, Endpoint]] = []
    admission = Admission(options.max_inflight_requests)
    inflight_bytes = InflightBytes(options.max_inflight_bytes)
    regions = SharedMemoryRegions(is_allowed=options.allow_client_shm)

    def servicer(door: GrpcOptions | HttpOptions) -> InferenceServicer:
        # Each door refuses what is new when it is closed itself, and forwards headers of its own.
        forwarding = HeaderForwarding(door.header_forward_pattern)
        return InferenceServicer(
            server,
            admission=admission,
            forwarding=forwarding,
            inflight_bytes=inflight_bytes,
            regions=regions,
            log=log,
            tracer=tracer,
        )

    if options.http is not None:
        # Bodies are charged where they are read, and its servicer reads no streams.
        app = inference_app(server, servicer(options.http), options.http, inflight_bytes)
        endpoints.append(("HTTPService", HttpEndpoint(app, options.http)))
    if options.metrics is not None:
        sources = _metric_sources(server, model_metrics, options.metrics)
        endpoints.append(("Metrics Service", HttpEndpoint(metrics_app(sources), options.metrics)))
    if options.grpc is not None:
        grpc_endpoint = GrpcEndpoint(servicer(options.grpc), HealthServicer(server), options.grpc, inflight_bytes)
        endpoints.append(("GRPCInferenceService", grpc_endpoint))
    return endpoints


def _metric_sources(
    server: InferenceServer, model_metrics: MetricFamilies, options: MetricsOptions
) -> list[Callable[[], str]]:
    sources: list[Callable[[], str]] = [
        lambda: render_metrics(server, options.config),
        lambda: render_model_metrics(model_metrics),
    ]
    if options.allow_cpu_metrics:
        sources.append(HostMetrics().render)
    if options.allow_gpu_metrics and (gpus := GpuMetrics(load_library())):
        sources.append(gpus.render)
    return sources


async def _load_and_wait(
    server: InferenceServer, poller: RepositoryPoller, told_to_stop: asyncio.Event, options: ServerOptions
) -> int:
    """Load the models, then wait for the signal, which may come while they load. With polling, look for changes meanwhile."""
    loading = asyncio.create_task(server.start(_models_to_start_with(options)))
    stopping = asyncio.create_task(told_to_stop.wait())
    tasks: list[asyncio.Task[Any]] = [loading, stopping]
    try:
        await asyncio.wait([loading, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not loading.done():
            return 0
        failures = await loading
        if failures and options.exit_on_error:
            _log.error("Failed to load: %s. Exiting; --exit-on-error=false would go on without", ", ".join(failures))
            return 1
        _log.info("Ready")
        if options.model_control_mode == "poll":
            tasks.append(asyncio.create_task(poller.run()))
        await stopping
        return 0
    except InferenceServerError as error:
        _log.error("%s", error.message)
        return 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _models_to_start_with(options: ServerOptions) -> Sequence[str] | None:
    """Return the models to load at the start, None for every model there is."""
    if options.model_control_mode != "explicit" or options.load_models == ("*",):
        return None
    return options.load_models


async def _stop(server: InferenceServer, started: Sequence[Endpoint], grace_s: float) -> None:
    """Stop in the reverse order of the start; a stop that takes too long ends the process."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace_s
    server.announce_exit()
    for endpoint in reversed(started):
        await endpoint.stop(max(0.0, deadline - loop.time()))
    if not await server.stop(max(0.0, deadline - loop.time())):
        _exit_at_once("Exit timeout expired. Exiting immediately.")
    _log.info("Stopped")


def _cores() -> int:
    """Count the cores that the process may compute on; not every system can tell that from all there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version() -> str:
    try:
        return version("aisle")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


def _trace_sink(values: TraceValues) -> TraceSink | None:
    if values.mode == "opentelemetry":
        return TraceSpans(values.spans)
    return TraceFile(values.file) if values.file else None


def _listen_to_signals() -> asyncio.Event:
    told_to_stop = asyncio.Event()

    def tell(number: signal.Signals) -> None:
        if told_to_stop.is_set():
            _exit_at_once(f"{number.name} again. Exiting immediately.")
        _log.info("%s: stopping", number.name)
        told_to_stop.set()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, tell, number)
    return told_to_stop


def _exit_at_once(reason: str) -> NoReturn:
    # An instance's thread may be deep in a model that does not return, and a plain exit would wait for it.
    _log.error("%s", reason)
    logging.shutdown()
    os._exit(1)


def configure_logging(options: ServerOptions) -> LogSettings:
    """Send the log to standard error, one line an event.

    Returns:
        The settings, which the log follows when they change.
    """
    sink = logging.StreamHandler(sys.stderr)
    values = LogValues(log_verbose_level=options.log_verbose, log_format=options.log_format)
    logging.basicConfig(handlers=[sink], force=True)
    _apply(values, sink)
    # What uvicorn says about its own life, the endpoints say in our words; asyncio's debug lines are about itself.
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return LogSettings(values, lambda changed: _apply(changed, sink))


def _apply(values: LogValues, sink: logging.Handler) -> None:
    told = {
        logging.DEBUG: bool(values.log_verbose_level),
        logging.INFO: values.log_info,
        logging.WARNING: values.log_warning,
        logging.ERROR: values.log_error,
    }
    sink.filters = [lambda record: told.get(min(record.levelno, logging.ERROR), True)]
    sink.setFormatter(LineFormatter(is_iso8601=values.log_format == "ISO8601"))
    logging.getLogger().setLevel(logging.DEBUG if values.log_verbose_level else logging.INFO)


class LineFormatter(logging.Formatter):
    """Triton's lines: `I1121 09:30:00.123456 7 app.py:91] text`, or with an ISO 8601 time in front.

    What follows a line break is indented: callers choose parts of a text, and must not be able to forge a line.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self, *, is_iso8601: bool) -> None:
        """Choose between the two forms."""
        super().__init__()
        self._time_format = "%Y-%m-%dT%H:%M:%S" if is_iso8601 else "%m%d %H:%M:%S"
        self._is_iso8601 = is_iso8601

    def format(self, record: logging.LogRecord) -> str:
        """Return an event with its trace, if it has one."""
        return super().format(record).replace("\r", "\\r").replace("\n", "\n    ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return an event without its trace."""
        severity = record.levelname[0]
        when = f"{self.formatTime(record, self._time_format)}.{int(record.created % 1 * 1e6):06d}"
        head = f"{when}Z {severity}" if self._is_iso8601 else f"{severity}{when}"
        return f"{head} {record.process} {record.filename}:{record.lineno}] {record.message}"
