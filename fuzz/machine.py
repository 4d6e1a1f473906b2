"""The header of a record: command, machine and versions."""

import datetime
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from nvc_jax.evaluation.system import system


def describe_run() -> dict[str, Any]:
    """Describe the command, without directories of the machine, and the machine itself, JSON-ready."""
    arguments = [Path(word).name if os.sep in word else word for word in sys.argv[1:]]
    return {
        "command": shlex.join(["python", "-m", f"fuzz{_module()}", *arguments]),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"processor": _processor(), **system()},
    }


def _module() -> str:
    name = Path(sys.argv[0]).stem
    return "" if name == "__main__" else f".{name}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
