"""NVIDIA's management library, with one GPU that tells all and one that tells little."""

from __future__ import annotations

from typing import Any

_NOT_SUPPORTED = 3


class FakeNvml:
    """Writes through the pointers that it is given, as the library does."""

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, device: Any) -> int:
        device._obj.value = 100 + index.value
        return 0

    def nvmlDeviceGetUUID(self, device: Any, uuid: Any, length: Any) -> int:
        uuid.value = f"GPU-{device.value}".encode()
        return 0

    def nvmlDeviceGetUtilizationRates(self, device: Any, rates: Any) -> int:
        rates._obj.gpu = 75
        return 0

    def nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> int:
        memory._obj.total, memory._obj.used = 2**40, 2**39
        return 0

    def nvmlDeviceGetPowerUsage(self, device: Any, power: Any) -> int:
        power._obj.value = 71_500
        return 0 if device.value == 100 else _NOT_SUPPORTED

    def nvmlDeviceGetEnforcedPowerLimit(self, device: Any, power: Any) -> int:
        return _NOT_SUPPORTED

    def nvmlDeviceGetTotalEnergyConsumption(self, device: Any, energy: Any) -> int:
        energy._obj.value = 2**50
        return 0
