"""Parts that the benchmarks share: the index of the volumes, the description of the machine, JSON results."""

import csv
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nvc_jax.io.volumes import read_volume

RESULTS = Path(__file__).parent / "results"
VARIANTS = ("zero-margin", "two-wide-margin", "more-parameters")


def volumes(directory: Path, split: str) -> dict[str, dict[str, str]]:
    """Rows of ``INDEX.csv`` (file, split, licence, …) of one split, by the volumes' names."""
    with (directory / "INDEX.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    if not rows:
        raise ValueError(f"`{directory}` has no volumes of split {split!r}")
    return {Path(row["file"]).stem: row for row in rows}


def unit_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A volume scaled to float32 [0, 1] by its finite range, and where it is finite (0 elsewhere)."""
    values = read_volume(path).astype(np.float32)
    finite = np.isfinite(values)
    low, high = values[finite].min(), values[finite].max()
    return np.where(finite, (values - low) / (high - low), 0).astype(np.float32), finite


def machine() -> dict[str, Any]:
    """Processor, devices and versions, for a result's header."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    packages = ("nvc_jax", "jax", "jaxlib", "flax", "numpy", "tensorstore")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "devices": [device.device_kind for device in jax.devices()],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def write_results(name: str, results: dict[str, Any]) -> Path:
    """Write ``results/<name>.json`` with the machine and the command that produced it."""
    command = " ".join(
        ["python", f"benchmarks/{Path(sys.argv[0]).name}", *_without_directories(sys.argv[1:])]
    )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"command": command, "machine": machine(), **results}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


def _without_directories(arguments: list[str]) -> list[str]:
    """Replace paths in arguments by their last name: results do not state the directories of a machine."""
    return [Path(word).name if os.sep in word else word for word in arguments]


def geometric_mean(values: Iterable[float]) -> float:
    """Geometric mean of positive numbers; NaN if one of them is."""
    return float(np.exp(np.mean(np.log(list(values)))))


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])
