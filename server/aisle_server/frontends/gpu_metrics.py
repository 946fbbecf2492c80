"""Figures of NVIDIA's GPUs as Prometheus text, where there are any.

Read through the driver's own library, which stands wherever a GPU can be used, so that the server needs no package for it. A figure
that a device does not tell is left out.

Source: Triton metrics, "GPU Metrics"; NVIDIA Management Library, API reference.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final, NamedTuple

_LIBRARY: Final = "libnvidia-ml.so.1"
_SUCCESS: Final = 0
_UUID_BYTES: Final = 96


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Gauge(NamedTuple):
    name: str
    kind: str
    help: str
    function: str
    out: type[Any]
    value: Callable[[Any], float]


_GAUGES: Final = (
    _Gauge(
        "nv_gpu_utilization",
        "gauge",
        "Share of the time that the GPU worked; 0 to 1",
        "nvmlDeviceGetUtilizationRates",
        _Utilization,
        lambda rates: rates.gpu / 100,
    ),
    _Gauge(
        "nv_gpu_memory_total_bytes",
        "gauge",
        "Memory of the GPU",
        "nvmlDeviceGetMemoryInfo",
        _Memory,
        lambda memory: memory.total,
    ),
    _Gauge(
        "nv_gpu_memory_used_bytes",
        "gauge",
        "Memory of the GPU that is taken",
        "nvmlDeviceGetMemoryInfo",
        _Memory,
        lambda memory: memory.used,
    ),
    # The library tells milliwatts and millijoules.
    _Gauge(
        "nv_gpu_power_usage",
        "gauge",
        "Watts that the GPU draws",
        "nvmlDeviceGetPowerUsage",
        ctypes.c_uint,
        lambda power: power.value / 1000,
    ),
    _Gauge(
        "nv_gpu_power_limit",
        "gauge",
        "Watts that the GPU may draw",
        "nvmlDeviceGetEnforcedPowerLimit",
        ctypes.c_uint,
        lambda power: power.value / 1000,
    ),
    _Gauge(
        "nv_energy_consumption",
        "counter",
        "Joules that the GPU has drawn since its driver was loaded",
        "nvmlDeviceGetTotalEnergyConsumption",
        ctypes.c_ulonglong,
        lambda energy: energy.value / 1000,
    ),
)


def load_library() -> Any:
    """Return the driver's library, None where there is none."""
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        return None


class GpuMetrics:
    """Reads the figures of every GPU that the process can see."""

    def __init__(self, library: Any) -> None:
        """Look for GPUs.

        Args:
            library: From `load_library`; None for no GPUs.
        """
        self._library = library
        self._devices = [] if library is None else _devices(library)

    def __bool__(self) -> bool:
        """Whether there is any GPU."""
        return bool(self._devices)

    def render(self) -> str:
        """Return the figures; empty where there is no GPU."""
        lines: list[str] = []
        for gauge in _GAUGES:
            samples = [
                f'{gauge.name}{{gpu_uuid="{uuid}"}} {value!r}'
                for uuid, device in self._devices
                if (value := self._read(gauge, device)) is not None
            ]
            if samples:
                lines += (f"# HELP {gauge.name} {gauge.help}", f"# TYPE {gauge.name} {gauge.kind}", *samples)
        return "".join(f"{line}\n" for line in lines)

    def _read(self, gauge: _Gauge, device: ctypes.c_void_p) -> float | None:
        out = gauge.out()
        if getattr(self._library, gauge.function)(device, ctypes.byref(out)) != _SUCCESS:
            return None
        return gauge.value(out)


def _devices(library: Any) -> list[tuple[str, ctypes.c_void_p]]:
    count = ctypes.c_uint()
    if library.nvmlInit_v2() != _SUCCESS or library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _SUCCESS:
        return []
    devices: list[tuple[str, ctypes.c_void_p]] = []
    for index in range(count.value):
        device, uuid = ctypes.c_void_p(), ctypes.create_string_buffer(_UUID_BYTES)
        if library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device)) != _SUCCESS:
            continue
        if library.nvmlDeviceGetUUID(device, uuid, ctypes.c_uint(_UUID_BYTES)) == _SUCCESS:
            devices.append((uuid.value.decode(), device))
    return devices
