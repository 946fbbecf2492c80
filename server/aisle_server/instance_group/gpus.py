"""Which GPUs the process may use, told by NVIDIA's driver; no runtime is imported for that, and no GPU is touched.

Source: NVML (`nvmlInit_v2`, `nvmlDeviceGetCount_v2`); CUDA, environment variable CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import ctypes
from typing import Final

_NVML: Final = "libnvidia-ml.so.1"
_SUCCESS: Final = 0


def visible_gpus(cuda_visible_devices: str | None) -> tuple[int, ...]:
    """Return the ids of the GPUs as CUDA counts them: 0 for the first that the process may use.

    Args:
        cuda_visible_devices: Value of CUDA_VISIBLE_DEVICES; None when it is not set.

    Returns:
        Ascending; empty where there is no GPU or no driver.
    """
    count = _installed_gpus()
    if cuda_visible_devices is None:
        return tuple(range(count))
    # CUDA takes the list up to the first entry that names no GPU; indices are those of the driver, all else is a UUID.
    visible = 0
    for entry in cuda_visible_devices.split(","):
        name = entry.strip()
        if not (name.startswith(("GPU-", "MIG-")) or (name.isdecimal() and int(name) < count)):
            break
        visible += 1
    return tuple(range(min(visible, count)))


def _installed_gpus() -> int:
    try:
        nvml = ctypes.CDLL(_NVML)
        if nvml.nvmlInit_v2() != _SUCCESS:
            return 0
        try:
            count = ctypes.c_uint(0)
            return count.value if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == _SUCCESS else 0
        finally:
            nvml.nvmlShutdown()
    except (OSError, AttributeError):  # no driver, or one from before all this
        return 0
