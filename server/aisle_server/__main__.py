"""`aisle serve` and `python -m aisle_server`: flags to ServerOptions, ServerOptions to the app."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from aisle_server.options import (
    GrpcOptions,
    HttpOptions,
    KeepaliveOptions,
    MetricsConfig,
    MetricsOptions,
    Restriction,
    ServerOptions,
    TlsOptions,
    TraceValues,
)

_FILE: Final = click.Path(path_type=Path)


def _flag(name: str, owner: type[Any], text: str, *, field: str = "", kind: Any = None) -> Callable[[Any], Any]:
    """Declare a flag whose default stands in a dataclass. As with tritonserver, a truth value is written out: `=false`."""
    fields = {each.name: each.default for each in dataclasses.fields(owner)}
    default = fields[field or name.removeprefix("--").replace("-", "_")]
    return click.option(name, type=kind or type(default), default=default, show_default=default is not None, help=text)


def _keepalive(name: str, field: str, text: str) -> Callable[[Any], Any]:
    return _flag(name, KeepaliveOptions, text, field=field)


@click.command(context_settings={"max_content_width": 120})
@click.option(
    "--model-repository",
    "model_repositories",
    type=_FILE,
    multiple=True,
    required=True,
    help="Folder of models to serve; may be given more than once.",
)
@_flag("--id", ServerOptions, "Name of the server in its metadata.")
@_flag("--exit-timeout-secs", ServerOptions, "Seconds that accepted requests are granted when the server stops.")
@_flag("--exit-on-error", ServerOptions, "Stop when a model fails to load at the start.")
@_flag("--strict-readiness", ServerOptions, "Ready means that every model is, not merely that the process is up.")
@_flag(
    "--model-control-mode",
    ServerOptions,
    "none: load all models once; poll: follow changes of the repositories; explicit: callers load and unload.",
    kind=click.Choice(["none", "poll", "explicit"]),
)
@click.option(
    "--load-model",
    "load_models",
    metavar="NAME",
    multiple=True,
    help="With explicit, a model to load at the start; may be given more than once, or as * for all.",
)
@_flag("--repository-poll-secs", ServerOptions, "With poll, seconds from one look to the next.")
@_flag("--allow-file-override", ServerOptions, "With explicit, callers may send files, and thereby code, to load.")
@_flag("--model-load-thread-count", ServerOptions, "Models that may load side by side.")
@_flag("--disable-auto-complete-config", ServerOptions, "Fill nothing in from the files of a model.")
@click.option(
    "--backend-config",
    metavar="[BACKEND,]KEY=VALUE",
    multiple=True,
    help="Setting of a backend, or of all; may be given more than once.",
)
@click.option(
    "--cache-config",
    metavar="CACHE,KEY=VALUE",
    multiple=True,
    help="Cache of responses: local,size=BYTES. Models with response_cache { enable: true } use it.",
)
@_flag("--max-inflight-requests", ServerOptions, "Inference requests under way before more are refused; 0: no bound.")
@_flag("--max-inflight-bytes", ServerOptions, "Bytes of requests under way before more are refused; 0: no bound.")
@_flag("--allow-client-shm", ServerOptions, "Callers may register system shared memory and keep tensors there.")
@_flag("--log-verbose", ServerOptions, "0, or 1 for what a developer wants to know.")
@_flag("--log-format", ServerOptions, "Form of the log's lines.", kind=click.Choice(["default", "ISO8601"]))
@click.option(
    "--trace-config",
    metavar="[MODE,]SETTING=VALUE",
    multiple=True,
    help="Traces of requests: mode (triton or opentelemetry), level (TIMESTAMPS, TENSORS), rate, count; triton,file and "
    "triton,log-frequency; opentelemetry,url, opentelemetry,resource=KEY=VALUE and opentelemetry,bsp_...; may be given more than once.",
)
@click.option("--allow-grpc", type=bool, default=True, show_default=True, help="Serve the inference protocol.")
@_flag("--grpc-address", GrpcOptions, "Where gRPC listens; 0.0.0.0 opens it to the network.", field="address")
@_flag("--grpc-port", GrpcOptions, "Port of gRPC; 0 for any free one, which the log names.", field="port")
@_flag(
    "--grpc-infer-response-compression-level",
    GrpcOptions,
    "How hard to compress responses.",
    field="infer_response_compression_level",
    kind=click.Choice(["none", "low", "medium", "high"]),
)
@_flag("--grpc-max-message-bytes", GrpcOptions, "Largest message, in either direction.", field="max_message_bytes")
@_flag("--grpc-use-ssl", TlsOptions, "Encrypt gRPC.", field="use_ssl")
@_flag("--grpc-use-ssl-mutual", TlsOptions, "Ask callers for a certificate too.", field="use_ssl_mutual")
@_flag("--grpc-server-cert", TlsOptions, "PEM file: the server's certificate.", field="server_cert", kind=_FILE)
@_flag("--grpc-server-key", TlsOptions, "PEM file: the server's private key.", field="server_key", kind=_FILE)
@_flag("--grpc-root-cert", TlsOptions, "PEM file: who signs callers' certificates.", field="root_cert", kind=_FILE)
@_keepalive("--grpc-keepalive-time", "time_ms", "Milliseconds of silence before a ping.")
@_keepalive("--grpc-keepalive-timeout", "timeout_ms", "Milliseconds that a ping's answer may take.")
@_keepalive("--grpc-keepalive-permit-without-calls", "permit_without_calls", "Ping connections without calls.")
@_keepalive("--grpc-http2-max-pings-without-data", "max_pings_without_data", "Pings with no data between; 0: any.")
@_keepalive(
    "--grpc-http2-min-recv-ping-interval-without-data",
    "min_recv_ping_interval_without_data_ms",
    "Milliseconds; a caller that pings more often earns a strike.",
)
@_keepalive("--grpc-http2-max-ping-strikes", "max_ping_strikes", "Strikes until a connection is closed; 0: any.")
@_keepalive(
    "--grpc-max-connection-age", "max_connection_age_ms", "Milliseconds until a connection is closed; 0: never."
)
@_keepalive(
    "--grpc-max-connection-age-grace",
    "max_connection_age_grace_ms",
    "Milliseconds that calls of such a connection are granted; 0: no bound.",
)
@click.option(
    "--grpc-restricted-protocol",
    metavar="CATEGORIES:KEY=VALUE",
    multiple=True,
    help="Categories, by commas, that need a header over gRPC; may be given more than once.",
)
@_flag(
    "--grpc-header-forward-pattern",
    GrpcOptions,
    "Regular expression: headers that become request parameters.",
    field="header_forward_pattern",
)
@click.option(
    "--allow-http", type=bool, default=True, show_default=True, help="Serve the inference protocol over HTTP."
)
@_flag("--http-address", HttpOptions, "Where HTTP listens.", field="address")
@_flag("--http-port", HttpOptions, "Port of HTTP; 0 for any free one.", field="port")
@_flag("--http-max-input-size", HttpOptions, "Bytes of the largest request body, decompressed.", field="max_input_size")
@_flag(
    "--http-header-timeout-secs",
    HttpOptions,
    "Seconds that a request's headers may take.",
    field="header_timeout_secs",
)
@click.option(
    "--http-restricted-api",
    metavar="CATEGORIES:KEY=VALUE",
    multiple=True,
    help="Categories, by commas, that need a header over HTTP; may be given more than once.",
)
@_flag(
    "--http-header-forward-pattern",
    HttpOptions,
    "Regular expression: headers that become request parameters.",
    field="header_forward_pattern",
)
@click.option("--allow-metrics", type=bool, default=True, show_default=True, help="Serve metrics for Prometheus.")
@_flag("--metrics-address", MetricsOptions, "Where metrics are served.", field="address")
@_flag("--metrics-port", MetricsOptions, "Port of metrics; 0 for any free one.", field="port")
@click.option(
    "--metrics-config",
    metavar="SETTING=VALUE",
    multiple=True,
    help="counter_latencies and histogram_latencies, both true; summary_latencies, false; "
    "summary_quantiles=0.5:0.05,0.9:0.01,... (quantile:error); may be given more than once.",
)
@_flag("--allow-cpu-metrics", MetricsOptions, "Tell how busy processors and memory are.")
@_flag("--allow-gpu-metrics", MetricsOptions, "Tell how busy GPUs are, where there are any.")
def serve(**flags: Any) -> None:
    """Serve model repositories over Triton's inference protocol.

    Everything listens on 127.0.0.1 until an address says otherwise. SIGTERM and Ctrl-C answer what was accepted, then stop.
    """
    try:
        options = options_of(flags)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    # gRPC, HTTP and the backends are loaded only now, so that `--help` and a mistyped flag answer at once.
    from aisle_server.app import serve as serve_until_stopped

    sys.exit(asyncio.run(serve_until_stopped(options)))


def options_of(flags: dict[str, Any]) -> ServerOptions:
    """Return the options that flags stand for.

    Args:
        flags: By the names of `serve`'s parameters, all of them.

    Raises:
        ValueError: Flags that contradict each other or that cannot be honoured.
    """
    tls = TlsOptions(
        use_ssl=flags["grpc_use_ssl"],
        use_ssl_mutual=flags["grpc_use_ssl_mutual"],
        server_cert=flags["grpc_server_cert"],
        server_key=flags["grpc_server_key"],
        root_cert=flags["grpc_root_cert"],
    )
    keepalive = KeepaliveOptions(
        time_ms=flags["grpc_keepalive_time"],
        timeout_ms=flags["grpc_keepalive_timeout"],
        permit_without_calls=flags["grpc_keepalive_permit_without_calls"],
        max_pings_without_data=flags["grpc_http2_max_pings_without_data"],
        min_recv_ping_interval_without_data_ms=flags["grpc_http2_min_recv_ping_interval_without_data"],
        max_ping_strikes=flags["grpc_http2_max_ping_strikes"],
        max_connection_age_ms=flags["grpc_max_connection_age"],
        max_connection_age_grace_ms=flags["grpc_max_connection_age_grace"],
    )
    grpc = GrpcOptions(
        address=flags["grpc_address"],
        port=flags["grpc_port"],
        infer_response_compression_level=flags["grpc_infer_response_compression_level"],
        max_message_bytes=flags["grpc_max_message_bytes"],
        tls=tls,
        keepalive=keepalive,
        restrictions=_restrictions("--grpc-restricted-protocol", flags["grpc_restricted_protocol"]),
        header_forward_pattern=flags["grpc_header_forward_pattern"],
    )
    http = HttpOptions(
        address=flags["http_address"],
        port=flags["http_port"],
        max_input_size=flags["http_max_input_size"],
        header_timeout_secs=flags["http_header_timeout_secs"],
        restrictions=_restrictions("--http-restricted-api", flags["http_restricted_api"]),
        header_forward_pattern=flags["http_header_forward_pattern"],
    )
    metrics = MetricsOptions(
        address=flags["metrics_address"],
        port=flags["metrics_port"],
        config=_metrics_config(flags["metrics_config"]),
        allow_cpu_metrics=flags["allow_cpu_metrics"],
        allow_gpu_metrics=flags["allow_gpu_metrics"],
    )
    return ServerOptions(
        model_repositories=flags["model_repositories"],
        id=flags["id"],
        exit_timeout_secs=flags["exit_timeout_secs"],
        exit_on_error=flags["exit_on_error"],
        strict_readiness=flags["strict_readiness"],
        model_control_mode=flags["model_control_mode"],
        load_models=flags["load_models"],
        repository_poll_secs=flags["repository_poll_secs"],
        allow_file_override=flags["allow_file_override"],
        model_load_thread_count=flags["model_load_thread_count"],
        disable_auto_complete_config=flags["disable_auto_complete_config"],
        backend_config=_backend_config(flags["backend_config"]),
        response_cache_bytes=_response_cache_bytes(flags["cache_config"]),
        max_inflight_requests=flags["max_inflight_requests"],
        max_inflight_bytes=flags["max_inflight_bytes"],
        allow_client_shm=flags["allow_client_shm"],
        log_verbose=flags["log_verbose"],
        log_format=flags["log_format"],
        trace=_trace(flags["trace_config"]),
        grpc=grpc if flags["allow_grpc"] else None,
        http=http if flags["allow_http"] else None,
        metrics=metrics if flags["allow_metrics"] else None,
    )


def _response_cache_bytes(texts: Sequence[str]) -> int:
    size_bytes = 0
    for text in texts:
        cache, _, setting = text.partition(",")
        key, _, value = setting.partition("=")
        if (cache, key) != ("local", "size") or not value.isdecimal():
            raise ValueError(f"--cache-config is '{text}'; expected local,size=<bytes>")
        size_bytes = int(value)
    return size_bytes


def _backend_config(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    settings: dict[str, dict[str, str]] = {}
    for text in texts:
        backend, comma, setting = text.partition(",") if "," in text.partition("=")[0] else ("", "", text)
        key, equals, value = setting.partition("=")
        if not (key and equals) or bool(backend) != bool(comma):
            raise ValueError(f"--backend-config is '{text}'; expected <backend>,<key>=<value> or <key>=<value>")
        settings.setdefault(backend, {})[key] = value
    return settings


def _trace(texts: Sequence[str]) -> TraceValues:
    if not texts:
        return TraceValues()
    from aisle_server.frontends.trace_settings import parse_trace_config
    from aisle_server.frontends.trace_spans import check_installed

    values = parse_trace_config(texts)
    if values.mode == "opentelemetry":
        check_installed()
    return values


def _metrics_config(texts: Sequence[str]) -> MetricsConfig:
    settings: dict[str, bool] = {}
    quantiles = MetricsConfig().summary_quantiles
    known = ("counter_latencies", "histogram_latencies", "summary_latencies")
    for text in texts:
        name, _, value = text.partition("=")
        if name == "summary_quantiles":
            quantiles = _quantiles(text, value)
        elif name in known and value in ("true", "false"):
            settings[name] = value == "true"
        else:
            raise ValueError(
                f"--metrics-config is '{text}'; expected {', '.join(known)}, =true or =false, "
                "or summary_quantiles=<quantile>:<error>[,...]"
            )
    return MetricsConfig(**settings, summary_quantiles=quantiles)


def _quantiles(text: str, pairs: str) -> tuple[float, ...]:
    """Return the quantiles; the errors that Triton's users add are read, and met or not by the error of all: one per cent of the value."""
    quantiles: list[float] = []
    for pair in pairs.split(","):
        quantile, _, error = pair.partition(":")
        try:
            is_right = 0 < float(quantile) < 1 and 0 <= float(error) < 1 and float(quantile) not in quantiles
        except ValueError:
            is_right = False
        if not is_right:
            raise ValueError(
                f"--metrics-config is '{text}'; expected summary_quantiles=<quantile>:<error>[,...], "
                "such as 0.5:0.05,0.99:0.001, each quantile once and between 0 and 1"
            )
        quantiles.append(float(quantile))
    return tuple(quantiles)


def _restrictions(flag: str, texts: Sequence[str]) -> tuple[Restriction, ...]:
    restrictions: list[Restriction] = []
    for text in texts:
        categories, colon, secret = text.partition(":")
        key, equals, value = secret.partition("=")
        if not (categories and colon and equals):
            # The text is not repeated: it may hold the secret.
            raise ValueError(f"{flag} cannot be read; expected <category>[,<category>...]:<key>=<value>")
        restrictions.append(Restriction(tuple(categories.split(",")), key, value))
    return tuple(restrictions)


if __name__ == "__main__":
    serve(prog_name="python -m aisle_server")
