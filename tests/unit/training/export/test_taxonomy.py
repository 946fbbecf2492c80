"""Ids that stay, names that the shop gives."""

import json

import pytest

from aisle_training.export.errors import ExportError
from aisle_training.export.taxonomy import Node, Taxonomy, node_id

CLASSES = [("Home", "Clocks"), ("Home", "Lamps"), ("کتاب", "شعر")]


def test_ids_follow_from_paths():
    """The same path has the same id in every taxonomy, whatever else there is; another path has another."""
    first = {node.path: node.id for node in Taxonomy.of(CLASSES).nodes}
    second = {node.path: node.id for node in Taxonomy.of([("Garden",), *reversed(CLASSES)]).nodes}
    assert list(first) == [("Home",), ("Home", "Clocks"), ("Home", "Lamps"), ("کتاب",), ("کتاب", "شعر")]
    assert all(second[path] == first[path] for path in first)
    assert len(set(first.values())) == 5
    assert first["Home",] == "3a78695388b3" == node_id(["Home"])
    assert node_id(["e\u0301"]) == node_id(["\u00e9"])


def test_names_and_ids_are_kept(tmp_path):
    """What a shop wrote into the file is kept for the paths that are still there; new ones come beside them."""
    edited = json.loads(Taxonomy.of(CLASSES).to_json())
    edited["nodes"][0] |= {"id": "shop-7", "names": {"fa": "خانه"}}
    for node in edited["nodes"][1:3]:
        node["parent"] = "shop-7"
    (tmp_path / "taxonomy.json").write_text(json.dumps(edited), encoding="utf-8")
    again = Taxonomy.of([*CLASSES[:1], ("Home", "Chairs")], Taxonomy.read(tmp_path / "taxonomy.json"))
    assert again.nodes == [
        Node("shop-7", ("Home",), {"fa": "خانه"}),
        Node(node_id(["Home", "Clocks"]), ("Home", "Clocks")),
        Node(node_id(["Home", "Chairs"]), ("Home", "Chairs")),
    ]
    assert [node["parent"] for node in json.loads(again.to_json())["nodes"]] == [None, "shop-7", "shop-7"]


def test_what_is_written_is_read(tmp_path):
    """A taxonomy that was written reads as it was."""
    taxonomy = Taxonomy.of(CLASSES)
    (tmp_path / "taxonomy.json").write_text(taxonomy.to_json(indent=None), encoding="utf-8")
    assert Taxonomy.read(tmp_path / "taxonomy.json") == taxonomy


def _node(**changes):
    return {"id": "a", "parent": None, "name": "A", "names": {}} | changes


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "no taxonomy"),
        ("[]", "no taxonomy"),
        (json.dumps({"nodes": [{"id": "a"}]}), "no taxonomy"),
        (json.dumps({"nodes": [_node(id=7)]}), "no text"),
        (json.dumps({"nodes": [_node(names={"fa": None})]}), "no text"),
        (json.dumps({"nodes": [_node(), _node()]}), "two nodes of the taxonomy have the id 'a'"),
        (json.dumps({"nodes": [_node(parent="b")]}), "'b' of the node 'a' does not stand before it"),
        ("[" * 100_000, "no taxonomy"),
    ],
)
def test_what_is_no_taxonomy(tmp_path, content, text):
    """A file that is no taxonomy is refused with what is wrong."""
    (tmp_path / "taxonomy.json").write_text(content, encoding="utf-8")
    with pytest.raises(ExportError, match=text):
        Taxonomy.read(tmp_path / "taxonomy.json")


def test_an_id_that_is_taken():
    """An id of the shop's own that another path has already is refused."""
    known = Taxonomy([Node(node_id(["Home", "Lamps"]), ("Home",))])
    with pytest.raises(ExportError, match="two nodes"):
        Taxonomy.of(CLASSES, known)
