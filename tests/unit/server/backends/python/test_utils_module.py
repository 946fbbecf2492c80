"""`triton_python_backend_utils`, as models that were written for Triton use it."""

import json
import logging
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_server.backends.python import triton_python_backend_utils as pb_utils
from aisle_server.backends.python.errors import TritonError
from aisle_server.backends.python.request import InferenceRequest
from aisle_server.model_config.json_form import from_json_form, to_json_form
from aisle_server.model_config.schema import ModelConfig, ModelInput
from tests.support.inference_requests import inference_request


class TestTensor:
    def test_a_tensor_shares_its_array(self):
        """Naming an array copies nothing."""
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        tensor = pb_utils.Tensor("X", array)
        assert tensor.as_numpy() is array
        assert (tensor.name(), tensor.shape(), tensor.triton_dtype(), tensor.is_cpu()) == ("X", [2, 3], 11, True)

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ([1, 2], "tensor 'X' was given a list; expected a numpy.ndarray"),
            (np.array(["a"]), "tensor 'X' was given text of dtype <U1; expected dtype object"),
            (np.array([1j]), "tensor 'X': no datatype of the inference protocol holds a NumPy complex128"),
        ],
    )
    def test_what_is_no_tensor_is_refused(self, value, text):
        """Lists, NumPy's own strings and dtypes that the protocol lacks are refused, in words."""
        with pytest.raises(pb_utils.TritonModelException, match=text):
            pb_utils.Tensor("X", value)

    def test_dlpack_goes_both_ways(self):
        """An array goes out and comes in as DLPack without a copy, as an object and as a bare capsule."""
        array = np.arange(4, dtype=np.float32)
        tensor = pb_utils.Tensor("X", array)
        for source in (tensor, array, tensor.to_dlpack()):
            again = pb_utils.Tensor.from_dlpack("Y", source)
            assert again.name() == "Y"
            assert np.shares_memory(again.as_numpy(), array)

    def test_dlpack_of_an_input_is_a_copy(self):
        """What another library may write into is not the caller's memory."""
        array = np.arange(4, dtype=np.float32)
        shown = InferenceRequest.of_caller(inference_request(1, X=array), ())
        copied = np.from_dlpack(shown.inputs()[0])
        assert copied.tolist() == array.tolist()
        assert not np.shares_memory(copied, array)

    def test_what_is_no_dlpack_is_refused(self):
        """Something that is neither a capsule nor a tensor is refused, in words."""
        with pytest.raises(pb_utils.TritonModelException, match="tensor 'X' cannot be made from DLPack"):
            pb_utils.Tensor.from_dlpack("X", "text")


class TestDatatypes:
    @pytest.mark.parametrize(
        ("name", "numpy_type", "number"),
        [
            ("TYPE_BOOL", np.bool_, 1),
            ("TYPE_UINT8", np.uint8, 2),
            ("TYPE_UINT16", np.uint16, 3),
            ("TYPE_UINT32", np.uint32, 4),
            ("TYPE_UINT64", np.uint64, 5),
            ("TYPE_INT8", np.int8, 6),
            ("TYPE_INT16", np.int16, 7),
            ("TYPE_INT32", np.int32, 8),
            ("TYPE_INT64", np.int64, 9),
            ("TYPE_FP16", np.float16, 10),
            ("TYPE_FP32", np.float32, 11),
            ("TYPE_FP64", np.float64, 12),
            ("TYPE_STRING", np.object_, 13),
        ],
    )
    def test_names_numbers_and_types_agree(self, name, numpy_type, number):
        """Each datatype has Triton's name, Triton's number and a NumPy type."""
        assert pb_utils.triton_string_to_numpy(name) is numpy_type
        assert pb_utils.numpy_to_triton_type(numpy_type) == number
        assert pb_utils.triton_to_numpy_type(number) is numpy_type

    def test_what_is_no_datatype_is_refused(self):
        """Unknown names, numbers and dtypes are told."""
        for call, value in (
            (pb_utils.triton_string_to_numpy, "FP32"),
            (pb_utils.triton_string_to_numpy, "TYPE_BYTES8"),
            (pb_utils.triton_to_numpy_type, 0),
            (pb_utils.numpy_to_triton_type, np.complex64),
        ):
            with pytest.raises(pb_utils.TritonModelException):
                call(value)


class TestBytes:
    @given(st.lists(st.binary(max_size=9), max_size=6))
    def test_elements_survive(self, elements):
        """What is serialized comes back, empty elements and empty tensors included."""
        array = np.array([*elements, None], dtype=object)[:-1]
        assert pb_utils.deserialize_bytes_tensor(pb_utils.serialize_byte_tensor(array)).tolist() == elements

    def test_text_goes_out_as_utf8(self):
        """A str element is serialized as UTF-8."""
        assert pb_utils.serialize_byte_tensor(np.array(["é"], object)) == b"\x02\x00\x00\x00\xc3\xa9"

    @pytest.mark.parametrize("encoded", [b"\x05\x00\x00\x00abcd", b"\x00\x00", b"\x01\x00\x00\x00"])
    def test_a_cut_tensor_is_refused(self, encoded):
        """Bytes that end within an element or within its length are an error."""
        with pytest.raises(pb_utils.TritonModelException, match="element 0 runs past the end"):
            pb_utils.deserialize_bytes_tensor(encoded)

    def test_what_is_no_text_is_refused(self):
        """An element that is neither bytes nor text is an error, not its printed form."""
        with pytest.raises(pb_utils.TritonModelException, match="is a NoneType"):
            pb_utils.serialize_byte_tensor(np.array([None], object))


class TestRequestAndResponse:
    def test_a_request_shows_what_the_caller_sent(self):
        """Id, inputs, outputs, parameters and timeout of the caller reach the model."""
        request = inference_request(1, X=[[1.0]]).changed(
            id="7", timeout_us=50, parameters={"top": 3, "strict": True}, requested_outputs=("B",)
        )
        shown = InferenceRequest.of_caller(request, ("A", "B"))
        assert shown.request_id() == "7"
        assert shown.timeout() == 50
        assert shown.requested_output_names() == ["B"]
        assert json.loads(shown.parameters()) == {"top": 3, "strict": True}
        assert pb_utils.get_input_tensor_by_name(shown, "X").as_numpy().tolist() == [[1.0]]
        assert pb_utils.get_input_tensor_by_name(shown, "Y") is None
        assert (shown.correlation_id(), shown.flags()) == (0, 0)

    def test_no_requested_outputs_stand_for_all(self):
        """A caller who names no output wants every one."""
        assert InferenceRequest.of_caller(inference_request(1), ("A", "B")).requested_output_names() == ["A", "B"]

    def test_inputs_are_read_only(self):
        """A model cannot write into memory that other models and requests look at."""
        request = inference_request(1, X=np.ones((1, 1), np.float32))
        (tensor,) = InferenceRequest.of_caller(request, ()).inputs()
        with pytest.raises(ValueError, match="read-only"):
            tensor.as_numpy()[0] = 2
        assert request.inputs["X"].data.flags.writeable

    def test_a_passed_deadline_is_a_cancelled_request(self):
        """is_cancelled tells that the caller's deadline is over; without a deadline nobody knows."""
        now_ns = time.monotonic_ns()
        deadlines = {None: False, now_ns + 10**12: False, now_ns - 1: True}
        for deadline_ns, is_cancelled in deadlines.items():
            request = inference_request(1).changed(deadline_ns=deadline_ns)
            assert InferenceRequest.of_caller(request, ()).is_cancelled() is is_cancelled

    def test_a_response_is_tensors_and_parameters_or_an_error(self):
        """What a response was made of can be read again."""
        tensor = pb_utils.Tensor("Y", np.zeros(1, np.float32))
        response = pb_utils.InferenceResponse(output_tensors=[tensor], parameters={"a": 1})
        assert pb_utils.get_output_tensor_by_name(response, "Y") is tensor
        assert pb_utils.get_output_tensor_by_name(response, "Z") is None
        assert not response.has_error()
        assert response.parameters() == '{"a": 1}'
        failed = pb_utils.InferenceResponse(error=pb_utils.TritonError("no such file", pb_utils.TritonError.NOT_FOUND))
        assert failed.has_error()
        assert (failed.error().message(), failed.error().code()) == ("no such file", TritonError.NOT_FOUND)

    @pytest.mark.parametrize(
        "arguments",
        [{"output_tensors": [np.zeros(1)]}, {"error": "text"}, {"parameters": {"a": [1]}}, {"parameters": {1: "a"}}],
    )
    def test_a_response_of_anything_else_is_refused(self, arguments):
        """An array in place of a tensor, text in place of an error and a list as a parameter are told where they are made."""
        with pytest.raises(pb_utils.TritonModelException, match="expected"):
            pb_utils.InferenceResponse(**arguments)

    def test_an_unknown_error_code_is_refused(self):
        """A code that is none of TritonError's is told."""
        with pytest.raises(pb_utils.TritonModelException, match="42 is no error code"):
            pb_utils.TritonError("text", 42)

    def test_what_this_server_does_not_offer_is_said_in_words(self):
        """Answering a request of one's own and rescheduling are refused with a plain text."""
        request = pb_utils.InferenceRequest(model_name="other", inputs=[], requested_output_names=["Y"])
        with pytest.raises(pb_utils.TritonModelException, match="has no response sender"):
            request.get_response_sender()
        with pytest.raises(pb_utils.TritonModelException, match="rescheduling"):
            request.set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_RESCHEDULE)
        request.set_release_flags(pb_utils.TRITONSERVER_REQUEST_RELEASE_ALL)

    async def test_other_models_are_executed_from_a_model_alone(self):
        """Outside of a model's code, and without a model's name, nothing can be executed; both ways say so."""
        with pytest.raises(pb_utils.TritonModelException, match="from a model's code alone"):
            pb_utils.InferenceRequest(model_name="other").exec()
        with pytest.raises(pb_utils.TritonModelException, match="expected model_name"):
            await pb_utils.InferenceRequest().async_exec()


class TestModelConfig:
    INPUT = {"name": "X", "data_type": "TYPE_FP32", "dims": [4]}  # noqa: RUF012
    OUTPUT = {"name": "Y", "data_type": "TYPE_STRING", "dims": [1]}  # noqa: RUF012

    @staticmethod
    def of(config):
        return pb_utils.ModelConfig(json.dumps(to_json_form(config)))

    def test_a_configuration_is_completed(self):
        """Inputs, outputs, batch size and batcher that the config.pbtxt leaves open are set by the model."""
        config = self.of(ModelConfig("m", backend="python"))
        config.add_input({**self.INPUT, "optional": True})
        config.add_output(self.OUTPUT)
        config.set_max_batch_size(8)
        config.set_dynamic_batching()
        completed = from_json_form(config.as_dict())
        assert completed.inputs == (ModelInput("X", "FP32", (4,), optional=True),)
        assert [(output.name, output.datatype, output.dims) for output in completed.outputs] == [("Y", "BYTES", (1,))]
        assert completed.max_batch_size == 8
        assert completed.dynamic_batching is not None

    def test_a_listed_tensor_is_completed_in_place(self):
        """An input that the file names and leaves open gets its datatype and dims, and is not listed twice."""
        config = self.of(ModelConfig("m", inputs=(ModelInput("X", "", ()),)))
        config.add_input(self.INPUT)
        assert from_json_form(config.as_dict()).inputs == (ModelInput("X", "FP32", (4,)),)

    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            (
                {"data_type": "TYPE_INT32"},
                "configuration expects datatype TYPE_FP32 for input 'X', model provides TYPE_INT32",
            ),
            (
                {"dims": [5]},
                r"tensor 'X': the model expects dims \[5\] but the model configuration specifies dims \[4\]",
            ),
            ({"optional": False}, "expects optional False but the model configuration specifies optional True"),
            ({"format": "FORMAT_NHWC"}, "contains property other than .*: 'format'"),
        ],
    )
    def test_a_contradiction_is_an_error(self, changes, text):
        """A model may not contradict its config.pbtxt, in Triton's words."""
        config = self.of(ModelConfig("m", inputs=(ModelInput("X", "FP32", (4,), optional=True),)))
        with pytest.raises(ValueError, match=text):
            config.add_input({**self.INPUT, **changes})

    @pytest.mark.parametrize("missing", ["name", "data_type", "dims"])
    def test_a_tensor_without_its_properties_is_an_error(self, missing):
        """Name, datatype and dims must be given."""
        output = {key: value for key, value in self.OUTPUT.items() if key != missing}
        with pytest.raises(ValueError, match=f"is missing '{missing}' property"):
            self.of(ModelConfig("m")).add_output(output)

    def test_the_file_may_ask_for_smaller_batches_and_not_for_larger(self):
        """A max_batch_size in the file above the model's is an error."""
        with pytest.raises(ValueError, match=r"specified max_batch_size 16.*specified max_batch_size 8"):
            self.of(ModelConfig("m", max_batch_size=16)).set_max_batch_size(8)

    def test_a_transaction_policy_cannot_be_changed(self):
        """A decoupled policy of the file stands."""
        config = self.of(ModelConfig("m", decoupled=True))
        config.set_model_transaction_policy({"decoupled": True})
        with pytest.raises(ValueError, match="trying to change decoupled property"):
            config.set_model_transaction_policy({"decoupled": False})
        with pytest.raises(ValueError, match="other than 'decoupled'"):
            config.set_model_transaction_policy({"atomic": True})

    def test_a_configuration_is_read_by_name(self):
        """Models look up their tensors and their policy in the configuration they were given."""
        fields = to_json_form(ModelConfig("m", inputs=(ModelInput("X", "FP32", (4,)),)))
        assert pb_utils.get_input_config_by_name(fields, "X")["data_type"] == "TYPE_FP32"
        assert pb_utils.get_output_config_by_name(fields, "X") is None
        assert not pb_utils.using_decoupled_model_transaction_policy(fields)
        assert pb_utils.using_decoupled_model_transaction_policy(to_json_form(ModelConfig("m", decoupled=True)))


class TestLogger:
    @pytest.mark.parametrize(
        ("method", "level"),
        [
            ("log_verbose", "DEBUG"),
            ("log_info", "INFO"),
            ("log_warn", "WARNING"),
            ("log_error", "ERROR"),
            ("log", "INFO"),
        ],
    )
    def test_a_model_writes_into_the_servers_log(self, caplog, method, level):
        """Each of Triton's levels is one of the log's; a percent sign is only a percent sign."""
        with caplog.at_level(logging.DEBUG, logger="aisle_server"):
            getattr(pb_utils.Logger, method)("100% done")
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [(level, "100% done")]

    def test_a_level_may_be_given(self, caplog):
        """Log takes one of the levels that stand on the logger."""
        pb_utils.Logger.log("careful", pb_utils.Logger.WARNING)
        assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_the_model_directory_is_unknown_outside_of_models():
    """get_model_dir says so when no model is running."""
    with pytest.raises(pb_utils.TritonModelException, match="outside of a model's own methods"):
        pb_utils.get_model_dir()
