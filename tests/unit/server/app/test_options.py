"""Flags and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from aisle_server.__main__ import options_of, serve
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


def _options(folder: Path, *arguments: str) -> ServerOptions:
    context = serve.make_context("serve", ["--model-repository", str(folder), *arguments])
    return options_of(context.params)


def test_defaults_are_tritons_but_for_the_address(tmp_path: Path) -> None:
    """With no flags the ports are Triton's, and nothing listens beyond this machine."""
    options = _options(tmp_path)
    assert options == ServerOptions(model_repositories=(tmp_path,))
    assert options.grpc is not None
    assert options.http is not None
    assert options.metrics is not None
    assert [(each.address, each.port) for each in (options.http, options.grpc, options.metrics)] == [
        ("127.0.0.1", 8000),
        ("127.0.0.1", 8001),
        ("127.0.0.1", 8002),
    ]
    assert options.grpc.max_message_bytes == 2**31 - 1


def test_every_flag_reaches_its_option(tmp_path: Path) -> None:
    """Each flag sets the option that bears its name."""
    second = tmp_path / "second"
    second.mkdir()
    pem = tmp_path / "x.pem"
    pem.touch()
    flags = {
        "--model-repository": second,
        "--id": "shop",
        "--exit-timeout-secs": 5,
        "--exit-on-error": "false",
        "--strict-readiness": "false",
        "--model-control-mode": "explicit",
        "--load-model": "m",
        "--repository-poll-secs": 3,
        "--allow-file-override": "true",
        "--model-load-thread-count": 2,
        "--disable-auto-complete-config": "true",
        "--backend-config": "onnxruntime,threads=2",
        "--cache-config": "local,size=4096",
        "--max-inflight-requests": 6,
        "--max-inflight-bytes": 7,
        "--allow-client-shm": "true",
        "--log-verbose": 1,
        "--log-format": "ISO8601",
        "--trace-config": "rate=7",
        "--grpc-address": "0.0.0.0",
        "--grpc-port": 1,
        "--grpc-infer-response-compression-level": "high",
        "--grpc-max-message-bytes": 4096,
        "--grpc-use-ssl": "true",
        "--grpc-use-ssl-mutual": "true",
        "--grpc-server-cert": pem,
        "--grpc-server-key": pem,
        "--grpc-root-cert": pem,
        "--grpc-keepalive-time": 11,
        "--grpc-keepalive-timeout": 12,
        "--grpc-keepalive-permit-without-calls": "true",
        "--grpc-http2-max-pings-without-data": 13,
        "--grpc-http2-min-recv-ping-interval-without-data": 14,
        "--grpc-http2-max-ping-strikes": 15,
        "--grpc-max-connection-age": 16,
        "--grpc-max-connection-age-grace": 17,
        "--http-address": "0.0.0.1",
        "--http-port": 2,
        "--grpc-restricted-protocol": "health,trace:k=v=w",
        "--grpc-header-forward-pattern": "^g",
        "--http-restricted-api": "inference:K=w",
        "--http-header-forward-pattern": "^h",
        "--http-max-input-size": 4,
        "--http-header-timeout-secs": 5,
        "--metrics-address": "0.0.0.2",
        "--metrics-port": 3,
        "--metrics-config": "counter_latencies=false",
        "--allow-cpu-metrics": "false",
        "--allow-gpu-metrics": "false",
    }
    declared = {name for parameter in serve.params for name in parameter.opts}
    assert set(flags) == declared - {"--allow-grpc", "--allow-http", "--allow-metrics"}
    arguments = [f"{name}={value}" for name, value in flags.items()]
    assert _options(tmp_path, *arguments) == ServerOptions(
        model_repositories=(tmp_path, second),
        id="shop",
        exit_timeout_secs=5,
        exit_on_error=False,
        strict_readiness=False,
        model_control_mode="explicit",
        load_models=("m",),
        repository_poll_secs=3,
        allow_file_override=True,
        model_load_thread_count=2,
        disable_auto_complete_config=True,
        backend_config={"onnxruntime": {"threads": "2"}},
        response_cache_bytes=4096,
        max_inflight_requests=6,
        max_inflight_bytes=7,
        allow_client_shm=True,
        log_verbose=1,
        log_format="ISO8601",
        trace=TraceValues(rate=7),
        grpc=GrpcOptions(
            address="0.0.0.0",
            port=1,
            infer_response_compression_level="high",
            max_message_bytes=4096,
            tls=TlsOptions(True, True, pem, pem, pem),
            keepalive=KeepaliveOptions(11, 12, True, 13, 14, 15, 16, 17),
            restrictions=(Restriction(("health", "trace"), "k", "v=w"),),
            header_forward_pattern="^g",
        ),
        http=HttpOptions("0.0.0.1", 2, 4, 5, (Restriction(("inference",), "K", "w"),), "^h"),
        metrics=MetricsOptions(
            "0.0.0.2",
            3,
            config=MetricsConfig(counter_latencies=False),
            allow_cpu_metrics=False,
            allow_gpu_metrics=False,
        ),
    )


@pytest.mark.parametrize(("flag", "field"), [("grpc", "grpc"), ("http", "http"), ("metrics", "metrics")])
def test_an_endpoint_may_be_forbidden(tmp_path: Path, flag: str, field: str) -> None:
    """`--allow-X=false` leaves an endpoint out and the others in."""
    options = _options(tmp_path, f"--allow-{flag}=false")
    present = {name: getattr(options, name) is not None for name in ("grpc", "http", "metrics")}
    assert present == {name: name != field for name in present}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--http-port=8001"], "--grpc-port and --http-port are both 8001; expected a port for each endpoint"),
        (["--metrics-port=65536"], "--metrics-port is 65536; expected 0 (any free port) to 65535"),
        (["--grpc-port=-1"], "--grpc-port is -1; expected 0 (any free port) to 65535"),
        (["--allow-grpc=false", "--allow-http=false"], "--allow-grpc and --allow-http are both off"),
        (
            ["--metrics-config=summary_quantiles=0.5,1.5:0"],
            "--metrics-config is 'summary_quantiles=0.5,1.5:0'; expected summary_quantiles=<quantile>:<error>[,...]",
        ),
        (
            ["--metrics-config=counter_latencies=1"],
            "--metrics-config is 'counter_latencies=1'; expected counter_latencies, histogram_latencies, summary_latencies",
        ),
        (["--max-inflight-requests=-1"], "--max-inflight-requests is -1; expected 0 (no bound) or more"),
        (["--max-inflight-bytes=-1"], "--max-inflight-bytes is -1; expected 0 (no bound) or more"),
        (["--http-max-input-size=0"], "--http-max-input-size is 0; expected 1 or more bytes"),
        (["--exit-timeout-secs=-1"], "--exit-timeout-secs is -1; expected 0 or more"),
        (["--grpc-max-message-bytes=0"], "--grpc-max-message-bytes is 0; expected 1 to 2147483647"),
        (["--backend-config=onnxruntime"], "--backend-config is 'onnxruntime'; expected <backend>,<key>=<value>"),
        (["--backend-config=,a=1"], "--backend-config is ',a=1'; expected <backend>,<key>=<value> or <key>=<value>"),
        (["--load-model=m"], "--load-model is given and --model-control-mode is none; expected explicit"),
        (
            ["--model-control-mode=explicit", "--load-model=*", "--load-model=m"],
            "--load-model is * and others; expected * alone, which is every model",
        ),
        (
            ["--model-control-mode=poll", "--allow-file-override=true"],
            "--allow-file-override is on and --model-control-mode is poll; expected explicit",
        ),
        (["--repository-poll-secs=0"], "--repository-poll-secs is 0; expected 1 or more"),
        (["--model-load-thread-count=0"], "--model-load-thread-count is 0; expected 1 or more"),
        (["--cache-config=redis,host=x"], "--cache-config is 'redis,host=x'; expected local,size=<bytes>"),
        (["--cache-config=local,size=-1"], "--cache-config is 'local,size=-1'; expected local,size=<bytes>"),
        (["--model-repository=/no/such/folder"], "--model-repository names '/no/such/folder', which is not a folder"),
        (["--grpc-use-ssl=true"], "--grpc-use-ssl is on; expected --grpc-server-cert and --grpc-server-key with it"),
        (["--grpc-use-ssl-mutual=true"], "--grpc-use-ssl-mutual is on and --grpc-use-ssl is off; expected both"),
        (["--grpc-server-cert={pem}"], "--grpc-server-cert is given and --grpc-use-ssl is off"),
        (
            ["--grpc-use-ssl=true", "--grpc-server-cert=/no.pem"],
            "--grpc-server-cert names '/no.pem', which is not a file",
        ),
        (
            [
                "--grpc-use-ssl=true",
                "--grpc-use-ssl-mutual=true",
                "--grpc-server-cert={pem}",
                "--grpc-server-key={pem}",
            ],
            "--grpc-use-ssl-mutual is on; expected --grpc-root-cert with it",
        ),
        (
            ["--grpc-use-ssl=true", "--grpc-root-cert={pem}", "--grpc-server-cert={pem}", "--grpc-server-key={pem}"],
            "--grpc-root-cert is given and --grpc-use-ssl-mutual is off; no caller would be asked",
        ),
    ],
)
def test_contradictory_flags_do_not_start(tmp_path: Path, arguments: list[str], text: str) -> None:
    """Flags that contradict each other or cannot be honoured end the command with a text that names them."""
    pem = tmp_path / "x.pem"
    pem.touch()
    result = CliRunner().invoke(
        serve, ["--model-repository", str(tmp_path), *(each.format(pem=pem) for each in arguments)]
    )
    assert result.exit_code == 2
    assert f"Error: {text}" in result.output


def test_a_setting_may_be_for_all_backends(tmp_path: Path) -> None:
    """As with tritonserver, a setting without a backend is for every one."""
    options = _options(tmp_path, "--backend-config=default-max-batch-size=16", "--backend-config=onnxruntime,key=a,b")
    assert options.backend_config == {"": {"default-max-batch-size": "16"}, "onnxruntime": {"key": "a,b"}}


def test_two_endpoints_may_each_have_any_free_port(tmp_path: Path) -> None:
    """Port 0 twice is no contradiction: the two will differ."""
    options = _options(tmp_path, "--grpc-port=0", "--http-port=0")
    assert options.grpc is not None
    assert options.grpc.port == 0


def test_help_names_every_default() -> None:
    """The help tells each flag with a text, and the default of all that have one."""
    output = CliRunner().invoke(serve, ["--help"]).output
    for parameter in serve.params:
        assert isinstance(parameter, click.Option)
        assert parameter.help
        default: Any = parameter.default
        assert parameter.opts[0] in output
        assert not isinstance(default, int) or parameter.show_default
