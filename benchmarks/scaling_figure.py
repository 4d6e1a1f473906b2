"""Figure of scaling: speed over that of one device or process, beside the ideal lines.

python benchmarks/scaling_figure.py
"""

import argparse
import json
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from common import RESULTS
from matplotlib.axes import Axes

COLOURS = {"training": "#1f4e79", "encoding": "#e8a33d", "decoding": "#4f9d69"}
STYLES = {"strong": "-", "weak": "--"}


def draw(axes: Axes, rows: list[dict[str, Any]], count: str, cores: int) -> None:
    """Draw speeds against the number of devices or processes."""
    numbers = sorted({row[count] for row in rows})
    axes.plot(numbers, numbers, color="#bbbbbb", label="ideal, a core for each")
    axes.plot(
        numbers,
        [min(n, cores) for n in numbers],
        color="#bbbbbb",
        linestyle=":",
        label=f"ideal on {cores} cores",
    )
    for work, colour in COLOURS.items():
        for scaling, style in STYLES.items():
            points = [
                (row[count], row["relative_speed"])
                for row in rows
                if (row["work"], row["scaling"]) == (work, scaling)
            ]
            axes.plot(
                *zip(*points, strict=True),
                color=colour,
                linestyle=style,
                marker="o",
                markersize=4,
                label=f"{work}, {scaling}",
            )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.set_yticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axes.set_ylim(0.22, 2 * cores * 1.3)
    axes.set_xlabel(count)
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    results = json.loads((RESULTS / "scaling.json").read_text())
    cores = results["machine"]["cores"]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    draw(axes[0], results["devices"], "devices", cores)
    draw(axes[1], results["processes"], "processes", cores)
    axes[0].set_title("emulated devices of one process", fontsize=10)
    axes[1].set_title("processes of one device each", fontsize=10)
    axes[0].set_ylabel("items per second over those of one")
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)
    figure.savefig(RESULTS / "scaling.png", dpi=110)


if __name__ == "__main__":
    main()
