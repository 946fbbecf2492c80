"""Which instances a model has, where each of them executes, and how many threads it may compute with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aisle_server.backends.backend import Device
from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.schema import InstanceGroup, InstanceKind, ModelConfig

CPU = Device("CPU", 0)


@dataclass(frozen=True, slots=True)
class Placement:
    """One instance that is to be.

    Attributes:
        name: `<group>_<index>`, for logs.
        device: Where it executes.
    """

    name: str
    device: Device


def devices_for(config: ModelConfig, available_gpus: Sequence[int]) -> tuple[Placement, ...]:
    """Tell which instances a model has and where each executes.

    KIND_AUTO takes the GPUs when there are any and the CPU otherwise; KIND_MODEL leaves the choice to the model, which is asked on
    the CPU. A passive group has no instances here: it takes no work. A model without instance groups has one instance.

    Args:
        config: Completed and validated.
        available_gpus: Ids of the GPUs that the process may use.

    Returns:
        One or more placements: the groups in the order of the file, each `count` times on each of its devices.

    Raises:
        InvalidArgumentError: A group asks for a GPU that is not there, or every group is passive.

    Source: Triton model configuration, "Instance Groups".
    """
    groups = config.instance_groups or (InstanceGroup(name=config.name),)
    placements = []
    for group in groups:
        if group.passive:
            continue
        devices = _group_devices(config.name, group, available_gpus)
        spots = [device for device in devices for _ in range(max(1, group.count))]
        placements += [Placement(f"{group.name or config.name}_{index}", spot) for index, spot in enumerate(spots)]
    if not placements:
        raise InvalidArgumentError(
            f"every instance group of model '{config.name}' is passive, expected one or more that take work"
        )
    return tuple(placements)


def _group_devices(model: str, group: InstanceGroup, available_gpus: Sequence[int]) -> tuple[Device, ...]:
    wants_gpu = group.kind is InstanceKind.KIND_GPU or (group.kind is InstanceKind.KIND_AUTO and bool(group.gpus))
    if not wants_gpu and not (group.kind is InstanceKind.KIND_AUTO and available_gpus):
        return (CPU,)
    if not available_gpus:
        raise InvalidArgumentError(
            f"instance group {group.name} of model {model} has kind {group.kind.name} but no GPUs are available"
        )
    absent = sorted(set(group.gpus) - set(available_gpus))
    if absent:
        raise InvalidArgumentError(
            f"instance group {group.name} of model {model} specifies invalid or unsupported gpu id {absent[0]}. "
            f"Available GPUs are: {', '.join(map(str, available_gpus))}"
        )
    return tuple(Device("GPU", gpu) for gpu in group.gpus or available_gpus)


def intra_op_threads_for(cores: int, instance_count: int) -> int:
    """Tell how many threads an instance may compute with, so that all instances together fill the cores and do not fight over them.

    Args:
        cores: Those that the process may run on.
        instance_count: Instances of the model that execute on the CPU.

    Returns:
        1 or more. When instances outnumber the cores each gets one thread, and the operating system shares out the cores.
    """
    return max(1, cores // max(1, instance_count))
