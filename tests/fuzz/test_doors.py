"""A short run of the fuzzer; `python -m tests.fuzz` is the long one."""

from __future__ import annotations

from tests.fuzz.campaign import fuzz, fuzzed_server


def test_nothing_that_comes_through_the_doors_is_an_internal_error() -> None:
    """Whatever comes is answered in time with a status that blames the caller, and the server lives and answers others."""
    with fuzzed_server() as server:
        figures = fuzz(server, 300, first_seed=7, round_size=150)
    assert figures.executions == {"gRPC": 150, "HTTP": 150}
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(figures.outcomes["gRPC"])
    assert {"200", "400", "404"} <= set(figures.outcomes["HTTP"])
