"""The TensorFlow backend, on a SavedModel of a few operations."""

import numpy as np
import pytest

from aisle_server.backends.backend import BackendOptions, Device
from aisle_server.backends.registry import open_model
from aisle_server.errors import InternalError, InvalidArgumentError, UnsupportedError
from aisle_server.model_config.schema import InstanceGroup, InstanceKind, ModelConfig, ModelInput, ModelOutput
from tests.support.inference_requests import inference_request, tensor

tf = pytest.importorskip("tensorflow")

CONFIG = ModelConfig("m", platform="tensorflow_savedmodel", backend="tensorflow")


@pytest.fixture(scope="module")
def version_directory(tmp_path_factory):
    """`<model>/1` with a SavedModel: DOUBLE = 2 X, VALUE = TABLE[INDEX], and a second signature that shouts."""

    class Network(tf.Module):
        def __init__(self):
            super().__init__()
            self.table = tf.Variable([0.0, 10.0, 20.0])

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 2], tf.float32, name="X"),
                tf.TensorSpec([None, 1], tf.int64, name="INDEX"),
            ]
        )
        def arithmetic(self, x, index):
            return {"DOUBLE": 2 * x, "VALUE": tf.gather(self.table, index)}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 1], tf.string, name="TEXT"),
                tf.TensorSpec([None, 1], tf.bfloat16, name="HALF"),
            ]
        )
        def shout(self, text, half):
            return {"LOUD": tf.strings.upper(text), "TWICE": half + half}

    directory = tmp_path_factory.mktemp("m") / "1"
    network = Network()
    signatures = {"serving_default": network.arithmetic, "shout": network.shout}
    tf.saved_model.save(network, str(directory / "model.savedmodel"), signatures=signatures)
    return directory


def opened(version_directory, config=CONFIG):
    """The model in this version directory."""
    return open_model(config, 1, version_directory, BackendOptions(intra_op_threads=1))


def test_an_empty_configuration_is_completed_from_the_signature(version_directory):
    """Names, datatypes, dims, max_batch_size and the dynamic batcher come from the signature."""
    config = opened(version_directory).config
    assert config.inputs == (ModelInput("INDEX", "INT64", (1,)), ModelInput("X", "FP32", (2,)))
    assert config.outputs == (ModelOutput("DOUBLE", "FP32", (2,)), ModelOutput("VALUE", "FP32", (1,)))
    assert config.max_batch_size == 4
    assert config.dynamic_batching is not None


def test_each_request_of_a_batch_gets_its_own_rows(version_directory):
    """Requests of one, two and no rows run as one batch, and each gets what it would have got alone."""
    model = opened(version_directory)
    instance = model.create_instance("m_0", Device())
    requests = [
        inference_request(1, X=np.array([[1, 2]], np.float32), INDEX=[[1]]),
        inference_request(2, X=np.array([[3, 4], [5, 6]], np.float32), INDEX=[[2], [0]]),
        inference_request(0, X=np.empty((0, 2), np.float32), INDEX=np.empty((0, 1), np.int64)),
    ]
    execution = instance.execute(requests)
    assert [result.output("DOUBLE").data.tolist() for result in execution.results] == [[[2, 4]], [[6, 8], [10, 12]], []]
    assert [result.output("VALUE").data.tolist() for result in execution.results] == [[[10]], [[20], [0]], []]
    assert execution.compute_start_ns < execution.compute_end_ns
    instance.finalize()
    model.close()


def test_values_that_break_the_network_disturb_no_neighbour(version_directory):
    """A row that makes the network fail fails its own caller, with a text without insides; its neighbours are answered."""
    instance = opened(version_directory).create_instance("m_0", Device())
    x = np.zeros((1, 2), np.float32)
    good, bad, last = instance.execute([inference_request(1, X=x, INDEX=[[index]]) for index in (1, 99, 2)]).results
    assert isinstance(bad, InternalError)
    assert bad.message == "model 'm' failed to execute the request"
    assert [good.output("VALUE").data.item(), last.output("VALUE").data.item()] == [10.0, 20.0]


def test_text_and_bits_pass_through_another_signature(version_directory):
    """TF_SIGNATURE_DEF chooses the signature. BYTES need not be UTF-8; BF16 goes in and comes out as its bits."""
    config = ModelConfig("m", backend="tensorflow", parameters={"TF_SIGNATURE_DEF": "shout"})
    model = opened(version_directory, config)
    assert [each.datatype for each in (*model.config.inputs, *model.config.outputs)] == [
        "BF16",
        "BYTES",
        "BYTES",
        "BF16",
    ]
    request = inference_request(
        2,
        TEXT=tensor("TEXT", np.array([[b"shoe\xff"], [b""]], object)),
        HALF=tensor("HALF", np.array([[0x3F80], [0xC000]], np.uint16), "BF16"),
    )
    (result,) = model.create_instance("m_0", Device()).execute([request]).results
    assert result.output("LOUD").data.tolist() == [[b"SHOE\xff"], [b""]]
    assert result.output("TWICE").data.tolist() == [[0x4000], [0xC080]]  # 1 -> 2, -2 -> -4
    assert result.output("TWICE").data.dtype == np.uint16


def test_instances_share_the_variables(version_directory):
    """Two instances on a device answer with one copy of the model, and the end of one leaves the other at work."""
    model = opened(version_directory)
    first, second = (model.create_instance(f"m_{index}", Device()) for index in range(2))
    assert first._signature is second._signature
    first.finalize()
    request = inference_request(1, X=np.ones((1, 2), np.float32), INDEX=[[0]]).changed(requested_outputs=("DOUBLE",))
    (result,) = second.execute([request]).results
    assert [(output.name, output.data.tolist()) for output in result.outputs] == [("DOUBLE", [[2, 2]])]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (
            ModelConfig("m", backend="tensorflow", parameters={"TF_SIGNATURE_DEF": "predict"}),
            "it has no signature 'predict', only: serving_default, shout",
        ),
        (
            ModelConfig("m", backend="tensorflow", parameters={"TF_GRAPH_TAG": "train"}),
            "unable to load model 'm' from 'model.s",
        ),
        (ModelConfig("m", backend="tensorflow", default_model_filename="other"), "model 'm' has no file 'other'"),
        (ModelConfig("m", backend="tensorflow", default_model_filename="../1"), "outside the directory of version 1"),
        (
            ModelConfig("m", backend="tensorflow", default_model_filename="model.savedmodel/variables"),
            "'variables' of model 'm' is no SavedModel; expected a directory with a saved_model.pb",
        ),
        (
            ModelConfig("m", backend="tensorflow", outputs=(ModelOutput("DOUBLE", "FP64", (2,)),)),
            "configuration expects datatype TYPE_FP64 for output 'DOUBLE', model provides TYPE_FP32",
        ),
        (
            ModelConfig("m", backend="tensorflow", parameters={"TF_NUM_INTRA_THREADS": "-1"}),
            "parameter 'TF_NUM_INTRA_THREADS' of model 'm' is '-1'; expected a whole number",
        ),
    ],
)
def test_what_does_not_fit_is_refused(version_directory, config, text):
    """A signature, tag, directory, datatype or parameter that is not there fails the load; the text tells no path of ours."""
    with pytest.raises(InvalidArgumentError, match=text) as caught:
        opened(version_directory, config)
    assert str(version_directory) not in caught.value.message


def test_a_broken_savedmodel_is_refused(tmp_path):
    """A file that is no SavedModel fails the load."""
    directory = tmp_path / "1" / "model.savedmodel"
    directory.mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(InvalidArgumentError, match=r"unable to load model 'm' from 'model.savedmodel'") as caught:
        opened(tmp_path / "1")
    assert str(tmp_path) not in caught.value.message


def test_a_gpu_that_is_not_there_is_said_so(version_directory):
    """KIND_GPU without a GPU that TensorFlow sees fails the load; the text says what there is."""
    groups = (InstanceGroup("m", InstanceKind.KIND_GPU, 1, (99,)),)
    config = ModelConfig("m", backend="tensorflow", instance_groups=groups)
    with pytest.raises(UnsupportedError, match="model 'm' cannot execute on GPU 99: TensorFlow sees"):
        opened(version_directory, config)
