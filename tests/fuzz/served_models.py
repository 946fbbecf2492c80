"""What the server that is fuzzed serves: a model for each path that a request can take through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aisle_protocol.datatypes import DATATYPES
from tests.support.model_repositories import write_identity_model, write_python_model

VISITOR: Final = "visitor"
"""The one model that is loaded and unloaded."""


@dataclass(frozen=True, slots=True)
class FuzzedInput:
    """An input of a model.

    Attributes:
        name: Of the tensor.
        datatype: In the protocol.
        dims: Without the batch; -1 for any number.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FuzzedModel:
    """A model, as far as whoever asks it must know it."""

    name: str
    inputs: tuple[FuzzedInput, ...]
    outputs: tuple[str, ...]
    is_batching: bool
    is_decoupled: bool = False


def _identity(name: str, *tensors: tuple[str, str, tuple[int, ...]], is_batching: bool = True) -> FuzzedModel:
    return FuzzedModel(
        name,
        tuple(FuzzedInput(f"INPUT{suffix}", datatype, dims) for suffix, datatype, dims in tensors),
        tuple(f"OUTPUT{suffix}" for suffix, _, _ in tensors),
        is_batching,
    )


_FOUR: Final = ("0", "FP32", (4,))
_ALL_DATATYPES: Final = tuple((f"_{name}", name, (2,)) for name in sorted(DATATYPES))
_IDENTITIES: Final = (
    _identity("identity", _FOUR),
    _identity("two_inputs", _FOUR, ("1", "INT32", (2, 2))),
    _identity("datatypes", *_ALL_DATATYPES, is_batching=False),
    _identity("strings", ("0", "BYTES", (-1,))),
    _identity("any_size", ("0", "FP32", (-1, -1)), is_batching=False),
    _identity("batched", ("0", "FP32", (-1,))),
    _identity("cached", _FOUR),
    _identity(VISITOR, _FOUR),
)
MODELS: Final[Sequence[FuzzedModel]] = (
    *_IDENTITIES,
    _identity("chain", _FOUR),
    FuzzedModel("sequence", (FuzzedInput("INPUT0", "FP32", (4,)),), ("OUTPUT0",), True),
    FuzzedModel("repeat", (FuzzedInput("INPUT0", "FP32", (-1,)),), ("OUTPUT0",), False, is_decoupled=True),
)
# Under batches, queue policies and priorities that requests can name.
_EXTRAS: Final = {
    "batched": "dynamic_batching { priority_levels: 3 default_priority_level: 2 max_queue_delay_microseconds: 200"
    " default_queue_policy { allow_timeout_override: true default_timeout_microseconds: 5000000 max_queue_size: 64 } }",
    "cached": "response_cache { enable: true }",
}
# A quarter of its elements in responses of their own, an error for what is no number; ends at once for nobody.
_REPEAT: Final = """
class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for value in pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()[:8]:
                if value != value:
                    error = pb_utils.TritonError("not a number", pb_utils.TritonError.INVALID_ARG)
                    sender.send(pb_utils.InferenceResponse(error=error))
                else:
                    sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", np.array([value], np.float32))]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
# The sum over a sequence.
_SEQUENCE: Final = """
class TritonPythonModel:
    def initialize(self, args):
        self.sums = {}

    def execute(self, requests):
        responses = []
        for request in requests:
            array = pb_utils.get_input_tensor_by_name(request, "INPUT0").as_numpy()
            slot, flags = request.correlation_id(), request.flags()
            self.sums[slot] = array + (0 if flags & 1 else self.sums.get(slot, 0))
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUTPUT0", self.sums[slot])]))
            if flags & 2:
                del self.sums[slot]
            elif len(self.sums) > 64:
                self.sums.clear()
        return responses
"""


def write_fuzzed_models(repository: Path) -> None:
    """Write the models of MODELS."""
    for model in _IDENTITIES:
        write_identity_model(
            repository,
            model.name,
            [(each.name.removeprefix("INPUT"), each.datatype, each.dims) for each in model.inputs],
            max_batch_size=8 if model.is_batching else 0,
            labels=["first", "second"] if model.name == "identity" else (),
            extra=_EXTRAS.get(model.name, ""),
        )
    tensors = (
        'input {{ name: "INPUT0" data_type: TYPE_FP32 dims: [{0}] }} '
        'output {{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [{1}] }} '
    )
    decoupled = "max_batch_size: 0 model_transaction_policy { decoupled: true } "
    write_python_model(repository, "repeat", _REPEAT, decoupled + tensors.format(-1, 1))
    # Sequences that nobody ends give their slots back soon.
    batching = "max_batch_size: 4 sequence_batching { max_sequence_idle_microseconds: 50000 direct {} } "
    write_python_model(repository, "sequence", _SEQUENCE, batching + tensors.format(4, 4))
    steps = "".join(
        f'step {{ model_name: "{model}" model_version: -1'
        f' input_map {{ key: "INPUT0" value: "{source}" }} output_map {{ key: "OUTPUT0" value: "{target}" }} }}'
        for model, source, target in (("identity", "INPUT0", "between"), ("batched", "between", "OUTPUT0"))
    )
    ensemble = repository / "chain"
    (ensemble / "1").mkdir(parents=True)
    (ensemble / "config.pbtxt").write_text(
        f'platform: "ensemble" max_batch_size: 8 {tensors.format(4, 4)} ensemble_scheduling {{ {steps} }}'
    )
