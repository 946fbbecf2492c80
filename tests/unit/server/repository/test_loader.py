"""Loading one version, with a backend that has no runtime and instances on threads of their own."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aisle_server.errors import InferenceServerError, InternalError, InvalidArgumentError, UnsupportedError
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import DynamicBatching, ModelConfig, ModelInput, ModelOutput, VersionPolicy
from aisle_server.repository.description import ModelDescription, describe
from aisle_server.repository.layout import scan
from aisle_server.repository.loader import VersionLoader
from aisle_server.repository.served_model import ServedModel
from aisle_server.scheduling.clock import SystemClock
from tests.support.fake_backend import FakeBackend
from tests.support.model_directories import ECHO, chain, write_model


def described(
    repository: Path, config: str = ECHO, name: str = "m", files: dict[str, str] | None = None
) -> ModelDescription:
    """A model on disk, described."""
    write_model(repository, name, config, files=files)
    (directory,) = scan([repository])[name]
    return describe(directory)


def loader_of(backend: FakeBackend, cores: int = 4) -> VersionLoader:
    """A loader with a backend of our own."""
    return VersionLoader(
        backend.open_model, SystemClock(), cores=cores, backend_settings={"identity": {"key": "value"}}
    )


def request(*shape: int, model: str = "m") -> InferenceRequest:
    """A request with one input of this shape."""
    return InferenceRequest(model, {"INPUT0": Tensor("INPUT0", "FP32", np.ones(shape, np.float32))})


async def no_steps(_: InferenceRequest) -> InferenceResponse:
    """Models that are no ensembles run no steps."""
    raise AssertionError("no step should run")


async def load(backend: FakeBackend, description: ModelDescription) -> ServedModel:
    """Load version 1."""
    async with asyncio.timeout(10):
        return await loader_of(backend).load(description, 1, no_steps, [])


async def test_a_loaded_version_answers_and_leaves_in_order(tmp_path: Path) -> None:
    """Requests are checked and answered; stopping finalizes each instance and then closes the model."""
    backend = FakeBackend()
    served = await load(backend, described(tmp_path, ECHO + "instance_group { count: 2 }"))
    response = await served.infer(request(3, 4))
    assert [(tensor.name, tensor.shape) for tensor in response.outputs] == [("OUTPUT0", (3, 4))]
    with pytest.raises(InvalidArgumentError, match="batch-size must be <= 8"):
        served.infer(request(9, 4))
    assert served.statistics.snapshot().inference_count == 3
    assert served.pending_request_count == 0
    assert served.load_duration_s > 0
    (model,) = backend.models
    assert model.directory == tmp_path / "m" / "1"
    assert threading.get_ident() not in {instance.thread for instance in model.instances}
    assert len(model.instances) == 2
    await served.stop()
    assert all(instance.is_finalized for instance in model.instances)
    assert model.is_closed


async def test_instances_share_the_cores_and_get_their_backend_s_settings(tmp_path: Path) -> None:
    """Two instances on four cores compute with two threads each."""
    backend = FakeBackend()
    served = await load(backend, described(tmp_path, ECHO + "instance_group { count: 2 }"))
    assert backend.models[0].options.intra_op_threads == 2
    assert backend.models[0].options.settings == {"key": "value"}
    await served.stop()


async def test_what_the_backend_found_out_is_what_is_served(tmp_path: Path) -> None:
    """Tensors and batch size that only the model file knows are part of the served configuration, defaults included."""

    def complete(config: ModelConfig) -> ModelConfig:
        return replace(
            config,
            max_batch_size=4,
            inputs=(ModelInput("INPUT0", "FP32", (2,)),),
            outputs=(ModelOutput("OUTPUT0", "FP32", (2,)),),
            dynamic_batching=DynamicBatching(),
        )

    served = await load(FakeBackend(complete=complete), described(tmp_path, 'backend: "identity"'))
    assert served.config.dynamic_batching == DynamicBatching(preferred_batch_size=(4,))
    assert (await served.infer(request(4, 2))).outputs[0].shape == (4, 2)
    await served.stop()


async def test_a_backend_sees_the_shapes_of_reshape(tmp_path: Path) -> None:
    """`reshape` stands between callers and the backend of a loaded model."""
    backend = FakeBackend()
    text = ECHO.replace("dims: 4", "dims: 4 reshape { shape: [2, 2] }")
    served = await load(backend, described(tmp_path, text))
    response = await served.infer(request(3, 4))
    assert response.outputs[0].shape == (3, 4)
    assert backend.models[0].instances[0].batches[0][0].inputs["INPUT0"].shape == (3, 2, 2)
    await served.stop()


async def test_a_model_is_warm_before_it_is_loaded(tmp_path: Path) -> None:
    """Every instance has run the warm-up by the time the version is loaded, and the books do not show it."""
    backend = FakeBackend()
    warmup = (
        "instance_group { count: 2 } model_warmup { name: 'w' batch_size: 2 count: 3"
        " inputs { key: 'INPUT0' value { data_type: TYPE_FP32 dims: 4 zero_data: true } } }"
    )
    served = await load(backend, described(tmp_path, ECHO + warmup))
    assert [[len(batch) for batch in instance.batches] for instance in backend.models[0].instances] == [[2, 2, 2]] * 2
    assert served.statistics.snapshot().execution_count == 0
    await served.stop()


async def test_labels_are_read_with_the_model(tmp_path: Path) -> None:
    """The names of classes are there from the first request on."""
    text = ECHO.replace('name: "OUTPUT0"', 'name: "OUTPUT0" label_filename: "labels.txt"')
    served = await load(FakeBackend(), described(tmp_path, text, files={"labels.txt": "a\nb\n"}))
    assert served.labels == {"OUTPUT0": ("a", "b")}
    await served.stop()


async def test_an_ensemble_runs_the_steps_it_is_given(tmp_path: Path) -> None:
    """An ensemble opens no backend; its steps go where the repository says, and nothing is left to give back."""
    backend = FakeBackend()
    asked: list[str] = []

    async def infer(step: InferenceRequest) -> InferenceResponse:
        asked.append(step.model_name)
        return InferenceResponse(step.model_name, 1, "", (step.inputs["INPUT0"].renamed("OUTPUT0"),))

    described(tmp_path, name="a")
    description = described(tmp_path, chain("a", "a"), name="e")
    step_config = replace(description.config, name="a")
    served = await loader_of(backend).load(description, 1, infer, [step_config, step_config])
    response = await served.infer(request(2, 4, model="e"))
    assert (response.model_name, response.outputs[0].shape) == ("e", (2, 4))
    assert asked == ["a", "a"]
    assert backend.models == []
    await served.stop()


@pytest.mark.parametrize(
    ("config", "files", "error"),
    [
        (
            ECHO.replace('name: "OUTPUT0"', 'name: "OUTPUT0" label_filename: "../x"'),
            {},
            UnsupportedError("label file path '../x' for output 'OUTPUT0' in model 'm' is outside model directory"),
        ),
        (
            ECHO + 'model_warmup { name: "w" batch_size: 1'
            ' inputs { key: "INPUT0" value { data_type: TYPE_FP32 dims: 4 input_data_file: "no" } } }',
            {},
            InvalidArgumentError("failed to run warmup sample 'w': "),
        ),
        (
            ECHO
            + 'model_warmup { name: "w" batch_size: 1 inputs { key: "ELSE" value { data_type: TYPE_FP32 dims: 4 zero_data: true } } }',
            {},
            InvalidArgumentError("unexpected inference input 'ELSE' for model 'm'"),
        ),
        (
            ECHO
            + 'model_warmup { name: "w" batch_size: 1 inputs { key: "INPUT0" value { data_type: TYPE_INT8 dims: 4 zero_data: true } } }',
            {},
            InvalidArgumentError("[request id: <id_unknown>] inference input 'INPUT0' data-type is 'INT8'"),
        ),
        (
            ECHO.replace("data_type: TYPE_FP32", "", 1),
            {},
            InvalidArgumentError("model input 'INPUT0' must specify 'data_type' for m"),
        ),
    ],
)
async def test_a_version_that_cannot_be_loaded_leaves_nothing_behind(
    tmp_path: Path, config: str, files: dict[str, str], error: InferenceServerError
) -> None:
    """Whatever goes wrong, what was opened is closed, and the text says what it was."""
    backend = FakeBackend()
    with pytest.raises(type(error)) as caught:
        await load(backend, described(tmp_path, config, files=files))
    assert caught.value.message.startswith(error.message)
    assert all(model.is_closed for model in backend.models)


async def test_instances_that_cannot_be_created_are_given_back_with_their_model(tmp_path: Path) -> None:
    """When the second instance fails, the first is finalized and the model closed."""
    backend = FakeBackend()

    def fail_second(name: str) -> None:
        if name.endswith("_1"):
            raise InternalError("out of memory")

    backend.on_create_instance = fail_second
    with pytest.raises(InternalError, match="out of memory"):
        await load(backend, described(tmp_path, ECHO + "instance_group { count: 2 }"))
    (model,) = backend.models
    assert [instance.is_finalized for instance in model.instances] == [True]
    assert model.is_closed


async def test_the_event_loop_runs_on_while_a_model_opens_and_cancelling_closes_it(tmp_path: Path) -> None:
    """Opening blocks a thread, not the loop; a model that is opened after nobody waits any more is closed."""
    may_open = threading.Event()
    backend = FakeBackend(on_open=lambda _: may_open.wait(10) and None)
    description = described(tmp_path)
    loading = asyncio.create_task(load(backend, description))
    await asyncio.sleep(0.01)
    assert not loading.done()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    may_open.set()
    async with asyncio.timeout(10):
        while not (backend.models and backend.models[0].is_closed):
            await asyncio.sleep(0.001)


async def test_settings_for_all_backends_give_way_to_those_of_one(tmp_path: Path) -> None:
    """What `--backend-config` says of no backend is for every one, and what it says of one counts more."""
    backend = FakeBackend()
    settings = {"": {"default-max-batch-size": "16", "key": "all"}, "identity": {"key": "one"}, "other": {"a": "b"}}
    loader = VersionLoader(
        backend.open_model, SystemClock(), cores=1, backend_settings=settings, auto_complete_config=False
    )
    served = await loader.load(described(tmp_path), 1, no_steps, [])
    (model,) = backend.models
    assert model.options.settings == {"default-max-batch-size": "16", "key": "one"}
    assert not model.options.auto_complete_config
    await served.stop()


async def test_the_number_of_instances_changes_while_a_version_is_served(tmp_path: Path) -> None:
    """Instances come and go, warm-up included; the version, its books and its model stay."""
    backend = FakeBackend()
    served = await load(backend, described(tmp_path))
    statistics = served.statistics
    groups = served.config.instance_groups
    await served.reconfigure([replace(groups[0], count=3)], VersionPolicy(all=True, latest=None))
    (model,) = backend.models
    assert len(model.instances) == 3
    assert (served.config.instance_groups[0].count, served.config.version_policy.all) == (3, True)
    assert served.statistics is statistics
    await served.infer(request(1, 4))

    def refuse(name: str) -> None:
        raise InvalidArgumentError("no room")

    backend.on_create_instance = refuse
    with pytest.raises(InvalidArgumentError, match="no room"):
        await served.reconfigure([replace(groups[0], count=4)], VersionPolicy())
    assert served.config.instance_groups[0].count == 3
    await served.reconfigure(groups, VersionPolicy())
    await served.infer(request(1, 4))
    await served.stop()
    assert all(instance.is_finalized for instance in model.instances)
