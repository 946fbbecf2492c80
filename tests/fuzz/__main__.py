"""Fuzz a server: `python -m tests.fuzz --executions 100000 --seed 1`, from the root of the repository.

Ends with 1 at the first finding, with the smallest exchange that shows it and the seed of its round, or when memory has grown.
"""

from __future__ import annotations

import sys

import click

from tests.fuzz.campaign import Figures, fuzz, fuzzed_server


@click.command()
@click.option("--executions", default=10_000, show_default=True, help="Exchanges, through both doors together.")
@click.option("--seed", default=0, show_default=True, help="Of the first round of 500 exchanges; the next count on.")
@click.option("--answer-within-s", default=10.0, show_default=True, help="A slower answer is a finding.")
@click.option("--growth-mb", default=64.0, show_default=True, help="Memory that the server may take after a third.")
def main(executions: int, seed: int, answer_within_s: float, growth_mb: float) -> None:
    """Send mutated and random requests through the gRPC and the HTTP door of a server, and count the answers by status."""
    with fuzzed_server() as server:
        figures = fuzz(server, executions, seed, answer_within_s=answer_within_s, after_round=_progress)
    click.echo(report(figures))
    if figures.growth_mb > growth_mb:
        sys.exit(f"memory has grown by {figures.growth_mb:.0f} MB; expected {growth_mb:.0f} MB at most")


def report(figures: Figures) -> str:
    """Return the figures as text: a line for each door and outcome."""
    lines = []
    for door, outcomes in figures.outcomes.items():
        lines.append(f"{door}: {figures.executions[door]} executions, slowest {figures.slowest_ms[door]} ms")
        lines += [f"    {count:8d}  {outcome}" for outcome, count in outcomes.most_common()]
    lines.append(f"server: {figures.resident_mb[0]} MB at first, {figures.resident_mb[-1]} MB at last")
    return "\n".join(lines)


def _progress(figures: Figures) -> None:
    click.echo(f"{figures.executions.total()} executions, {figures.resident_mb[-1]} MB", err=True)


if __name__ == "__main__":
    main()
