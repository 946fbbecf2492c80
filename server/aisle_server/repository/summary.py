"""What the log says of models: a line that tells what a model's scheduler will do, and a table of all of them.

"Why does it not batch" is the question that users of model servers ask most; the answer stands in the log of the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aisle_server.model_config.schema import DynamicBatching, InstanceKind, ModelConfig, QueuePolicy, TimeoutAction
from aisle_server.model_config.sequence import OldestStrategy, SequenceBatching
from aisle_server.repository.dependencies import composing_models
from aisle_server.repository.states import ModelIndex


def scheduling_text(config: ModelConfig) -> str:
    """Say in words how a model's requests are scheduled.

    Args:
        config: Complete and validated.
    """
    if config.is_ensemble:
        return f"an ensemble of {', '.join(composing_models(config))}; a step runs as soon as its tensors exist"
    if config.sequence_batching is not None:
        return _sequences_text(config.sequence_batching, config)
    batching = config.dynamic_batching
    if batching is None:
        return f"executes each request by itself on {_instances_text(config)}"
    sentences = [
        f"combines requests into batches of up to {max(1, config.max_batch_size)} rows on {_instances_text(config)}"
    ]
    preferred = [size for size in batching.preferred_batch_size if size != config.max_batch_size]
    if preferred:
        sentences.append(f"stops at {_listed(batching.preferred_batch_size)} rows where it can")
    if batching.max_queue_delay_microseconds:
        sentences.append(f"a request waits up to {batching.max_queue_delay_microseconds} us for company")
    else:
        sentences.append("no request waits for company: a batch is what is queued when an instance is free")
    sentences += _queue_texts(batching)
    if batching.preserve_ordering:
        sentences.append("answers in the order of arrival")
    return "; ".join(sentences)


def table(index: Iterable[ModelIndex]) -> str:
    """Return the repository index as a table for the log."""
    rows: list[Sequence[str]] = [("Model", "Version", "State", "Reason")]
    for line in index:
        version = "-" if line.version is None else str(line.version)
        rows.append((line.name, version, line.state or "-", " ".join(line.reason.split())))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])).rstrip()
        for row in rows
    )


def _sequences_text(batching: SequenceBatching, config: ModelConfig) -> str:
    rows = max(1, config.max_batch_size)
    if isinstance(batching.strategy, OldestStrategy):
        count = batching.strategy.max_candidate_sequences or rows
        where = f"{count} sequences at a time on each of {_instances_text(config)}, up to {rows} executed together, oldest first"
    else:
        where = f"{rows} sequences at a time on each of {_instances_text(config)}, a row of its batches for each"
    patience = f"one is over when it has asked nothing for {batching.max_sequence_idle_microseconds} us"
    return f"keeps each sequence of requests on one instance; {where}; {patience}"


def _instances_text(config: ModelConfig) -> str:
    count = 0
    for group in config.instance_groups:
        if not group.passive:
            count += group.count * (len(group.gpus) if group.kind is InstanceKind.KIND_GPU else 1)
    return "1 instance" if count == 1 else f"{count} instances"


def _queue_texts(batching: DynamicBatching) -> list[str]:
    if not batching.priority_levels:
        return _policy_texts(batching.default_queue_policy, "")
    texts = [
        f"{batching.priority_levels} priority levels, {batching.default_priority_level} unless a request says otherwise"
    ]
    for level in range(1, min(batching.priority_levels, 8) + 1):
        texts += _policy_texts(batching.policy_of(level), f" at level {level}")
    return texts


def _policy_texts(policy: QueuePolicy, where: str) -> list[str]:
    texts = []
    if policy.max_queue_size:
        texts.append(f"at most {policy.max_queue_size} requests wait{where}")
    if policy.default_timeout_microseconds:
        fate = "rejected" if policy.timeout_action is TimeoutAction.REJECT else "put behind the others"
        texts.append(f"after {policy.default_timeout_microseconds} us in the queue{where} a request is {fate}")
    return texts


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
