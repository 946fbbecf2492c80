"""What the process is told at its start: one frozen record, with tritonserver's flag names and default ports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

# The largest message that Triton's gRPC endpoint takes and gives.
MAX_GRPC_MESSAGE_BYTES = 2**31 - 1
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Encryption of the gRPC endpoint. Every path names a PEM file.

    Attributes:
        use_ssl: Encrypt; then `server_cert` and `server_key` are needed.
        use_ssl_mutual: Ask callers for a certificate too; then `root_cert` is needed, the authority that signed theirs.
        server_cert: The server's certificate chain.
        server_key: The server's private key.
        root_cert: The authority whose signature a caller's certificate must bear.
    """

    use_ssl: bool = False
    use_ssl_mutual: bool = False
    server_cert: Path | None = None
    server_key: Path | None = None
    root_cert: Path | None = None

    def __post_init__(self) -> None:
        files = {
            "--grpc-server-cert": self.server_cert,
            "--grpc-server-key": self.server_key,
            "--grpc-root-cert": self.root_cert,
        }
        if self.use_ssl_mutual and not self.use_ssl:
            raise ValueError("--grpc-use-ssl-mutual is on and --grpc-use-ssl is off; expected both")
        for flag, path in files.items():
            if path is not None and not self.use_ssl:
                raise ValueError(f"{flag} is given and --grpc-use-ssl is off; expected --grpc-use-ssl=true")
            if path is not None and not path.is_file():
                raise ValueError(f"{flag} names '{path}', which is not a file")
        if self.use_ssl and (self.server_cert is None or self.server_key is None):
            raise ValueError("--grpc-use-ssl is on; expected --grpc-server-cert and --grpc-server-key with it")
        if self.use_ssl_mutual and self.root_cert is None:
            raise ValueError("--grpc-use-ssl-mutual is on; expected --grpc-root-cert with it")
        if self.root_cert is not None and not self.use_ssl_mutual:
            raise ValueError("--grpc-root-cert is given and --grpc-use-ssl-mutual is off; no caller would be asked")


@dataclass(frozen=True, slots=True)
class KeepaliveOptions:
    """When the gRPC endpoint pings silent connections, and when it closes busy or old ones.

    Attributes:
        time_ms: Silence after which a connection is pinged.
        timeout_ms: How long the answer to a ping may take.
        permit_without_calls: Ping connections that have no call under way.
        max_pings_without_data: Pings that may be sent with no data between them; 0 for no bound.
        min_recv_ping_interval_without_data_ms: A caller that pings more often than this, with no data between, earns a strike.
        max_ping_strikes: Strikes after which the caller's connection is closed; 0 for no bound.
        max_connection_age_ms: A connection is closed at this age; 0 for never.
        max_connection_age_grace_ms: What a connection that has come of age is granted to finish its calls; 0 for as long as they take.
    """

    time_ms: int = 7_200_000
    timeout_ms: int = 20_000
    permit_without_calls: bool = False
    max_pings_without_data: int = 2
    min_recv_ping_interval_without_data_ms: int = 300_000
    max_ping_strikes: int = 2
    max_connection_age_ms: int = 0
    max_connection_age_grace_ms: int = 0


CATEGORIES: Final = (
    "health",
    "metadata",
    "inference",
    "shared-memory",
    "model-config",
    "model-repository",
    "statistics",
    "trace",
    "logging",
)


@dataclass(frozen=True, slots=True)
class Restriction:
    """Kinds of requests that need a header.

    Attributes:
        categories: Of CATEGORIES.
        key: Of the header: its name over HTTP, the end of its name over gRPC.
        value: What the header must say.
    """

    categories: tuple[str, ...]
    key: str
    value: str = field(repr=False)


def check_restrictions(flag: str, restrictions: Sequence[Restriction]) -> None:
    """Refuse what would guard nothing, or what says two things of one category.

    Raises:
        ValueError: A category is unknown or named twice, or a header has no name or no value.
    """
    seen: set[str] = set()
    for each in restrictions:
        if not _HEADER_NAME.fullmatch(each.key) or not each.value or not each.value.isprintable():
            raise ValueError(f"{flag} has the key '{each.key}'; expected the name of a header, and a value behind '='")
        for category in each.categories:
            if category not in CATEGORIES:
                raise ValueError(
                    f"{flag} names unknown category '{category}'; expected some of {', '.join(CATEGORIES)}"
                )
            if category in seen:
                raise ValueError(f"{flag}: category '{category}' can not be specified in multiple config groups")
            seen.add(category)


def check_pattern(flag: str, pattern: str) -> None:
    """Refuse what is no regular expression.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{flag} is '{pattern}', which is no regular expression: {error}") from None


@dataclass(frozen=True, slots=True)
class GrpcOptions:
    """The gRPC endpoint.

    Attributes:
        address: Where to listen. Tritonserver listens on 0.0.0.0; here nothing is open to the network until it is said.
        port: 0 for any free one; the log names it.
        infer_response_compression_level: How hard to compress responses, with what the caller accepts.
        max_message_bytes: Largest message, in either direction.
        tls: Encryption.
        keepalive: Pings.
        restrictions: Kinds of requests that need a header.
        header_forward_pattern: Finds the headers that become request parameters; empty for none.
    """

    address: str = "127.0.0.1"
    port: int = 8001
    infer_response_compression_level: Literal["none", "low", "medium", "high"] = "none"
    max_message_bytes: int = MAX_GRPC_MESSAGE_BYTES
    tls: TlsOptions = TlsOptions()
    keepalive: KeepaliveOptions = KeepaliveOptions()
    restrictions: tuple[Restriction, ...] = ()
    header_forward_pattern: str = ""

    def __post_init__(self) -> None:
        check_restrictions("--grpc-restricted-protocol", self.restrictions)
        check_pattern("--grpc-header-forward-pattern", self.header_forward_pattern)
        if not 1 <= self.max_message_bytes <= MAX_GRPC_MESSAGE_BYTES:
            raise ValueError(
                f"--grpc-max-message-bytes is {self.max_message_bytes}; expected 1 to {MAX_GRPC_MESSAGE_BYTES}"
            )


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The HTTP endpoint.

    Attributes:
        address: Where to listen.
        port: 0 for any free one; the log names it.
        max_input_size: Bytes of the largest body, as sent and as decompressed.
        header_timeout_secs: What the headers of a request may take to arrive.
        restrictions: Kinds of requests that need a header.
        header_forward_pattern: Finds the headers that become request parameters; empty for none.
    """

    address: str = "127.0.0.1"
    port: int = 8000
    max_input_size: int = 64 * 2**20
    header_timeout_secs: int = 10
    restrictions: tuple[Restriction, ...] = ()
    header_forward_pattern: str = ""

    def __post_init__(self) -> None:
        check_restrictions("--http-restricted-api", self.restrictions)
        check_pattern("--http-header-forward-pattern", self.header_forward_pattern)
        if self.max_input_size < 1:
            raise ValueError(f"--http-max-input-size is {self.max_input_size}; expected 1 or more bytes")
        if self.header_timeout_secs < 1:
            raise ValueError(f"--http-header-timeout-secs is {self.header_timeout_secs}; expected 1 or more")


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Which metrics of inference are given.

    Attributes:
        counter_latencies: Sums of durations.
        histogram_latencies: Histograms of durations.
        summary_latencies: Quantiles of the durations of the last minute.
        summary_quantiles: Which quantiles; each above 0 and below 1.
    """

    counter_latencies: bool = True
    histogram_latencies: bool = True
    summary_latencies: bool = False
    summary_quantiles: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class MetricsOptions(HttpOptions):
    """The endpoint that Prometheus reads, HTTP as well.

    Attributes:
        config: Which metrics of inference are given.
        allow_cpu_metrics: Give the processors' and the memory's.
        allow_gpu_metrics: Give those of NVIDIA's GPUs, where there are any.
    """

    port: int = 8002
    config: MetricsConfig = MetricsConfig()
    allow_cpu_metrics: bool = True
    allow_gpu_metrics: bool = True


@dataclass(frozen=True, slots=True)
class SpanExport:
    """Where traces go with OpenTelemetry, and how. `bsp` is its batch span processor.

    Attributes:
        url: Of the collector, for OTLP over HTTP.
        resource: Attributes of who sends: pairs of key and value.
        bsp_max_queue_size: Spans that may wait; more are dropped.
        bsp_schedule_delay: Milliseconds from one export to the next.
        bsp_max_export_batch_size: Spans that are exported at once.
    """

    url: str = "http://localhost:4318/v1/traces"
    resource: tuple[tuple[str, str], ...] = ()
    bsp_max_queue_size: int = 2048
    bsp_schedule_delay: int = 5000
    bsp_max_export_batch_size: int = 512


@dataclass(frozen=True, slots=True)
class TraceValues:
    """Which requests are traced, and where the traces go.

    Attributes:
        levels: TIMESTAMPS, TENSORS or both; none when nothing is traced.
        rate: One request in so many is traced.
        count: How many more are traced; -1 for any number.
        mode: `triton` for a file, `opentelemetry` for a collector.
        log_frequency: Of the file: write one of its own after so many traces; 0 for one file, written when the server stops.
        file: Where traces go.
        spans: Of the collector.
    """

    levels: tuple[str, ...] = ()
    rate: int = 1000
    count: int = -1
    mode: Literal["triton", "opentelemetry"] = "triton"
    log_frequency: int = 0
    file: str = ""
    spans: SpanExport = SpanExport()


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """All that the process is told.

    Attributes:
        model_repositories: Folders of models; a model that stands in two of them is not served.
        id: The server's name in its metadata.
        exit_timeout_secs: What accepted requests are granted once the server has been told to stop.
        exit_on_error: Stop when a model fails to load at the start.
        strict_readiness: Ready means that every model is ready, not merely that the process is up.
        model_control_mode: `none`: what is there at the start is loaded, and stays; `poll`: changes of the repositories are followed;
            `explicit`: callers load and unload models. Whoever may load a model may run code, so it is for trusted callers.
        load_models: With `explicit`, models to load at the start; `*` alone for all there are.
        repository_poll_secs: With `poll`, seconds from one look at the repositories to the next.
        allow_file_override: With `explicit`, callers may send the files of a model along.
        model_load_thread_count: Models that may load side by side.
        disable_auto_complete_config: A model is what its config.pbtxt says, whole, and nothing is filled in from its files.
        backend_config: Backend -> its settings; those of "" are for all.
        response_cache_bytes: What the answers that are kept for requests that come again may take; 0 keeps none.
        max_inflight_requests: Inference requests under way, over gRPC and HTTP together; 0 for no bound.
        max_inflight_bytes: What the requests under way may have brought, over gRPC and HTTP together; 0 for no bound.
        allow_client_shm: Callers may register shared memory: whatever the server's user keeps there, they can read and write.
        log_verbose: 0 for what an operator wants to know, 1 and above for what a developer wants to know.
        log_format: Tritonserver's: `default` (`I1121 09:30:00.123456 7 app] ...`) or `ISO8601`.
        trace: Which requests are traced, until a caller changes that.
        grpc: The inference protocol; None when it is not allowed.
        http: Health over HTTP; None when it is not allowed.
        metrics: Prometheus; None when it is not allowed.

    Raises:
        ValueError: Flags that contradict each other or that cannot be honoured.
    """

    model_repositories: tuple[Path, ...]
    id: str = "aisle"
    exit_timeout_secs: int = 30
    exit_on_error: bool = True
    strict_readiness: bool = True
    model_control_mode: Literal["none", "poll", "explicit"] = "none"
    load_models: tuple[str, ...] = ()
    repository_poll_secs: int = 15
    allow_file_override: bool = False
    model_load_thread_count: int = 4
    disable_auto_complete_config: bool = False
    backend_config: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    response_cache_bytes: int = 0
    max_inflight_requests: int = 16384
    max_inflight_bytes: int = 2**31
    allow_client_shm: bool = False
    log_verbose: int = 0
    log_format: Literal["default", "ISO8601"] = "default"
    trace: TraceValues = TraceValues()
    grpc: GrpcOptions | None = GrpcOptions()
    http: HttpOptions | None = HttpOptions()
    metrics: MetricsOptions | None = MetricsOptions()

    def __post_init__(self) -> None:
        if not self.model_repositories:
            raise ValueError("no --model-repository is given; expected one or more")
        for folder in self.model_repositories:
            if not folder.is_dir():
                raise ValueError(f"--model-repository names '{folder}', which is not a folder")
        if self.grpc is None and self.http is None:
            raise ValueError("--allow-grpc and --allow-http are both off; expected one of them at least")
        self._check_model_control()
        if self.exit_timeout_secs < 0:
            raise ValueError(f"--exit-timeout-secs is {self.exit_timeout_secs}; expected 0 or more")
        if self.max_inflight_requests < 0:
            raise ValueError(f"--max-inflight-requests is {self.max_inflight_requests}; expected 0 (no bound) or more")
        if self.max_inflight_bytes < 0:
            raise ValueError(f"--max-inflight-bytes is {self.max_inflight_bytes}; expected 0 (no bound) or more")
        self._check_endpoints()

    def _check_model_control(self) -> None:
        mode = self.model_control_mode
        if self.load_models and mode != "explicit":
            raise ValueError(f"--load-model is given and --model-control-mode is {mode}; expected explicit")
        if "*" in self.load_models and len(self.load_models) > 1:
            raise ValueError("--load-model is * and others; expected * alone, which is every model")
        if self.allow_file_override and mode != "explicit":
            raise ValueError(f"--allow-file-override is on and --model-control-mode is {mode}; expected explicit")
        if self.repository_poll_secs < 1:
            raise ValueError(f"--repository-poll-secs is {self.repository_poll_secs}; expected 1 or more")
        if self.model_load_thread_count < 1:
            raise ValueError(f"--model-load-thread-count is {self.model_load_thread_count}; expected 1 or more")

    def _check_endpoints(self) -> None:
        endpoints = {"--grpc-port": self.grpc, "--http-port": self.http, "--metrics-port": self.metrics}
        taken: dict[tuple[str, int], str] = {}
        for flag, endpoint in endpoints.items():
            if endpoint is None:
                continue
            if not 0 <= endpoint.port <= 65535:
                raise ValueError(f"{flag} is {endpoint.port}; expected 0 (any free port) to 65535")
            place = (endpoint.address, endpoint.port)
            if endpoint.port and place in taken:
                raise ValueError(
                    f"{taken[place]} and {flag} are both {endpoint.port}; expected a port for each endpoint"
                )
            taken[place] = flag
