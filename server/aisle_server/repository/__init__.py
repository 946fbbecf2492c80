"""Models on disk, and the models that are served."""

from aisle_server.repository.lifecycle import ModelRepository
from aisle_server.repository.loader import VersionLoader

__all__ = ["ModelRepository", "VersionLoader"]
