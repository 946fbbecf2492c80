"""Texts 45 to 55: configurations that make no sense, in tritonserver's words, as the index tells them. Row 80 of bad inputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc as triton

from tests.support.model_repositories import write_identity_model
from tests.support.server_process import running_server

MODEL = """backend: "identity" max_batch_size: 8
input { name: "INPUT0" data_type: TYPE_FP32 dims: 4 } output { name: "OUTPUT0" data_type: TYPE_FP32 dims: 4 } """
ENSEMBLE = MODEL.replace('backend: "identity"', 'platform: "ensemble"')


def step(model: str = "member", given: str = "INPUT0=INPUT0", made: str = "OUTPUT0=OUTPUT0", version: int = -1) -> str:
    """A step of an ensemble; maps as `name=tensor`."""
    maps = "".join(
        f'{kind}_map {{ key: "{pair.partition("=")[0]}" value: "{pair.partition("=")[2]}" }} '
        for kind, pairs in (("input", given), ("output", made))
        for pair in pairs.split()
    )
    return f'step {{ model_name: "{model}" model_version: {version} {maps}}} '


def ensemble(*steps: str, head: str = ENSEMBLE, tail: str = "") -> str:
    """The configuration of an ensemble."""
    return f"{head} ensemble_scheduling {{ {''.join(steps)} }} {tail}"


# Model -> its configuration and what the index says of it, `m` standing for its name.
ENSEMBLES: dict[str, tuple[str, str]] = {
    "no steps": (ensemble(), "must specify 'step' for ensemble 'm'"),
    "no model": (ensemble(step(model="")), "must specify 'model_name' in step 0 of ensemble 'm'"),
    "no input map": (ensemble(step(given="")), "must specify 'input_map' in step 0 of ensemble 'm'"),
    "no output map": (ensemble(step(made="")), "must specify 'output_map' in step 0 of ensemble 'm'"),
    "an unknown input": (
        ensemble(step(given="NOPE=INPUT0")),
        "in ensemble m, ensemble tensor INPUT0 is mapping to non-existing input NOPE in model member",
    ),
    "an unknown output": (
        ensemble(step(made="NOPE=OUTPUT0")),
        "in ensemble m, ensemble tensor OUTPUT0 is mapped from non-existing output NOPE in model member",
    ),
    "an unused tensor": (
        ensemble(step(made="OUTPUT0=t"), step(given="INPUT0=t"), step(made="OUTPUT0=zz")),
        "ensemble tensor 'zz' is unused in ensemble 'm'",
    ),
    "an unused input": (
        ensemble(step(given="INPUT0=t"), step(given="INPUT0=OUTPUT0", made="OUTPUT0=t")),
        "ensemble input 'INPUT0' for ensemble m' is not used",
    ),
    "an unused output": (
        ensemble(step(made="OUTPUT0=t")),
        "ensemble output 'OUTPUT0' for ensemble m' is not used",
    ),
    "a tensor written twice": (
        ensemble(step(), step()),
        "ensemble tensor 'OUTPUT0' can appear in an output map only once for ensemble 'm' step 1",
    ),
    "a tensor that nobody writes": (
        ensemble(step(given="INPUT0=q"), step(made="OUTPUT0=r")),
        "output 'OUTPUT0' for ensemble 'm' is not written: at least one of its depending tensors, 'q', is not connected",
    ),
    "another datatype": (
        ensemble(step(), head=ENSEMBLE.replace("TYPE_FP32", "TYPE_INT32", 1)),
        "in ensemble m, ensemble tensor INPUT0: inconsistent data type: TYPE_INT32 is inferred from model m while TYPE_FP32 is"
        " inferred from model member",
    ),
    "another shape": (
        ensemble(step(), head=ENSEMBLE.replace("dims: 4", "dims: 5", 1)),
        "in ensemble m, ensemble tensor INPUT0: inconsistent shape: [-1,5] is inferred from model m while [-1,4] is inferred from"
        " model member",
    ),
    "a larger batch": (
        ensemble(step(), head=ENSEMBLE.replace("8", "16")),
        "ensemble m allows maximum batch size 16, but it contains model member which only allows maximum batch size to be 8",
    ),
    "a model that is not there": (
        ensemble(step(model="nope")),
        "ensemble m contains models that are not available or ambiguous: nope",
    ),
    "a version that is not there": (
        ensemble(step(version=9)),
        "ensemble 'm' depends on 'member' whose required version 9 is not loaded",
    ),
    "a model that failed": (
        ensemble(step(model="broken")),
        "ensemble 'm' depends on 'broken' which has no loaded version. Model 'broken' loading failed with error: version 1 is at"
        " UNAVAILABLE state: Invalid argument: parameter 'execute_delay_ms'...",
    ),
    "itself": (ensemble(step(model="m")), "circular dependency between ensembles: m -> m"),
    "a backend": (
        ensemble(step(), tail='backend: "python"'),
        "Ensemble model 'm' must have platform type 'ensemble' and empty backend type",
    ),
    "instances": (
        ensemble(step(), tail="instance_group { count: 1 }"),
        "instance group should not be specified for ensemble 'm'",
    ),
    "optimization": (
        ensemble(step(), tail="optimization { graph { level: 1 } }"),
        "optimization should not be specified for ensemble 'm'",
    ),
    "a warm-up": (
        ensemble(
            step(),
            tail='model_warmup { name: "w" batch_size: 1 inputs { key: "INPUT0" value { data_type: TYPE_FP32 dims: 4 zero_data: true } } }',
        ),
        "model_warmup can not be specified for ensemble 'm'",
    ),
    "no scheduling": (ENSEMBLE, "ensemble scheduling must be set for ensemble m whose platform is ensemble"),
}
LEVELS = "dynamic_batching {{ priority_levels: 3 default_priority_level: {} {} }}"
PLAIN: dict[str, tuple[str, str]] = {
    "B46": (MODEL.replace("8", "-1"), "'max_batch_size' must be non-negative value for m"),
    "B47": (MODEL + LEVELS.format(4, ""), "default priority level must be in range [1, 3] for m"),
    "B48": (
        MODEL + LEVELS.format(1, "preserve_ordering: true"),
        "Only one priority level is allowed when 'preserve_ordering' is true for m",
    ),
    "B49": (MODEL.replace("data_type: TYPE_FP32", ""), "model input 'INPUT0' must specify 'data_type' for m"),
    "B50": (
        MODEL.replace("dims: 4", "dims: 0", 1),
        "model input 'INPUT0' dimension must be integer >= 1, or -1 to indicate a variable-size dimension for m",
    ),
    "B51": (
        MODEL.replace("dims: 4", "dims: 4 reshape { shape: 3 }", 1),
        "model input 'INPUT0' has different size for dims and reshape for m",
    ),
    "B52": (
        MODEL.replace("dims: 4", "dims: -1 reshape { shape: 4 }", 1),
        "model input 'INPUT0' has different number of variable-size dimensions for dims and reshape for m",
    ),
    "B53": (
        MODEL + "instance_group { kind: KIND_CPU gpus: 0 }",
        "instance group m_0 of model m has kind KIND_CPU but specifies one or more GPUs",
    ),
    "B54": (
        MODEL.replace('backend: "identity"', 'platform: "tensorflo"'),
        "unexpected platform type 'tensorflo' for m",
    ),
    "B55": (
        f"{MODEL} ensemble_scheduling {{ {step()} }}",
        "ensemble scheduling cannot be set for model 'm' whose platform is not ensemble",
    ),
    "D80-a backend elsewhere": (
        MODEL.replace('"identity"', '"../../evil"'),
        "...",
    ),
}
CASES = {f"B45-{name}": case for name, case in ENSEMBLES.items()} | PLAIN


@pytest.fixture(scope="module")
def reasons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Model -> why it is not served, of a server that has tried them all when it started; a model's name is its place in CASES."""
    repository = tmp_path_factory.mktemp("configurations")
    write_identity_model(repository, "member", [("0", "FP32", (4,))])
    write_identity_model(repository, "broken", [("0", "FP32", (4,))], parameters={"execute_delay_ms": "soon"})
    write_identity_model(repository, "runtime", extra='runtime: "../../../tmp/evil.so"')
    for index, (config, _) in enumerate(CASES.values()):
        (repository / f"m{index}" / "1").mkdir(parents=True)
        # A step may name the ensemble itself.
        own = config.replace('model_name: "m"', f'model_name: "m{index}"')
        (repository / f"m{index}" / "config.pbtxt").write_text(own)
    with (
        running_server(repository, "--exit-on-error=false", "--strict-readiness=false") as server,
        triton.InferenceServerClient(server.grpc) as client,
    ):
        server.wait_for_line("] Ready")
        yield {each.name: f"{each.state}: {each.reason}" for each in client.get_model_repository_index().models}


@pytest.mark.parametrize("case", CASES)
def test_a_configuration_that_makes_no_sense_is_told(reasons: dict[str, str], case: str) -> None:
    """The index has Triton's text, word for word, behind the code of an invalid argument."""
    name = f"m{list(CASES).index(case)}"
    text = CASES[case][1]
    told = reasons[name].replace(name, "m")
    if text.endswith("..."):
        assert told.startswith(f"UNAVAILABLE: Invalid argument: {text[:-3]}")
    else:
        assert told == f"UNAVAILABLE: Invalid argument: {text}"


def test_d80_no_library_is_loaded(reasons: dict[str, str]) -> None:
    """A `runtime` that leads elsewhere is echoed and read by nobody; a backend is one of four, and no path."""
    assert reasons["runtime"] == "READY: "
    told = reasons[f"m{list(CASES).index('D80-a backend elsewhere')}"]
    assert "evil" in told
    assert "/evil/" not in told
    assert not Path("/tmp/evil.so").exists()
