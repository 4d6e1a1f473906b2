"""Description of the system that the package runs on."""

import importlib.metadata
import os
import platform
from typing import Any

import jax

from nvc_jax.native.library import load_kernels


def system() -> dict[str, Any]:
    """Describe versions, devices and native kernels, for reports of faults and of speed."""
    reason = load_kernels()
    return {
        **{name: importlib.metadata.version(name) for name in ("nvc_jax", "jax", "numpy")},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "devices": [device.device_kind for device in jax.devices()],
        "native_kernels": "ready" if reason is None else f"none: {reason}",
    }
