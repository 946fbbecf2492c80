"""What can go wrong with a catalogue.

CatalogueError            the catalogue, or what it is imported from, cannot be used
└── SplitError            the split file is damaged, or belongs to another catalogue

One bad row or picture is no error: it is left out and told of in the import report.
"""


class CatalogueError(Exception):
    """A catalogue, or what it is imported from, cannot be used; the text says what came and what was expected."""


class SplitError(CatalogueError):
    """A split file is damaged, or was made for another catalogue."""
