"""The machine's own figures as Prometheus text: processors and memory, as Linux counts them.

Read from /proc and not through `psutil`: two small files say it all, and the server needs no library more. Where there is no /proc,
there are no such metrics.

Source: Triton metrics, "CPU Metrics"; proc(5).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HELP: Final = {
    "nv_cpu_utilization": "Share of the time that the processors worked, since the metrics were last asked for; 0 to 1",
    "nv_cpu_memory_total_bytes": "Memory of the machine",
    "nv_cpu_memory_used_bytes": "Memory that could not be given to anybody else",
}


class HostMetrics:
    """Reads the figures of this machine; remembers what it read, because utilization is a difference."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        """Read where the counters stand now.

        Args:
            proc: The folder that Linux calls /proc.
        """
        self._proc = proc
        self._last = self._times()

    def render(self) -> str:
        """Return the figures; empty where the machine does not tell them."""
        values: dict[str, float] = {}
        times = self._times()
        if times is not None:
            values["nv_cpu_utilization"] = _utilization(self._last or (0, 0), times)
            self._last = times
        memory = self._memory()
        if memory is not None:
            total, available = memory
            values["nv_cpu_memory_total_bytes"] = total
            values["nv_cpu_memory_used_bytes"] = total - available
        return "".join(
            f"# HELP {name} {_HELP[name]}\n# TYPE {name} gauge\n{name} {value!r}\n" for name, value in values.items()
        )

    def _times(self) -> tuple[int, int] | None:
        """Return how long the processors have been idle, and how long they have been there, in ticks."""
        try:
            line = (self._proc / "stat").read_text().partition("\n")[0].split()
            # user nice system idle iowait irq softirq steal; guests are counted in user already.
            ticks = [int(each) for each in line[1:9]]
            return ticks[3] + ticks[4], sum(ticks)
        except (OSError, ValueError, IndexError):
            return None

    def _memory(self) -> tuple[int, int] | None:
        """Return the bytes that there are, and those that could still be given away."""
        try:
            lines = (line.split() for line in (self._proc / "meminfo").read_text().splitlines())
            kilobytes = {line[0]: int(line[1]) for line in lines if len(line) > 1}
            return kilobytes["MemTotal:"] * 1024, kilobytes["MemAvailable:"] * 1024
        except (OSError, ValueError, KeyError):
            return None


def _utilization(before: tuple[int, int], after: tuple[int, int]) -> float:
    idle, passed = after[0] - before[0], after[1] - before[1]
    # Two readings within one tick, or a count of idle time that went back, as iowait may.
    return 0.0 if passed <= 0 else min(1.0, max(0.0, 1 - idle / passed))
