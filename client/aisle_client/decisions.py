"""What becomes of a product: answered automatically, looked at by somebody, or left open. Pure.

A repository that `aisle export` wrote says in its ensembles' parameters which confidence an answer has to reach, at each
level of the category tree, so that a wanted fraction of the answers is right:

    decisions   {"levels": 3, "inputs": {"image+title": {"0.95": {"levels": [0.5, 0.5, 0.61], "familiarity": 0.04,
                                                                  "strange": 0.001}, "0.98": {...}}, "image": {...}}}
    taxonomy    {"nodes": [{"id": "c3f0a9d17b2e", "parent": null, "name": "Apparel", "names": {"fa": "پوشاک"}}, ...]}

`levels` are confidences from the first names of the paths to the leaf, null where none is enough; `familiarity` is held
against the output `FAMILIARITY`, the fraction of known products that look stranger than this one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from aisle_client.categories import Category
from aisle_client.errors import InvalidInputError, ProtocolError

Action: TypeAlias = Literal["auto", "review", "abstain"]
FAMILIARITY: Final = "FAMILIARITY"
# More likely right than wrong: the least that is proposed. Two nodes of a level cannot both have it.
_LEAST_CONFIDENCE: Final = 0.5
# The largest config.pbtxt that the server reads.
_MAX_PARAMETER_CHARACTERS: Final = 2**20


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a product.

    Attributes:
        action: `auto` when the leaf is sure enough and the product is familiar; `review` when somebody should look;
            `abstain` when nothing useful is known.
        path: What is answered, or proposed to whoever reviews: a leaf, or the ancestor that is sure enough. Empty for
            `abstain`.
        confidence: The probability of that path, 0 for `abstain`.
        precision: The wanted fraction of right answers.
        familiarity: The fraction of known products that look stranger; None where the model does not say.
        node_id: The path's id in the shop's taxonomy, which stays the same when models are trained anew; empty where the
            repository has none.
        translations: The path in each language that the taxonomy has names in, by language tag.
    """

    action: Action
    path: tuple[str, ...]
    confidence: float
    precision: float
    familiarity: float | None = None
    node_id: str = ""
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as plain values that JSON can hold."""
        return {
            "action": self.action,
            "path": list(self.path),
            "confidence": round(self.confidence, 6),
            "precision": self.precision,
            "familiarity": None if self.familiarity is None else round(self.familiarity, 6),
            "node_id": self.node_id,
            "translations": {language: list(path) for language, path in self.translations.items()},
        }


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What an answer has to reach, see the top of this file."""

    levels: tuple[float | None, ...]
    familiarity: float | None
    strange: float | None


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the taxonomy: its id, and its own name in other languages."""

    id: str
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DecisionPolicy:
    """The rules of one model.

    Attributes:
        inputs: Thresholds for each set of inputs and each wanted precision.
        nodes: The taxonomy by path; empty where there is none.
        measures_familiarity: Whether the model has the output `FAMILIARITY`.
    """

    inputs: Mapping[frozenset[str], Mapping[float, Thresholds]]
    nodes: Mapping[tuple[str, ...], Node]
    measures_familiarity: bool

    @property
    def precisions(self) -> list[float]:
        """The precisions that may be asked for, lowest first."""
        return sorted({precision for by_precision in self.inputs.values() for precision in by_precision})

    def check(self, precision: float) -> None:
        """Refuse a precision that there are no thresholds for.

        Raises:
            InvalidInputError: With the precisions that there are.
        """
        if precision not in self.precisions:
            offered = ", ".join(f"{each:g}" for each in self.precisions)
            raise InvalidInputError(f"precision is {precision:g}; the model has thresholds for {offered}")

    def decide(
        self, categories: Sequence[Category], familiarity: float | None, used: Sequence[str], precision: float | None
    ) -> Decision | None:
        """Decide about a product.

        Args:
            categories: The most likely ones, best first. What those that are left out have is counted for no ancestor, so
                no ancestor seems surer than it is.
            familiarity: What the model says of it; None when it says nothing.
            used: The inputs that were sent.
            precision: The wanted one; None for the lowest.

        Returns:
            The decision; None when there are no thresholds for these inputs.
        """
        by_precision = self.inputs.get(frozenset(used), {})
        precision = self.precisions[0] if precision is None else precision
        thresholds = by_precision.get(precision)
        if thresholds is None:
            return None
        depth = len(thresholds.levels)
        # The last level is that of whole paths, also of a category that was added deeper than those that were learnt.
        best = [_most_likely(categories, level) for level in (*range(1, depth), None)]
        is_sure = [
            threshold is not None and confidence >= threshold
            for (_, confidence), threshold in zip(best, thresholds.levels, strict=True)
        ]
        is_familiar = familiarity is None or thresholds.familiarity is None or familiarity >= thresholds.familiarity
        is_strange = familiarity is not None and thresholds.strange is not None and familiarity < thresholds.strange
        proposals = [best[level] for level in range(depth - 1) if is_sure[level]]
        action: Action = "review"
        path: tuple[str, ...]
        if is_strange:
            action, path, confidence = "abstain", (), 0.0
        elif is_sure[-1] and is_familiar:
            action, (path, confidence) = "auto", best[-1]
        elif proposals:
            path, confidence = proposals[-1]
        elif best[0][1] >= _LEAST_CONFIDENCE:
            path, confidence = best[0]
        else:
            action, path, confidence = "abstain", (), 0.0
        node = self.nodes.get(path)
        node_id = node.id if node else ""
        return Decision(action, path, confidence, precision, familiarity, node_id, self._translate(path))

    def _translate(self, path: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """Write a path in each language that one of its nodes has a name in; others keep the name that they have."""
        nodes = [self.nodes.get(path[:length]) for length in range(1, len(path) + 1)]
        languages = {language: None for node in nodes if node for language in node.names}
        return {
            language: tuple(
                node.names.get(language, name) if node else name for node, name in zip(nodes, path, strict=True)
            )
            for language in languages
        }


def read_policy(config: Mapping[str, Any]) -> DecisionPolicy | None:
    """Read the rules that a model's configuration holds.

    Args:
        config: As `InferenceClient.model_config` gives it.

    Returns:
        The rules; None when the configuration has none.

    Raises:
        ProtocolError: They are not what the top of this file says.
    """
    parameters = config.get("parameters", {})
    text = parameters.get("decisions", {}).get("string_value", "")
    if not text:
        return None
    try:
        inputs = {
            frozenset(mask.split("+")): {
                float(precision): _thresholds(entry) for precision, entry in by_precision.items()
            }
            for mask, by_precision in _parsed(text)["inputs"].items()
        }
        if not any(inputs.values()):
            return None
        taxonomy = parameters.get("taxonomy", {}).get("string_value", "")
        nodes = _nodes(_parsed(taxonomy)["nodes"]) if taxonomy else {}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"the decision rules of model {config.get('name')!r} cannot be read: {error!r}") from None
    outputs = {output.get("name") for output in config.get("output", ())}
    return DecisionPolicy(inputs, nodes, FAMILIARITY in outputs)


def _parsed(text: str) -> Any:
    if len(text) > _MAX_PARAMETER_CHARACTERS:
        raise ValueError(f"{len(text)} characters, expected at most {_MAX_PARAMETER_CHARACTERS}")
    return json.loads(text)


def _thresholds(entry: Mapping[str, Any]) -> Thresholds:
    levels = tuple(None if level is None else float(level) for level in entry["levels"])
    if not levels or not all(level is None or _LEAST_CONFIDENCE <= level <= 1.0 for level in levels):
        raise ValueError(f"levels are {levels}, expected confidences from 0.5 to 1")
    familiarity, strange = (None if entry.get(key) is None else float(entry[key]) for key in ("familiarity", "strange"))
    return Thresholds(levels, familiarity, strange)


def _nodes(entries: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], Node]:
    paths: dict[str, tuple[str, ...]] = {}
    nodes = {}
    for entry in entries:  # parents come first
        path = (*(paths[entry["parent"]] if entry["parent"] is not None else ()), str(entry["name"]))
        paths[entry["id"]] = path
        names = {str(language): str(name) for language, name in entry.get("names", {}).items()}
        nodes[path] = Node(str(entry["id"]), names)
    return nodes


def _most_likely(categories: Sequence[Category], level: int | None) -> tuple[tuple[str, ...], float]:
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for category in categories:
        sums[category.path[:level]] += category.confidence
    path = max(sums, key=sums.__getitem__)
    return path, min(sums[path], 1.0)
