"""Roofline figure of the programs in ``results/compiled.json``: estimated time over that of their memory.

A program has a point for the time of the bytes that it moves outside of loops that depend on data, one for
what short kernels add there, and one for those loops. Their sum is beside them.

    python benchmarks/compiled_figure.py
"""

import argparse
import json
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from common import RESULTS
from compiled_quotes import title
from hlo_cost import DEVICES
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

COLOURS = {"bytes": "#1f4e79", "kernels": "#8fb8de", "coder": "#e8a33d"}
_LEAST = 0.1
"""Smallest part that is drawn."""
LABELS = {
    "bytes": "bytes moved, at the memory's speed",
    "kernels": "short kernels and what is slower than memory",
    "coder": "loops that depend on data",
}


def ratios(program: dict[str, Any], bytes_per_second: float) -> dict[str, float]:
    """Times of a program's parts over its floor; they add up."""
    floor, outside = program["floor_seconds"], program["outside"]
    by_bytes = min(outside["n_bytes"] / bytes_per_second, outside["seconds"])
    coder = program["coder"]["seconds"] if program["coder"] else 0.0
    parts = {"bytes": by_bytes, "kernels": outside["seconds"] - by_bytes, "coder": coder}
    return {name: seconds / floor for name, seconds in parts.items()}


def draw(axes: Axes, platform: str, programs: list[dict[str, Any]]) -> None:
    """Draw the programs of one platform as points on a logarithmic axis, and their sums as numbers."""
    device = DEVICES[platform]
    for row, program in enumerate(programs):
        parts = {
            name: ratio for name, ratio in ratios(program, device.bytes_per_second).items() if ratio >= _LEAST
        }
        total = sum(parts.values())
        axes.plot([1, total], [row, row], color="#dddddd", linewidth=1, zorder=1)
        for name, ratio in parts.items():
            axes.scatter(ratio, row, s=22, color=COLOURS[name], zorder=2)
        axes.text(total * 1.25, row, f"{total:,.0f}×", va="center", fontsize=7)
    axes.set_xscale("log")
    axes.set_xlim(_LEAST / 1.5, 1e6)
    axes.axvline(1, color="#888888", linewidth=0.8)
    axes.set_yticks(range(len(programs)), [title(program) for program in programs], fontsize=7)
    axes.invert_yaxis()
    axes.set_title(f"{device.name}, {device.bytes_per_second / 1e12:.2g} TB/s", fontsize=9)
    axes.set_xlabel("estimated time over that of moving the volume once, logarithmic", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    platforms = json.loads((RESULTS / "compiled.json").read_text())["platforms"]
    compiled = {
        name: [program for program in of["programs"] if "outside" in program]
        for name, of in platforms.items()
    }
    compiled = {name: programs for name, programs in compiled.items() if programs}
    rows = sum(map(len, compiled.values()))
    figure, axes = plt.subplots(
        len(compiled),
        figsize=(8, 1.2 + 0.26 * rows),
        layout="constrained",
        squeeze=False,
        height_ratios=[len(programs) for programs in compiled.values()],
    )
    for column, (name, programs) in zip(axes[:, 0], compiled.items(), strict=True):
        draw(column, name, programs)
    handles = [
        Line2D([], [], color=COLOURS[name], marker="o", linestyle="", label=LABELS[name]) for name in LABELS
    ]
    figure.legend(handles=handles, loc="outside lower center", fontsize=7, ncols=3)
    figure.savefig(RESULTS / "compiled.png", dpi=150)


if __name__ == "__main__":
    main()
