"""Which GPUs the process may use."""

from __future__ import annotations

import pytest

from aisle_server.instance_group import gpus, visible_gpus


@pytest.mark.parametrize(
    ("installed", "visible", "expected"),
    [
        (0, None, ()),
        (0, "0,1", ()),
        (2, None, (0, 1)),
        (4, "2,0", (0, 1)),
        (4, "3", (0,)),
        (4, "1, 2", (0, 1)),
        (4, "0,9,1", (0,)),
        (4, "-1", ()),
        (4, "", ()),
        (4, "NoDevFiles", ()),
        (4, "GPU-8932f937,MIG-1", (0, 1)),
    ],
)
def test_gpus_are_counted_as_cuda_counts_them(
    monkeypatch: pytest.MonkeyPatch, installed: int, visible: str | None, expected: tuple[int, ...]
) -> None:
    """CUDA numbers those that it is shown from 0, and stops at the first that is not there."""
    monkeypatch.setattr(gpus, "_installed_gpus", lambda: installed)
    assert visible_gpus(visible) == expected


def test_a_machine_without_a_driver_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library, no GPUs, no error."""
    monkeypatch.setattr(gpus, "_NVML", "libno-such-thing.so.1")
    assert visible_gpus(None) == ()
