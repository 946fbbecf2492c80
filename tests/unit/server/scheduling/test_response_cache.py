"""The response cache: what counts as the same request, what is kept, and what the books say of it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisle_server.errors import InvalidArgumentError, UnavailableError
from aisle_server.inference import InferenceRequest, InferenceResponse, Tensor
from aisle_server.model_config.schema import DynamicBatching, ModelConfig, ModelInput
from aisle_server.scheduling.cached import CachedScheduler
from aisle_server.scheduling.factory import create_scheduler
from aisle_server.scheduling.response_cache import ResponseCache, digest_of
from aisle_server.statistics import ModelStatistics
from tests.support.fake_clock import FakeClock
from tests.support.fake_instance_group import FakeInstanceGroup

FLOATS = np.arange(4, dtype=np.float32).reshape(1, 4)


def request(number: float = 1, **fields) -> InferenceRequest:
    """A request whose tensor holds a number."""
    return InferenceRequest("m", {"A": Tensor("A", "FP32", FLOATS + number)}, **fields)


def response(data: np.ndarray, datatype: str = "FP32") -> InferenceResponse:
    """An answer of one tensor."""
    return InferenceResponse("m", 1, "x", (Tensor("Y", datatype, data),))


def texts(*elements: bytes) -> np.ndarray:
    """A BYTES array."""
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array


@pytest.mark.parametrize(
    "other",
    [
        request(2),
        request(parameters={"top": 5}),
        request(requested_outputs=("Y",)),
        InferenceRequest("m", {"B": Tensor("B", "FP32", FLOATS + 1)}),
        InferenceRequest("m", {"A": Tensor("A", "FP32", (FLOATS + 1).reshape(2, 2))}),
        InferenceRequest("m", {"A": Tensor("A", "INT32", (FLOATS + 1).view(np.int32))}),
        InferenceRequest("m", {"A": Tensor("A", "FP32", FLOATS + 1), "B": Tensor("B", "BYTES", texts())}),
    ],
)
def test_requests_that_differ_are_told_apart(other):
    """Data, shape, datatype, names, requested outputs and parameters all make another request."""
    assert digest_of(request(1)) != digest_of(other)


@pytest.mark.parametrize(
    "same",
    [
        request(1, id="another", priority=3, timeout_us=5, deadline_ns=7),
        InferenceRequest("m", {"A": Tensor("A", "FP32", np.asfortranarray(FLOATS + 1))}),
        InferenceRequest("m", {"A": Tensor("A", "FP32", np.repeat(FLOATS + 1, 2, axis=1)[:, ::2])}),
    ],
)
def test_requests_that_ask_the_same_are_the_same(same):
    """Who asks, how long he would wait and how the array lies in memory make no difference."""
    assert digest_of(request(1)) == digest_of(same)


@pytest.mark.parametrize("value", [True, 1, 1.0, "1"])
def test_parameters_of_different_types_differ(value):
    """A model can tell true from 1 and 1 from "1"."""
    others = [other for other in (True, 1, 1.0, "1") if type(other) is not type(value)]
    assert digest_of(request(parameters={"p": value})) not in [digest_of(request(parameters={"p": o})) for o in others]


@given(st.lists(st.binary(max_size=3), max_size=3), st.lists(st.binary(max_size=3), max_size=3))
def test_texts_do_not_run_into_each_other(left, right):
    """However text is cut into elements and tensors, only equal requests have equal digests."""
    both = [
        InferenceRequest("m", {"A": Tensor("A", "BYTES", texts(*a)), "B": Tensor("B", "BYTES", texts(*b))})
        for a, b in ((left, right), (right, left))
    ]
    assert (digest_of(both[0]) == digest_of(both[1])) == (left == right)


def test_the_least_recently_asked_goes_first():
    """A full cache drops the answer that nobody asked for longest."""
    cache = ResponseCache(3 * 2000)
    keys = [(1, bytes([number])) for number in range(4)]
    for key in keys[:3]:
        cache.put(key, response(FLOATS))
    assert cache.get(keys[0]) is not None
    cache.put(keys[3], response(FLOATS))
    assert [cache.get(key) is not None for key in keys] == [True, False, True, True]


def test_an_answer_that_is_too_large_is_not_kept():
    """It pushes nothing out either."""
    cache = ResponseCache(5000)
    cache.put((1, b"small"), response(FLOATS))
    cache.put((1, b"large"), response(np.zeros(2000, np.float32)))
    assert cache.get((1, b"large")) is None
    assert cache.get((1, b"small")) is not None


def test_an_answer_is_a_copy_that_nobody_writes_into():
    """Keeping one row does not keep the batch that it was cut from, and what is kept stays as it was."""
    batch = np.zeros((1000, 4), np.float32)
    cache = ResponseCache(1 << 20)
    cache.put((1, b"k"), response(batch[5:6]))
    batch[:] = 7
    kept = cache.get((1, b"k"))
    assert kept is not None
    data = kept.outputs[0].data
    assert data.base is None
    np.testing.assert_array_equal(data, np.zeros((1, 4)))
    with pytest.raises(ValueError, match="read-only"):
        data[:] = 1


@given(
    st.integers(0, 20_000),
    st.lists(st.tuples(st.integers(1, 2), st.integers(0, 9), st.integers(0, 900), st.booleans()), max_size=60),
)
def test_the_bound_holds_whatever_comes(size_bytes, puts):
    """Answers never take more than the cache may, and a version that is gone leaves nothing."""
    cache = ResponseCache(size_bytes)
    for user, key, elements, is_text in puts:
        data = texts(*[b"x" * (elements % 7)] * (elements // 50)) if is_text else np.zeros(elements, np.float32)
        cache.put((user, bytes([key])), response(data, "BYTES" if is_text else "FP32"))
        assert 0 <= cache.used_bytes <= size_bytes
        assert len(cache) * 1024 <= size_bytes
    cache.forget(1)
    cache.forget(2)
    assert (len(cache), cache.used_bytes) == (0, 0)


class House:
    """A cached scheduler with its fakes."""

    def __init__(self) -> None:
        config = ModelConfig(
            "m", max_batch_size=4, inputs=(ModelInput("A", "FP32", (4,)),), dynamic_batching=DynamicBatching((4,))
        )
        self.clock = FakeClock()
        self.group = FakeInstanceGroup(self.clock)
        self.statistics = ModelStatistics()
        self.cache = ResponseCache(1 << 20)
        inner = create_scheduler(config, self.group, self.statistics, self.clock)
        self.scheduler = CachedScheduler(inner, self.cache, config, 3, self.statistics, self.clock)

    async def come(self, **fields) -> asyncio.Task:
        task = asyncio.ensure_future(self.scheduler.infer(request(**fields)))
        for _ in range(5):
            await asyncio.sleep(0)
        return task


async def test_a_request_that_comes_again_is_not_executed_again():
    """The second answer is the first one's, with the second caller's id; the books count it as answered and not as inferred."""
    house = House()
    first = await house.come(id="a")
    house.group.finish()
    again = await (await house.come(id="b"))
    assert (again.id, again.model_version) == ("b", 3)
    np.testing.assert_array_equal(again.outputs[0].data, (await first).outputs[0].data)
    figures = house.statistics.snapshot()
    assert (figures.success.count, figures.queue.count, figures.compute_infer.count) == (2, 2, 1)
    assert (figures.inference_count, figures.execution_count) == (1, 1)
    assert (figures.cache_hit.count, figures.cache_miss.count) == (1, 1)


async def test_errors_are_not_kept():
    """A request that failed is executed when it comes again."""
    house = House()
    first = await house.come()
    house.group.refuse(0, InvalidArgumentError("not today"))
    with pytest.raises(InvalidArgumentError):
        await first
    second = await house.come()
    house.group.finish()
    await second
    assert house.group.batches == [[""], [""]]
    assert house.statistics.snapshot().cache_miss.count == 1


async def test_a_version_that_stops_takes_its_answers_along():
    """The version that is loaded next may have other files, so it starts with nothing; this one refuses from now on."""
    house = House()
    task = await house.come()
    house.group.finish()
    await task
    under_way = await house.come(number=2)
    stopping = asyncio.ensure_future(house.scheduler.stop())
    await asyncio.sleep(0)
    house.group.finish()
    await under_way
    await stopping
    assert len(house.cache) == 0
    with pytest.raises(UnavailableError, match="Server is stopping"):
        await house.scheduler.infer(request())


async def test_a_caller_that_leaves_takes_its_request_along():
    """The cache does not keep a request in the queue whose caller has left."""
    house = House()
    await house.come()
    waiting = await house.come(number=2)
    waiting.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert house.scheduler.pending_request_count == 0
