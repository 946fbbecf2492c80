"""The ONNX Runtime backend, on networks of one or two nodes."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from aisle_protocol.datatypes import dtype_of
from aisle_server.backends.backend import BackendOptions, Device
from aisle_server.backends.onnxruntime_backend import open_onnxruntime_model
from aisle_server.errors import InternalError, InvalidArgumentError, UnsupportedError
from aisle_server.model_config.schema import ModelConfig, ModelInput, ModelOutput
from tests.support.inference_requests import inference_request, tensor
from tests.support.onnx_networks import OPSET, save_network


def opened(config, directory, intra_op_threads=1):
    """The model in this version directory."""
    return open_onnxruntime_model(config, 1, directory, BackendOptions(intra_op_threads=intra_op_threads))


@pytest.fixture
def version_directory(tmp_path):
    """`<model>/1`, not made yet."""
    return tmp_path / "1"


@pytest.fixture
def arithmetic(version_directory):
    """SUM = A + B, DIFFERENCE = A - B, in rows of two."""
    save_network(
        version_directory,
        [helper.make_node("Add", ["A", "B"], ["SUM"]), helper.make_node("Sub", ["A", "B"], ["DIFFERENCE"])],
        [("A", TensorProto.FLOAT, ["n", 2]), ("B", TensorProto.FLOAT, ["n", 2])],
        [("SUM", TensorProto.FLOAT, ["n", 2]), ("DIFFERENCE", TensorProto.FLOAT, ["n", 2])],
    )
    config = ModelConfig(
        "m",
        max_batch_size=8,
        inputs=(ModelInput("A", "FP32", (2,)), ModelInput("B", "FP32", (2,))),
        outputs=(ModelOutput("SUM", "FP32", (2,)), ModelOutput("DIFFERENCE", "FP32", (2,))),
    )
    return opened(config, version_directory)


def rows(*values):
    """Rows of two equal values."""
    return np.array([[value, value] for value in values], np.float32)


def test_each_request_of_a_batch_gets_its_own_rows(arithmetic):
    """Requests of one, two and no rows run as one batch, and each gets what it would have got alone."""
    requests = [
        inference_request(1, A=rows(1), B=rows(10)),
        inference_request(2, A=rows(2, 3), B=rows(20, 30)),
        inference_request(0, A=np.empty((0, 2), np.float32), B=np.empty((0, 2), np.float32)),
    ]
    execution = arithmetic.create_instance("m_0", Device()).execute(requests)
    sums = [response.output("SUM").data.tolist() for response in execution.results]
    differences = [response.output("DIFFERENCE").data.tolist() for response in execution.results]
    assert sums == [[[11, 11]], [[22, 22], [33, 33]], []]
    assert differences == [[[-9, -9]], [[-18, -18], [-27, -27]], []]
    assert execution.compute_start_ns <= execution.compute_end_ns


def test_only_requested_outputs_come_back(arithmetic):
    """An output that nobody asked for is not in the response."""
    request = inference_request(1, A=rows(1), B=rows(2)).changed(requested_outputs=("DIFFERENCE",))
    (response,) = arithmetic.create_instance("m_0", Device()).execute([request]).results
    assert [(output.name, output.data.tolist()) for output in response.outputs] == [("DIFFERENCE", [[-1, -1]])]


def test_instances_have_sessions_of_their_own(arithmetic):
    """Two instances live side by side; the end of one leaves the other at work."""
    first, second = (arithmetic.create_instance(f"m_{index}", Device()) for index in range(2))
    first.finalize()
    (response,) = second.execute([inference_request(1, A=rows(1), B=rows(1))]).results
    assert response.output("SUM").data.tolist() == [[2, 2]]
    second.finalize()
    arithmetic.close()


def test_values_that_break_the_network_disturb_no_neighbour(version_directory):
    """A row that makes the network fail fails its own caller, with a text without insides; its neighbours are answered."""
    save_network(
        version_directory,
        [helper.make_node("Gather", ["TABLE", "INDEX"], ["VALUE"])],
        [("INDEX", TensorProto.INT64, ["n", 1])],
        [("VALUE", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor("TABLE", TensorProto.FLOAT, [3], [0.0, 10.0, 20.0])],
    )
    config = ModelConfig(
        "m",
        max_batch_size=8,
        inputs=(ModelInput("INDEX", "INT64", (1,)),),
        outputs=(ModelOutput("VALUE", "FP32", (1,)),),
    )
    instance = opened(config, version_directory).create_instance("m_0", Device())
    good, bad, last = instance.execute([inference_request(1, INDEX=[[index]]) for index in (1, 99, 2)]).results
    assert isinstance(bad, InternalError)
    assert bad.message == "model 'm' failed to execute the request"
    assert [good.output("VALUE").data.item(), last.output("VALUE").data.item()] == [10.0, 20.0]


@pytest.mark.parametrize(
    ("datatype", "onnx_type", "values"),
    [
        ("BOOL", TensorProto.BOOL, [[True, False]]),
        ("UINT8", TensorProto.UINT8, [[0, 255]]),
        ("UINT16", TensorProto.UINT16, [[0, 65535]]),
        ("UINT32", TensorProto.UINT32, [[0, 2**32 - 1]]),
        ("UINT64", TensorProto.UINT64, [[0, 2**64 - 1]]),
        ("INT8", TensorProto.INT8, [[-128, 127]]),
        ("INT16", TensorProto.INT16, [[-(2**15), 2**15 - 1]]),
        ("INT32", TensorProto.INT32, [[-(2**31), 2**31 - 1]]),
        ("INT64", TensorProto.INT64, [[-(2**63), 2**63 - 1]]),
        ("FP16", TensorProto.FLOAT16, [[0.5, float("inf")]]),
        ("FP32", TensorProto.FLOAT, [[0.1, float("-inf")]]),
        ("FP64", TensorProto.DOUBLE, [[0.1, 1e300]]),
        ("BYTES", TensorProto.STRING, [["کفش".encode(), b""]]),
    ],
)
def test_every_datatype_passes_through(version_directory, datatype, onnx_type, values):
    """A network that changes nothing gives back every datatype as it came; text is BYTES on both sides."""
    save_network(
        version_directory,
        [helper.make_node("Identity", ["X"], ["Y"])],
        [("X", onnx_type, ["n", 2])],
        [("Y", onnx_type, ["n", 2])],
    )
    config = ModelConfig(
        "m", max_batch_size=8, inputs=(ModelInput("X", datatype, (2,)),), outputs=(ModelOutput("Y", datatype, (2,)),)
    )
    sent = tensor("X", np.array(values, dtype_of(datatype)), datatype)
    (response,) = (
        opened(config, version_directory)
        .create_instance("m_0", Device())
        .execute([inference_request(1, X=sent)])
        .results
    )
    output = response.output("Y")
    assert (output.datatype, output.data.dtype, output.shape) == (datatype, sent.data.dtype, (1, 2))
    assert output.data.tolist() == sent.data.tolist()
    if datatype == "BYTES":
        assert all(type(element) is bytes for element in output.data.reshape(-1))


def test_bytes_that_are_not_utf8_fail_their_own_caller(version_directory):
    """ONNX Runtime's strings are text: broken UTF-8 is refused, in words, and the neighbours are answered."""
    save_network(
        version_directory,
        [helper.make_node("Identity", ["X"], ["Y"])],
        [("X", TensorProto.STRING, ["n", 1])],
        [("Y", TensorProto.STRING, ["n", 1])],
    )
    config = ModelConfig(
        "m", max_batch_size=8, inputs=(ModelInput("X", "BYTES", (1,)),), outputs=(ModelOutput("Y", "BYTES", (1,)),)
    )
    instance = opened(config, version_directory).create_instance("m_0", Device())
    bad, good = instance.execute([inference_request(1, X=[[text]]) for text in (b"\xff", b"shoe")]).results
    assert isinstance(bad, InvalidArgumentError)
    assert bad.message == "input 'X' of model 'm' has an element that is not UTF-8; expected text"
    assert good.output("Y").data.tolist() == [[b"shoe"]]


def test_ragged_requests_run_one_by_one(version_directory):
    """Requests that differ in a variable dimension do not stack, and are answered all the same."""
    save_network(
        version_directory,
        [helper.make_node("Neg", ["X"], ["Y"])],
        [("X", TensorProto.FLOAT, ["n", "length"])],
        [("Y", TensorProto.FLOAT, ["n", "length"])],
    )
    config = ModelConfig(
        "m", max_batch_size=8, inputs=(ModelInput("X", "FP32", (-1,)),), outputs=(ModelOutput("Y", "FP32", (-1,)),)
    )
    instance = opened(config, version_directory).create_instance("m_0", Device())
    results = instance.execute([inference_request(1, X=np.ones((1, n), np.float32)) for n in (1, 3)]).results
    assert [response.output("Y").data.tolist() for response in results] == [[[-1]], [[-1, -1, -1]]]


@pytest.mark.parametrize("filename", ["../outside.onnx", "/etc/hostname", "link.onnx", "."])
def test_a_model_file_outside_its_directory_is_refused(version_directory, filename):
    """A model file is not read from outside its version directory, neither by its path nor through a link."""
    inputs, outputs = [("X", TensorProto.FLOAT, [1])], [("Y", TensorProto.FLOAT, [1])]
    version_directory.mkdir()
    save_network(
        version_directory.parent, [helper.make_node("Neg", ["X"], ["Y"])], inputs, outputs, filename="outside.onnx"
    )
    (version_directory / "link.onnx").symlink_to("../outside.onnx")
    with pytest.raises(InvalidArgumentError, match="outside the directory of version 1"):
        opened(ModelConfig("m", default_model_filename=filename), version_directory)


@pytest.mark.parametrize("filename", ["", "other.onnx", "a" * 300, "a\0b"])
def test_a_missing_model_file_is_named(version_directory, filename):
    """A version without its model file fails to load; the text says which file, and tells no path of ours."""
    version_directory.mkdir()
    with pytest.raises(InvalidArgumentError, match="model 'm' has no file '") as caught:
        opened(ModelConfig("m", default_model_filename=filename), version_directory)
    assert str(version_directory) not in caught.value.message


def test_a_file_that_is_no_model_is_refused(version_directory):
    """A broken file fails the load; the text tells no path of ours."""
    version_directory.mkdir()
    (version_directory / "model.onnx").write_bytes(b"no model")
    with pytest.raises(InvalidArgumentError, match=r"unable to load model 'm' from 'model\.onnx'") as caught:
        opened(ModelConfig("m"), version_directory)
    assert str(version_directory) not in caught.value.message


@pytest.mark.parametrize("location", ["../weights.bin", "link.bin", "inside.bin"])
def test_external_data_stays_inside_the_directory(version_directory, location):
    """Weights beside the model file are read, and weights outside its directory are not."""
    version_directory.mkdir()
    weights = np.array([1.0, 2.0], np.float32).tobytes()
    (version_directory.parent / "weights.bin").write_bytes(weights)
    (version_directory / "inside.bin").write_bytes(weights)
    (version_directory / "link.bin").symlink_to("../weights.bin")
    external = TensorProto(name="B", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    external.external_data.add(key="location", value=location)
    graph = helper.make_graph(
        [helper.make_node("Add", ["X", "B"], ["Y"])],
        "graph",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["n", 2])],
        [external],
    )
    model = helper.make_model(graph, opset_imports=OPSET, ir_version=9)
    (version_directory / "model.onnx").write_bytes(model.SerializeToString())
    config = ModelConfig(
        "m", max_batch_size=8, inputs=(ModelInput("X", "FP32", (2,)),), outputs=(ModelOutput("Y", "FP32", (2,)),)
    )
    if location == "inside.bin":
        instance = opened(config, version_directory).create_instance("m_0", Device())
        (response,) = instance.execute([inference_request(1, X=rows(1))]).results
        assert response.output("Y").data.tolist() == [[2, 3]]
    else:
        with pytest.raises(InvalidArgumentError, match="unable to load model 'm'") as caught:
            opened(config, version_directory)
        assert str(version_directory.parent) not in caught.value.message


def test_an_empty_configuration_is_completed_from_the_file(version_directory, arithmetic):
    """Names, datatypes, dims, max_batch_size and the dynamic batcher come from the file when the configuration leaves them open."""
    config = opened(ModelConfig("m"), version_directory).config
    assert config.inputs == (ModelInput("A", "FP32", (2,)), ModelInput("B", "FP32", (2,)))
    assert config.outputs == (ModelOutput("SUM", "FP32", (2,)), ModelOutput("DIFFERENCE", "FP32", (2,)))
    assert config.max_batch_size == 4
    assert config.dynamic_batching is not None


def test_the_process_sets_the_default_batch_size(version_directory, arithmetic):
    """--backend-config onnxruntime,default-max-batch-size is for models that batch and do not say how much."""
    options = BackendOptions(settings={"default-max-batch-size": "16"})
    assert open_onnxruntime_model(ModelConfig("m"), 1, version_directory, options).config.max_batch_size == 16
    wrong = BackendOptions(settings={"default-max-batch-size": "many"})
    with pytest.raises(InvalidArgumentError, match="'default-max-batch-size' is 'many'"):
        open_onnxruntime_model(ModelConfig("m"), 1, version_directory, wrong)


def test_a_strict_process_takes_a_configuration_as_it_is(version_directory, arithmetic):
    """With --disable-auto-complete-config nothing is filled in, and what is missing or wrong is told."""
    strict = BackendOptions(auto_complete_config=False)
    whole = replace(arithmetic.config, dynamic_batching=None)
    assert open_onnxruntime_model(whole, 1, version_directory, strict).config == whole
    with pytest.raises(InvalidArgumentError, match="configuration expects 0 inputs, model provides 2"):
        open_onnxruntime_model(ModelConfig("m"), 1, version_directory, strict)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            ModelConfig("m", max_batch_size=8, inputs=(ModelInput("A", "INT32", (2,)), ModelInput("B", "FP32", (2,)))),
            "unable to load model 'm', configuration expects datatype TYPE_INT32 for input 'A', model provides TYPE_FP32",
        ),
        (
            ModelConfig("m", max_batch_size=8, outputs=(ModelOutput("PRODUCT", "FP32", (2,)),)),
            "unexpected inference output 'PRODUCT', allowed outputs are: DIFFERENCE, SUM",
        ),
        (
            ModelConfig("m", max_batch_size=8, outputs=(ModelOutput("SUM", "FP32", (3,)),)),
            r"model 'm', tensor 'SUM': the model expects 2 dimensions \(shape \[-1,2\]\) but",
        ),
    ],
    ids=["datatype", "name", "shape"],
)
def test_a_configuration_that_does_not_fit_the_file_is_refused(version_directory, arithmetic, config, text):
    """A configuration that contradicts the model file fails the load, in Triton's words."""
    with pytest.raises(InvalidArgumentError, match=text):
        opened(config, version_directory)


def test_tensors_that_numpy_cannot_hold_are_refused(version_directory):
    """A network with a tensor that is not of the protocol's datatypes fails to load; the text says which and of what type."""
    save_network(
        version_directory,
        [helper.make_node("Identity", ["X"], ["Y"])],
        [("X", TensorProto.BFLOAT16, ["n", 2])],
        [("Y", TensorProto.BFLOAT16, ["n", 2])],
    )
    with pytest.raises(InvalidArgumentError, match=r"its tensor 'X' is a tensor\(bfloat16\); expected one of"):
        opened(ModelConfig("m"), version_directory)


def test_a_gpu_that_is_not_there_is_said_so(arithmetic):
    """KIND_GPU without CUDA in the installed ONNX Runtime fails the instance; the text says what there is and what to do."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(UnsupportedError, match=r"cannot execute on GPU 0.*CPUExecutionProvider.*or use KIND_CPU"):
        arithmetic.create_instance("m_0", Device("GPU", 0))


@pytest.mark.parametrize("text", ["many", "-1", "1.5"])
def test_a_thread_count_that_is_no_number_is_refused(version_directory, arithmetic, text):
    """A parameter that is not a whole number fails the load, and the text says which."""
    config = ModelConfig("m", parameters={"intra_op_thread_count": text})
    with pytest.raises(InvalidArgumentError, match=f"parameter 'intra_op_thread_count' of model 'm' is '{text}'"):
        opened(config, version_directory)
