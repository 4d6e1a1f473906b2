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

import nvc_jax
from nvc_jax.io.volumes import read_volume

RESULTS = Path(__file__).parent / "results"
VARIANTS = ("zero-margin", "two-wide-margin", "more-parameters")
FILL_VALUES = (-1e10, -9999.0)
"""Values that stand for no measurement in the volumes of the index."""


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


def natural_volume(path: Path) -> np.ndarray:
    """A volume in its own dtype, 0 where nothing was measured: other codecs know no missing values."""
    values = read_volume(path)
    return np.where(np.isfinite(values) & ~np.isin(values, FILL_VALUES), values, 0).astype(values.dtype)


def middle(volume: np.ndarray, side: int) -> np.ndarray:
    """The middle of a volume, at most ``side`` voxels along each axis."""
    starts = [max(0, (length - side) // 2) for length in volume.shape]
    return np.ascontiguousarray(volume[tuple(slice(start, start + side) for start in starts)])


def summarize_by_kind(
    rows: dict[str, dict[str, str]], ratios: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Geometric means of ratios by kind of volume and codec, then over the kinds, and the smallest ratio.

    Args:
        rows: of the index, by volume; a volume may be of several kinds, ``a;b``.
        ratios: by volume and codec; NaN where a codec does not apply.
    """
    codecs = list(next(iter(ratios.values())))
    kinds = sorted({kind for row in rows.values() for kind in row["kind"].split(";")})

    def mean(values: Iterable[float]) -> float:
        known = [value for value in values if value == value]
        return geometric_mean(known) if known else float("nan")

    means = {
        kind: {
            codec: mean(ratios[name][codec] for name, row in rows.items() if kind in row["kind"].split(";"))
            for codec in codecs
        }
        for kind in kinds
    }
    over_kinds = {codec: mean(of_codec[codec] for of_codec in means.values()) for codec in codecs}
    smallest = {codec: float(np.nanmin([of[codec] for of in ratios.values()])) for codec in codecs}
    return {**means, "mean over kinds": over_kinds, "smallest": smallest}


def machine() -> dict[str, Any]:
    """Processor, devices and versions, for a result's header."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    packages = ("jax", "jaxlib", "flax", "numpy", "tensorstore")
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "devices": [device.device_kind for device in jax.devices()],
        "python": platform.python_version(),
        "versions": {
            "nvc_jax": nvc_jax.__version__,
            **{name: importlib.metadata.version(name) for name in packages},
        },
    }


def write_results(name: str, results: dict[str, Any], directory: Path = RESULTS) -> Path:
    """Write ``<name>.json`` with the machine and the command that produced it."""
    command = " ".join(
        ["python", f"benchmarks/{Path(sys.argv[0]).name}", *_without_directories(sys.argv[1:])]
    )
    directory.mkdir(exist_ok=True)
    path = directory / f"{name}.json"
    content = {"command": command, "machine": machine(), **results}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path


def _without_directories(arguments: list[str]) -> list[str]:
    """Replace paths in arguments by their last name: results do not state the directories of a machine."""
    return [Path(word).name if os.sep in word else word for word in arguments]


def free_programs() -> None:
    """Free the compiled programs of a volume's shape: Linux allows a process only so many memory maps."""
    jax.clear_caches()


def geometric_mean(values: Iterable[float]) -> float:
    """Geometric mean of positive numbers; NaN if one of them is."""
    return float(np.exp(np.mean(np.log(list(values)))))


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])
