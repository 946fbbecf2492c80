"""Which instances a model has, and where they execute."""

from __future__ import annotations

import pytest

from aisle_server.errors import InvalidArgumentError
from aisle_server.instance_group import devices_for, intra_op_threads_for
from aisle_server.model_config.schema import InstanceGroup, InstanceKind, ModelConfig

CPU, GPU, AUTO, MODEL = (
    InstanceKind.KIND_CPU,
    InstanceKind.KIND_GPU,
    InstanceKind.KIND_AUTO,
    InstanceKind.KIND_MODEL,
)


def places(*groups: InstanceGroup, gpus: tuple[int, ...] = ()) -> list[tuple[str, str, int]]:
    """Name, kind and id of each placement."""
    placements = devices_for(ModelConfig("m", instance_groups=groups), gpus)
    return [(each.name, each.device.kind, each.device.id) for each in placements]


@pytest.mark.parametrize(
    ("group", "gpus", "expected"),
    [
        (InstanceGroup("g", AUTO, 1), (), [("g_0", "CPU", 0)]),
        (InstanceGroup("g", AUTO, 1), (0, 1), [("g_0", "GPU", 0), ("g_1", "GPU", 1)]),
        (InstanceGroup("g", CPU, 2), (0, 1), [("g_0", "CPU", 0), ("g_1", "CPU", 0)]),
        (InstanceGroup("g", GPU, 2, (1,)), (0, 1), [("g_0", "GPU", 1), ("g_1", "GPU", 1)]),
        (InstanceGroup("g", GPU, 1), (3,), [("g_0", "GPU", 3)]),
        (InstanceGroup("g", MODEL, 1), (0,), [("g_0", "CPU", 0)]),
        (InstanceGroup("g", CPU, 0), (), [("g_0", "CPU", 0)]),
    ],
)
def test_a_group_has_its_count_on_each_of_its_devices(group, gpus, expected):
    """KIND_AUTO takes GPUs where there are any, KIND_CPU never does, and a count of 0 is 1."""
    assert places(group, gpus=gpus) == expected


def test_groups_follow_each_other_and_passive_ones_take_no_work():
    """A passive group has no instances; a model without groups has one instance on its own name."""
    groups = (InstanceGroup("a", CPU, 1), InstanceGroup("b", CPU, 1, passive=True), InstanceGroup("c", CPU, 1))
    assert places(*groups) == [("a_0", "CPU", 0), ("c_0", "CPU", 0)]
    assert places() == [("m_0", "CPU", 0)]


@pytest.mark.parametrize(
    ("group", "gpus", "text"),
    [
        (InstanceGroup("g", GPU, 1), (), "instance group g of model m has kind KIND_GPU but no GPUs are available"),
        (
            InstanceGroup("g", AUTO, 1, (0,)),
            (),
            "instance group g of model m has kind KIND_AUTO but no GPUs are available",
        ),
        (
            InstanceGroup("g", GPU, 1, (0, 7)),
            (0, 1),
            "specifies invalid or unsupported gpu id 7. Available GPUs are: 0, 1",
        ),
        (InstanceGroup("g", CPU, 1, passive=True), (), "every instance group of model 'm' is passive"),
    ],
)
def test_a_device_that_is_not_there_is_an_error(group, gpus, text):
    """A model that asks for a GPU never falls back to the CPU silently."""
    with pytest.raises(InvalidArgumentError) as caught:
        places(group, gpus=gpus)
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("cores", "instances", "threads"), [(8, 1, 8), (8, 2, 4), (8, 3, 2), (2, 4, 1), (1, 1, 1), (4, 0, 4)]
)
def test_instances_share_the_cores(cores, instances, threads):
    """Together the instances of a model compute with no more threads than there are cores, and each with one at least."""
    assert intra_op_threads_for(cores, instances) == threads
