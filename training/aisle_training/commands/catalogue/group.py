"""The group of subcommands."""

from __future__ import annotations

import click

from aisle_training.commands.catalogue.check import check
from aisle_training.commands.catalogue.crawl import crawl
from aisle_training.commands.catalogue.import_ import import_
from aisle_training.commands.catalogue.split import split


@click.group()
def catalogue() -> None:
    """Import or crawl a shop's products, look them over, and split them for training."""


catalogue.add_command(check)
catalogue.add_command(crawl)
catalogue.add_command(import_)
catalogue.add_command(split)
