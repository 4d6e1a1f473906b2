"""Roofline figure of the programs in ``results/compiled.json``: estimated time over that of their memory.

Bars start at 1, the floor: moving the volume once. The first part is the time of the bytes that a program
moves outside of loops that depend on data, the second what short kernels add there, the third those loops.

    python benchmarks/compiled_figure.py
"""

import json
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from common import RESULTS
from compiled_quotes import title
from hlo_cost import DEVICES
from matplotlib.axes import Axes

COLOURS = {"bytes": "#1f4e79", "kernels": "#8fb8de", "coder": "#e8a33d"}
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
    """Draw the programs of one platform as bars on a logarithmic axis."""
    device = DEVICES[platform]
    for row, program in enumerate(programs):
        begin = 1.0
        for name, ratio in ratios(program, device.bytes_per_second).items():
            end = begin + ratio if begin > 1 else max(1.0, ratio)
            if end > begin:
                label = LABELS[name] if row == 0 else None
                axes.barh(row, end - begin, left=begin, color=COLOURS[name], label=label)
            begin = end
        axes.text(begin * 1.1, row, f"{begin:,.0f}×", va="center", fontsize=7)
    axes.set_xscale("log")
    axes.set_xlim(1, 1e6)
    axes.set_yticks(range(len(programs)), [title(program) for program in programs], fontsize=7)
    axes.invert_yaxis()
    axes.set_title(f"{device.name}, {device.bytes_per_second / 1e12:.2g} TB/s", fontsize=9)
    axes.set_xlabel("estimated time over that of moving the volume once, logarithmic", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main() -> None:
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
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", fontsize=7, ncols=3)
    figure.savefig(RESULTS / "compiled.png", dpi=150)


if __name__ == "__main__":
    main()
