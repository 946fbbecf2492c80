"""The taxonomy that travels with the models: an id for each node of the category tree, and its names.

It is the file `taxonomy.json` beside `labels.txt` in the repository, and, where it is small enough, the parameter
`taxonomy` of the ensembles, which any client of Triton's protocol reads by ModelConfig:

    {"nodes": [{"id": "5c1f7f0e2d3a", "parent": null, "name": "Apparel", "names": {"en": "Apparel", "fa": "پوشاک"}}, ...]}

Parents come first. `name` is what the labels say, `names` what the shop calls the node in other languages, by language tag
(BCP 47). A shop writes names, or ids of its own, into the file and hands it to the next `aisle export --taxonomy`; nodes
are found by their path, so one file serves many trainings. The id of a node that the file does not have follows from its
path, so the same path has the same id in every training.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aisle_training.confidence.hierarchy import Hierarchy
from aisle_training.export.errors import ExportError

FILE_NAME: Final = "taxonomy.json"
# A taxonomy with 100,000 nodes of two languages is 20 MB.
MAX_FILE_BYTES: Final = 64 * 2**20
_ID_DIGITS: Final = 12


@dataclass(frozen=True)
class Node:
    """A node of the category tree.

    Attributes:
        id: Unlike that of any other node.
        path: The names from the root to here.
        names: Its own name in other languages, by language tag.
    """

    id: str
    path: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Taxonomy:
    """All nodes.

    Attributes:
        nodes: Parents before children.
    """

    nodes: Sequence[Node]

    def __post_init__(self) -> None:
        paths = {node.path for node in self.nodes}
        for node in self.nodes:
            if len(node.path) > 1 and node.path[:-1] not in paths:
                raise ExportError(f"the node {' > '.join(node.path)} of the taxonomy has no parent")
        seen: dict[str, tuple[str, ...]] = {}
        for node in self.nodes:
            if node.id in seen and seen[node.id] != node.path:
                both = " and ".join(" > ".join(path) for path in (seen[node.id], node.path))
                raise ExportError(f"two nodes of the taxonomy have the id {node.id!r}: {both}")
            seen[node.id] = node.path

    @classmethod
    def of(cls, classes: Iterable[tuple[str, ...]], known: Taxonomy | None = None) -> Taxonomy:
        """Make the taxonomy of a classifier.

        Args:
            classes: Category paths.
            known: Where ids and names come from, for the paths that it has.

        Returns:
            A node for each class and each of its ancestors.

        Raises:
            ExportError: An id is given twice.
        """
        named = {node.path: node for node in known.nodes} if known else {}
        return cls([named.get(path) or Node(node_id(path), path) for path in Hierarchy(list(classes)).nodes_below()])

    def to_json(self, *, indent: int | None = 1) -> str:
        """Write the taxonomy; without an indent, on one line."""
        ids = {node.path: node.id for node in self.nodes}
        nodes = [
            {"id": node.id, "parent": ids.get(node.path[:-1]), "name": node.path[-1], "names": dict(node.names)}
            for node in self.nodes
        ]
        separators = (",", ":") if indent is None else None
        return json.dumps({"nodes": nodes}, ensure_ascii=False, indent=indent, separators=separators)

    @classmethod
    def read(cls, path: Path) -> Taxonomy:
        """Read a `taxonomy.json`.

        Raises:
            ExportError: It is too large, or not what the top of this file says.
        """
        size_bytes = path.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            raise ExportError(f"{path.name} has {size_bytes} bytes, expected at most {MAX_FILE_BYTES}")
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))["nodes"]
            paths: dict[str, tuple[str, ...]] = {}
            nodes = []
            for entry in entries:
                node = _node(entry, paths)
                paths[node.id] = node.path
                nodes.append(node)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, ExportError):
                raise
            raise ExportError(
                f"{path.name} is no taxonomy: {error!r}; expected nodes with id, parent, name and names, parents first"
            ) from error
        return cls(nodes)


def node_id(path: Sequence[str]) -> str:
    """Give the id that follows from a path: 12 hexadecimal digits, the same in every training.

    Spellings that look the same in Unicode are the same path (NFC). Among 10,000 nodes two share an id once in six million
    taxonomies; then the export says so.
    """
    text = unicodedata.normalize("NFC", "\x1f".join(path))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


def _node(entry: Mapping[str, Any], paths: Mapping[str, tuple[str, ...]]) -> Node:
    parent, names = entry["parent"], entry.get("names", {})
    if not all(isinstance(value, str) and value for value in (entry["id"], entry["name"], *names, *names.values())):
        raise ValueError(f"the node {entry} holds something that is no text")
    if entry["id"] in paths:
        raise ExportError(f"two nodes of the taxonomy have the id {entry['id']!r}")
    if parent is not None and parent not in paths:
        raise ExportError(f"the parent {parent!r} of the node {entry['id']!r} does not stand before it in the taxonomy")
    return Node(entry["id"], (*(paths[parent] if parent is not None else ()), entry["name"]), dict(names))
