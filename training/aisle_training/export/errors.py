"""What keeps a run from being exported."""


class ExportError(ValueError):
    """The run cannot be exported, or what was written does not answer like the network; the text says why."""
