"""The group of subcommands."""

from __future__ import annotations

import click

from aisle_training.commands.catalogue.import_ import import_
from aisle_training.commands.catalogue.split import split


@click.group()
def catalogue() -> None:
    """Import a shop's products, and split them for training."""


catalogue.add_command(import_)
catalogue.add_command(split)
