"""Where data comes from: importers, checks, splits."""

from aisle_training.catalogue.catalogue import Catalogue, Product
from aisle_training.catalogue.classes import select_classes
from aisle_training.catalogue.errors import CatalogueError, SplitError
from aisle_training.catalogue.splits import read_split

__all__ = ["Catalogue", "CatalogueError", "Product", "SplitError", "read_split", "select_classes"]
