"""Mutated and random requests at both doors of a running server; `python -m tests.fuzz` runs them for as long as one likes."""
