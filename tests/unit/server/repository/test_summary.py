"""What the log says of models."""

from __future__ import annotations

import pytest

from aisle_server.model_config.autocomplete import complete_from_files
from aisle_server.model_config.pbtxt import parse_config
from aisle_server.repository.states import ModelIndex, ModelState
from aisle_server.repository.summary import scheduling_text, table
from tests.support.model_directories import chain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('backend: "identity" max_batch_size: 8', "executes each request by itself on 1 instance"),
        (
            'backend: "onnxruntime" max_batch_size: 64 dynamic_batching { }',
            "combines requests into batches of up to 64 rows on 2 instances;"
            " no request waits for company: a batch is what is queued when an instance is free",
        ),
        (
            'backend: "identity" max_batch_size: 8 dynamic_batching { preferred_batch_size: [4, 8]'
            " max_queue_delay_microseconds: 500 preserve_ordering: true"
            " default_queue_policy { max_queue_size: 100 default_timeout_microseconds: 2000 } }",
            "combines requests into batches of up to 8 rows on 1 instance; stops at 4, 8 rows where it can;"
            " a request waits up to 500 us for company; at most 100 requests wait;"
            " after 2000 us in the queue a request is rejected; answers in the order of arrival",
        ),
        (
            'backend: "identity" max_batch_size: 8 instance_group { count: 3 } dynamic_batching { priority_levels: 2'
            " default_priority_level: 2 priority_queue_policy { key: 1 value"
            " { timeout_action: DELAY default_timeout_microseconds: 7 } } }",
            "combines requests into batches of up to 8 rows on 3 instances;"
            " no request waits for company: a batch is what is queued when an instance is free;"
            " 2 priority levels, 2 unless a request says otherwise;"
            " after 7 us in the queue at level 1 a request is put behind the others",
        ),
        (chain("a", "b", "a"), "an ensemble of a, b; a step runs as soon as its tensors exist"),
    ],
)
def test_a_line_says_what_the_scheduler_will_do(text: str, words: str) -> None:
    """Whoever wonders why a model does not batch finds the answer in the log."""
    assert scheduling_text(complete_from_files(parse_config(text), "m", {})) == words


def test_instances_on_gpus_are_counted_per_gpu() -> None:
    """A group of two on three GPUs is six instances; a passive group is none."""
    text = (
        'backend: "identity" instance_group [ { kind: KIND_GPU count: 2 }, { kind: KIND_CPU count: 5 passive: true } ]'
    )
    config = complete_from_files(parse_config(text), "m", {}, available_gpus=(0, 1, 2))
    assert scheduling_text(config) == "executes each request by itself on 6 instances"


def test_the_table_has_a_line_for_each_version() -> None:
    """Columns are aligned, and a reason of several lines stays on one."""
    lines = [
        ModelIndex("image_classifier", 12, ModelState.READY),
        ModelIndex("m", None, ModelState.UNKNOWN),
        ModelIndex("n", 1, ModelState.UNAVAILABLE, "Internal: a\nb"),
    ]
    assert table(lines).splitlines() == [
        "Model             Version  State        Reason",
        "image_classifier  12       READY",
        "m                 -        -",
        "n                 1        UNAVAILABLE  Internal: a b",
    ]
