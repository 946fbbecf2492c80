"""`aisle catalogue`: make a catalogue, look it over, and split it for training; a file for each subcommand."""

from aisle_training.commands.catalogue.group import catalogue

__all__ = ["catalogue"]
