"""N instances of a model, a thread each: the boundary between the event loop and everything that blocks."""

from aisle_server.instance_group.gpus import visible_gpus
from aisle_server.instance_group.group import InstanceGroup
from aisle_server.instance_group.instance_thread import GroupExecution
from aisle_server.instance_group.model_calls import ModelCalls
from aisle_server.instance_group.placement import devices_for, intra_op_threads_for
from aisle_server.instance_group.response_stream import ResponseStream
from aisle_server.instance_group.tensor_file import read_tensor_file
from aisle_server.instance_group.warmup import WarmupSample, load_warmup_samples

__all__ = [
    "GroupExecution",
    "InstanceGroup",
    "ModelCalls",
    "ResponseStream",
    "WarmupSample",
    "devices_for",
    "intra_op_threads_for",
    "load_warmup_samples",
    "read_tensor_file",
    "visible_gpus",
]
