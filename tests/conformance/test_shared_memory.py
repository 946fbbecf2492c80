"""System shared memory, by NVIDIA's clients and their own way to make regions, over gRPC and HTTP."""

from __future__ import annotations

import contextlib
import os
import queue
import time
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from tests.support.model_repositories import write_identity_model
from tests.support.server_process import ServerProcess, running_server
from tests.support.triton_requests import ROW, refused, row_input

BYTE_SIZE = ROW.nbytes


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that lets callers share memory."""
    repository = tmp_path_factory.mktemp("sharing")
    write_identity_model(repository, "identity", labels=["a"] * 16)
    write_identity_model(repository, "texts", [("0", "BYTES", (2,))])
    write_identity_model(repository, "slow", parameters={"execute_delay_ms": "600"})
    with running_server(repository, "--allow-client-shm=true") as process:
        yield process


@pytest.fixture(params=["grpc", "http"])
def door(request: pytest.FixtureRequest, sharing: ServerProcess) -> Iterator[tuple[Any, Any]]:
    """NVIDIA's client of one door, and the module of its types."""
    if request.param == "grpc":
        with triton.InferenceServerClient(sharing.grpc) as client:
            yield client, triton
            client.unregister_system_shared_memory()
    else:
        web = triton_http.InferenceServerClient(sharing.http)
        yield web, triton_http
        web.unregister_system_shared_memory()
        web.close()


@contextlib.contextmanager
def _object(byte_size: int = 2 * BYTE_SIZE) -> Iterator[tuple[Any, str]]:
    key = f"/aisle_test_{os.getpid()}_{uuid.uuid4().hex}"
    handle = shm.create_shared_memory_region("r", key, byte_size)
    try:
        yield handle, key
    finally:
        shm.destroy_shared_memory_region(handle)


def _tensors(module: Any, *, sent: tuple[int, int] = (BYTE_SIZE, 0), wanted: tuple[int, int] = (BYTE_SIZE, BYTE_SIZE)):
    given = module.InferInput("INPUT0", [1, 16], "FP32")
    given.set_shared_memory("r", *sent)
    output = module.InferRequestedOutput("OUTPUT0")
    output.set_shared_memory("r", *wanted)
    return [given], [output]


def test_tensors_stay_in_shared_memory(door: tuple[Any, Any]) -> None:
    """An input is read from a region, an output is left behind it, and the answer is without it."""
    client, module = door
    with _object() as (handle, key):
        client.register_system_shared_memory("r", key, 2 * BYTE_SIZE)
        shm.set_shared_memory_region(handle, [ROW])
        inputs, outputs = _tensors(module)
        result = client.infer("identity", inputs, outputs=outputs)
        np.testing.assert_array_equal(shm.get_contents_as_numpy(handle, np.float32, [1, 16], BYTE_SIZE), ROW)
        told = result.get_output("OUTPUT0")
        if module is triton_http:
            assert told == {"name": "OUTPUT0", "datatype": "FP32", "shape": [1, 16]}
        else:
            assert (told.name, told.datatype, list(told.shape)) == ("OUTPUT0", "FP32", [1, 16])
            assert not told.parameters
            assert list(result.get_response().raw_output_contents) == [b""]
        status = client.get_system_shared_memory_status("r")
        assert "r" in str(status)
        client.unregister_system_shared_memory("r")
        with pytest.raises(InferenceServerException, match="Unable to find system shared memory region: 'r'"):
            client.get_system_shared_memory_status("r")


def test_inputs_in_and_beside_shared_memory(sharing: ServerProcess) -> None:
    """BYTES travel through shared memory too, and raw contents are counted over the other inputs alone."""
    with triton.InferenceServerClient(sharing.grpc) as client, _object(1000) as (handle, key):
        words = np.array([[b"\xff\x00", b"shelf"]], np.object_)
        raw = b"".join(len(each).to_bytes(4, "little") + each for each in words.reshape(-1))
        shm.set_shared_memory_region(handle, [np.frombuffer(raw, np.uint8)])
        client.register_system_shared_memory("r", key, 1000)
        given = triton.InferInput("INPUT0", [1, 2], "BYTES")
        given.set_shared_memory("r", len(raw))
        assert client.infer("texts", [given]).as_numpy("OUTPUT0").tolist() == words.tolist()
        client.unregister_system_shared_memory("r")


BOUND = "Invalid offset + byte size for shared memory region: 'r'"


@pytest.mark.parametrize(
    ("sent", "wanted", "text"),
    [
        pytest.param(
            (BYTE_SIZE, 2 * BYTE_SIZE),
            (BYTE_SIZE, 0),
            "Invalid offset for shared memory region: 'r'",
            id="D60-B16-at the end",
        ),
        pytest.param(
            (BYTE_SIZE, -1),
            (BYTE_SIZE, 0),
            "Invalid offset for shared memory region: 'r'",
            id="D60-before the beginning",
        ),
        pytest.param((BYTE_SIZE + 1, BYTE_SIZE), (BYTE_SIZE, 0), BOUND, id="D61-B17-an input beyond the end"),
        pytest.param((BYTE_SIZE, 0), (BYTE_SIZE, BYTE_SIZE + 1), BOUND, id="D61-an output beyond the end"),
        pytest.param((2**63 - 1, 1), (BYTE_SIZE, 0), BOUND, id="D62-a sum that wraps round"),
        pytest.param((0, 0), (BYTE_SIZE, 0), BOUND, id="D61-an empty stretch"),
        pytest.param(
            (2 * BYTE_SIZE, 0),
            (BYTE_SIZE, 0),
            "[request id: <id_unknown>] input byte size mismatch for input 'INPUT0' for model 'identity'. Expected 64, got 128",
            id="D67-an input larger than its tensor",
        ),
        pytest.param(
            (BYTE_SIZE, 0),
            (BYTE_SIZE - 1, 0),
            "shared memory size specified with the request for output 'OUTPUT0' (63 bytes) should be at least 64 bytes to hold the results",
            id="D68-an output smaller than its tensor",
        ),
    ],
)
def test_tensors_out_of_bounds(door: tuple[Any, Any], sent: Any, wanted: Any, text: str) -> None:
    """Every stretch is checked against its region, and every tensor against its stretch."""
    client, module = door
    with _object() as (_, key):
        client.register_system_shared_memory("r", key, 2 * BYTE_SIZE)
        inputs, outputs = _tensors(module, sent=sent, wanted=wanted)
        with pytest.raises(InferenceServerException) as caught:
            client.infer("identity", inputs, outputs=outputs)
        assert caught.value.message() == text


@pytest.mark.parametrize(
    ("name", "key", "byte_size", "statuses", "text"),
    [
        pytest.param(
            "dummy_data",
            "",
            1,
            ("ALREADY_EXISTS", "400"),
            "shared memory region 'dummy_data' already in manager",
            id="D57-B35-twice",
        ),
        pytest.param(
            "s",
            "/aisle_none",
            1,
            ("INTERNAL", "500"),
            "Unable to open shared memory region: '/aisle_none'",
            id="D58-unknown key",
        ),
        pytest.param(
            "s",
            "",
            101,
            ("INVALID_ARGUMENT", "400"),
            "failed to register shared memory region 's': invalid args",
            id="D59-B15-a byte too far",
        ),
        pytest.param(
            "s",
            "///",
            1,
            ("INVALID_ARGUMENT", "400"),
            "cannot register shared memory region 's' - invalid shm key '///'",
            id="D63-B19-slashes alone",
        ),
        *(
            pytest.param(
                "s",
                f"{slashes}triton_python_backend_shm_region_1",
                1,
                ("INVALID_ARGUMENT", "400"),
                f"cannot register shared memory region 's' with key '{slashes}triton_python_backend_shm_region_1' as the key contains the"
                " reserved prefix 'triton_python_backend_shm_region_'",
                id=f"D64-B18-reserved after {len(slashes)} slashes",
            )
            for slashes in ("", "/", "///")
        ),
    ],
)
def test_a_region_that_cannot_be_registered(
    door: tuple[Any, Any], name: str, key: str, byte_size: int, statuses: tuple[str, str], text: str
) -> None:
    """It is refused in Triton's words; a region of all the bytes there are is not. Without a key, that of an object of 100 bytes."""
    client, module = door
    status = f"StatusCode.{statuses[0]}" if module is triton else statuses[1]
    with _object(100) as (_, there):
        client.register_system_shared_memory("dummy_data", there, 99, offset=1)
        with refused(status, text):
            client.register_system_shared_memory(name, key or there, byte_size)


def test_d59_a_region_may_end_where_its_object_ends(door: tuple[Any, Any]) -> None:
    """Not a byte later, wherever it begins."""
    client, _ = door
    with _object(100) as (_, key):
        client.register_system_shared_memory("r", key, 100)
        for name, byte_size, offset in (("s", 100, 1), ("s", 1, 100), ("s", 2, 2**64 - 1)):
            with pytest.raises(
                InferenceServerException, match="^.*failed to register shared memory region 's': invalid args$"
            ):
                client.register_system_shared_memory(name, key, byte_size, offset=offset)


def test_d65_to_unregister_what_is_unknown_is_no_error(door: tuple[Any, Any]) -> None:
    """Clients do it before they register anything."""
    client, _ = door
    client.unregister_system_shared_memory("never_registered")


def test_d66_a_region_in_use_is_kept_until_the_answer(sharing: ServerProcess) -> None:
    """A request that executes while its regions are unregistered finds them, and leaves its output there."""
    answers: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(sharing.grpc) as client, _object() as (handle, key):
        client.register_system_shared_memory("r", key, 2 * BYTE_SIZE)
        shm.set_shared_memory_region(handle, [ROW])
        inputs, outputs = _tensors(triton)
        client.async_infer("slow", inputs, outputs=outputs, callback=lambda result, error: answers.put(error or result))
        time.sleep(0.2)
        client.unregister_system_shared_memory("r")
        assert not client.get_system_shared_memory_status().regions
        assert isinstance(answers.get(timeout=10), triton.InferResult)
        np.testing.assert_array_equal(shm.get_contents_as_numpy(handle, np.float32, [1, 16], BYTE_SIZE), ROW)


def test_d42_classes_do_not_go_into_shared_memory(sharing: ServerProcess) -> None:
    """The two exclude each other."""
    with triton.InferenceServerClient(sharing.grpc) as client, _object() as (_, key):
        client.register_system_shared_memory("r", key, 2 * BYTE_SIZE)
        output = triton.InferRequestedOutput("OUTPUT0", class_count=1)
        tensor = output._get_tensor()
        tensor.parameters["shared_memory_region"].string_param = "r"
        with pytest.raises(
            InferenceServerException, match="can't set both 'shared_memory_region' and 'classification'"
        ):
            client.infer("identity", row_input(), outputs=[output])
        client.unregister_system_shared_memory("r")


def test_cuda_memory_is_answered_as_without_gpus(door: tuple[Any, Any]) -> None:
    """As by a Triton that was built for processors alone."""
    client, _ = door
    with pytest.raises(
        InferenceServerException, match="failed to register CUDA shared memory region: 'c', GPUs not supported"
    ):
        client.register_cuda_shared_memory("c", b"", 0, 64)
    client.unregister_cuda_shared_memory("c")
