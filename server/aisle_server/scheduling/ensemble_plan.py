"""What an ensemble has to do for the outputs that a request asks for: worked out once, when the ensemble is loaded. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from aisle_server.inference import Tensor
from aisle_server.model_config.schema import Dims, EnsembleScheduling, ModelConfig

Fit: TypeAlias = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

# More combinations of outputs than a client would think of; fewer than one that tries to fill our memory would need.
_MAX_PLANS = 64


@dataclass(frozen=True, slots=True)
class Edge:
    """A tensor of the ensemble on its way to an input of a step, or to an output of the ensemble.

    Attributes:
        name: At its destination.
        source: In the ensemble.
        fit: Gives or takes the batch dimension; None when both sides agree about it.
    """

    name: str
    source: str
    fit: Fit | None

    def carry(self, tensors: Mapping[str, Tensor]) -> Tensor | None:
        """Return the tensor as its destination wants it, None when it is absent. The array is passed by reference."""
        tensor = tensors.get(self.source)
        if tensor is None:
            return None
        if self.fit is not None:
            return Tensor(self.name, tensor.datatype, self.fit(tensor.data))
        return tensor if tensor.name == self.name else tensor.renamed(self.name)


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step that runs.

    Attributes:
        index: In the file.
        model_name: The composing model.
        model_version: Its version; LATEST_VERSION for the highest that is ready.
        is_batching: Whether its tensors have a batch dimension.
        inputs: Where they come from.
        requested_outputs: Those that somebody needs.
        targets: Output -> tensor of the ensemble, of those.
        wait_count: Tensors to wait for: those that other steps write.
    """

    index: int
    model_name: str
    model_version: int
    is_batching: bool
    inputs: tuple[Edge, ...]
    requested_outputs: tuple[str, ...]
    targets: Mapping[str, str]
    wait_count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps behind some outputs.

    Attributes:
        steps: By index in the file.
        initial: Those that wait for nothing.
        consumers: Tensor of the ensemble -> the steps that wait for it.
        outputs: Of the ensemble, in the order of the request.
        is_connected: Whether every tensor that is needed is an input or written by a step.
    """

    steps: Mapping[int, PlannedStep]
    initial: tuple[PlannedStep, ...]
    consumers: Mapping[str, tuple[PlannedStep, ...]]
    outputs: tuple[Edge, ...]
    is_connected: bool


class EnsembleGraph:
    """The steps of an ensemble and the tensors between them."""

    def __init__(
        self, config: ModelConfig, scheduling: EnsembleScheduling, step_configs: Sequence[ModelConfig]
    ) -> None:
        """Read the graph.

        Args:
            config: Of the ensemble.
            scheduling: Its own.
            step_configs: Of the composing models, in the order of the steps.
        """
        self._config = config
        self._steps = scheduling.steps
        self._step_configs = tuple(step_configs)
        self._writers = {tensor: index for index, step in enumerate(self._steps) for tensor in step.output_map.values()}
        self._plans: dict[tuple[str, ...], Plan] = {}

    def plan(self, requested_outputs: tuple[str, ...]) -> Plan:
        """Return what is to be done for these outputs of the ensemble; empty stands for all of them."""
        plan = self._plans.get(requested_outputs)
        if plan is None:
            plan = self._make_plan(requested_outputs or tuple(output.name for output in self._config.outputs))
            if len(self._plans) < _MAX_PLANS:
                self._plans[requested_outputs] = plan
        return plan

    def _make_plan(self, outputs: tuple[str, ...]) -> Plan:
        needed, indices = self._needed(outputs)
        steps = {index: self._planned(index, needed) for index in sorted(indices)}
        consumers: dict[str, tuple[PlannedStep, ...]] = {}
        for step in steps.values():
            for source in {edge.source for edge in step.inputs}:
                consumers[source] = (*consumers.get(source, ()), step)
        given = {each.name for each in self._config.inputs}
        return Plan(
            steps=steps,
            initial=tuple(step for step in steps.values() if not step.wait_count),
            consumers=consumers,
            outputs=tuple(self._output_edge(name) for name in outputs),
            is_connected=needed <= given | self._writers.keys(),
        )

    def _needed(self, outputs: tuple[str, ...]) -> tuple[set[str], set[int]]:
        """Walk from the outputs to the inputs: the tensors that are needed, and the steps that write them."""
        needed: set[str] = set()
        indices: set[int] = set()
        waiting = list(outputs)
        while waiting:
            tensor = waiting.pop()
            if tensor in needed:
                continue
            needed.add(tensor)
            writer = self._writers.get(tensor)
            if writer is not None and writer not in indices:
                indices.add(writer)
                waiting += self._steps[writer].input_map.values()
        return needed, indices

    def _planned(self, index: int, needed: set[str]) -> PlannedStep:
        step, config = self._steps[index], self._step_configs[index]
        targets = {output: tensor for output, tensor in step.output_map.items() if tensor in needed}
        given = {each.name for each in self._config.inputs}
        return PlannedStep(
            index=index,
            model_name=step.model_name,
            model_version=step.model_version,
            is_batching=config.is_batching,
            inputs=tuple(self._input_edge(index, name, source) for name, source in step.input_map.items()),
            requested_outputs=tuple(targets),
            targets=targets,
            wait_count=len(set(step.input_map.values()) - given),
        )

    def _input_edge(self, index: int, name: str, source: str) -> Edge:
        config = self._step_configs[index]
        declared = config.input(name)
        dims = () if declared is None else declared.dims
        return Edge(name, source, _fit(self._has_batch(source), config.is_batching, dims))

    def _output_edge(self, name: str) -> Edge:
        declared = self._config.output(name)
        dims = () if declared is None else declared.dims
        return Edge(name, name, _fit(self._has_batch(name), self._config.is_batching, dims))

    def _has_batch(self, tensor: str) -> bool:
        writer = self._writers.get(tensor)
        return (self._config if writer is None else self._step_configs[writer]).is_batching


def _fit(has_batch: bool, wants_batch: bool, dims: Dims) -> Fit | None:
    """Choose how an array changes between a model with a batch dimension and one without.

    It changes only when its shape then is what the destination's dims say; otherwise it goes as it is, and the destination's own
    validation says what is wrong.
    """

    def give_batch(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array[np.newaxis] if _matches(array.shape, dims) else array

    def take_batch(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return array[0] if array.shape[:1] == (1,) and _matches(array.shape[1:], dims) else array

    if has_batch == wants_batch:
        return None
    return give_batch if wants_batch else take_batch


def _matches(shape: tuple[int, ...], dims: Dims) -> bool:
    return len(shape) == len(dims) and all(dim in (-1, size) for size, dim in zip(shape, dims, strict=True))
