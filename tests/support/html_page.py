"""A page as a tree, by the standard library's parser: what a browser would read, not what the text happens to hold."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

_VOID = {"meta", "img", "link", "br", "hr", "input"}


class Element:
    """An element: its name, attributes, and children, of which texts are plain strings."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element | str] = []

    @property
    def text(self) -> str:
        """All text inside, white space folded."""
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return " ".join(" ".join(parts).split())

    def all(self, name: str, **attributes: str) -> list[Element]:
        """Elements below this one, in their order; `class_` is one of the classes."""
        return list(self._below(name, attributes))

    def one(self, name: str, **attributes: str) -> Element:
        """The only element below this one."""
        (found,) = self.all(name, **attributes)
        return found

    def rows(self) -> list[list[str]]:
        """The texts of a table, row by row, its heading first."""
        return [[cell.text for cell in row.children if isinstance(cell, Element)] for row in self.all("tr")]

    def _below(self, name: str, attributes: dict[str, str]) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, Element):
                if child.name == name and all(child._has(key, value) for key, value in attributes.items()):
                    yield child
                yield from child._below(name, attributes)

    def _has(self, key: str, value: str) -> bool:
        if key == "class_":
            return value in self.attributes.get("class", "").split()
        return self.attributes.get(key) == value


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].name == tag, f"</{tag}> closes <{self._open[-1].name}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def read_html(page: str) -> Element:
    """Read a page; an element that is closed by another's end tag, or never, is an error."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader._open == [reader.root], f"<{reader._open[-1].name}> is never closed"
    return reader.root
