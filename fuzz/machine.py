"""The header of a record: command, machine and versions."""

import datetime
import platform
import shlex
import sys
from typing import Any

from nvc_jax.evaluation.system import system


def describe_run() -> dict[str, Any]:
    """Describe the command and the machine, JSON-ready."""
    return {
        "command": shlex.join(["python", "-m", f"fuzz{_module()}", *sys.argv[1:]]),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"processor": _processor(), **system()},
    }


def _module() -> str:
    name = sys.argv[0].rsplit("/", 1)[-1].removesuffix(".py")
    return "" if name == "__main__" else f".{name}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
