"""Which models an ensemble needs, and which ensembles need a model. Pure.

Source: Triton, dependency graph of the model repository.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from aisle_server.model_config.schema import ModelConfig


def composing_models(config: ModelConfig) -> tuple[str, ...]:
    """Return the models that the steps of an ensemble name, each once, in the order of the file; none for other models."""
    scheduling = config.ensemble_scheduling
    return tuple(dict.fromkeys(step.model_name for step in scheduling.steps)) if scheduling else ()


def closure(names: Iterable[str], edges: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return all that can be reached.

    Args:
        names: Where to begin; part of the result.
        edges: Model -> models that it needs, or models that need it.

    Returns:
        Each name once, those to begin with first.
    """
    reached = dict.fromkeys(names)
    waiting = list(reached)
    while waiting:
        for name in edges.get(waiting.pop(), ()):
            if name not in reached:
                reached[name] = None
                waiting.append(name)
    return tuple(reached)


def dependents(needs: Mapping[str, Collection[str]]) -> Mapping[str, tuple[str, ...]]:
    """Turn the graph round.

    Args:
        needs: Model -> models that it needs.

    Returns:
        Model -> models that need it.
    """
    turned: dict[str, tuple[str, ...]] = {}
    for name, needed in needs.items():
        for each in needed:
            turned[each] = (*turned.get(each, ()), name)
    return turned


def load_levels(needs: Mapping[str, Collection[str]]) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Put models on levels: each needs only models on levels before its own.

    Args:
        needs: Model -> models that it needs; names that are no keys are somebody else's worry.

    Returns:
        The levels, and the models that have no place because they need each other, or one that does.
    """
    levels: list[tuple[str, ...]] = []
    placed: set[str] = set()
    waiting = dict.fromkeys(needs)
    while level := tuple(name for name in waiting if all(each in placed or each not in needs for each in needs[name])):
        levels.append(level)
        placed.update(level)
        for name in level:
            del waiting[name]
    return tuple(levels), tuple(waiting)


def find_cycle(names: Collection[str], needs: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return one circle among models that have no place on the load levels.

    Args:
        names: One or more, those without a place from `load_levels`.
        needs: As given to `load_levels`.

    Returns:
        Each needs the next, the last needs the first.
    """
    path = [min(names)]
    while True:
        following = next(name for name in needs[path[-1]] if name in names)
        if following in path:
            return tuple(path[path.index(following) :])
        path.append(following)
