"""The paper's Figures 2, 3 and 4 with the shipped checkpoints, and nvc-1, on volumes that they never saw.

Figure 2: a slice at high zoom: original, no margin, margin cropped, margin blended, with errors and the mean
jump across block borders, in the whole volume, over that inside blocks. Figures 3 and 4: volume renderings at
two zooms. Figure nvc-1: slices at three PSNRs, with the bits that they take and the same measure of borders.

    python benchmarks/figures.py VOLUMES     # a directory with INDEX.csv
"""

import argparse
from pathlib import Path
from typing import TypedDict

import numpy as np
from common import RESULTS, VARIANTS, unit_volume, write_results
from streams import Streams

import nvc_jax
from nvc_jax.compression.layout import default_chunk
from nvc_jax.core.shapes import check_shape
from nvc_jax.evaluation.figures import save_panels
from nvc_jax.evaluation.metrics import border_jump
from nvc_jax.evaluation.rendering import render

BRAIN = "mri_flair_140x160x124_uint8"
DETAIL = np.s_[70, 56:104, 40:88]
"""Figure 2's slice: 48 × 48 voxels, six blocks each way."""

DETAILS = {
    BRAIN: DETAIL,
    "fluid_wmag_sperr_91x91x91_float32": np.s_[45, 16:80, 16:80],
    "cosmology_aquarius_a2_120x120x120_uint8": np.s_[60, 28:92, 28:92],
}
"""Slices of the figure of nvc-1."""


class View(TypedDict, total=False):
    """Arguments of ``render`` that differ among volumes."""

    threshold: float
    softness: float
    opacity: float
    azimuth: float


# Volume and how to see it; the second zoom is Figure 4's.
VIEWS: dict[str, View] = {
    "fluid_wmag_sperr_91x91x91_float32": {"threshold": 0.15, "opacity": 0.4},
    "cosmology_aquarius_a2_120x120x120_uint8": {"threshold": 0.35, "softness": 0.3},
    BRAIN: {"threshold": 0.2, "opacity": 0.35, "azimuth": 120.0},
    "object_bolt_66x123x70_uint8": {"threshold": 0.3},
}
ZOOMS = {"figure-3": 1.0, "figure-4": 3.5}


def reconstruct(variant: str, volume: np.ndarray, mode: str = "blend") -> np.ndarray:
    codec = nvc_jax.load_codec(variant)
    return np.asarray(nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume), mode=mode))


def figure_2(directory: Path) -> dict[str, dict[str, float]]:
    volume, _ = unit_volume(directory / f"{BRAIN}.npz")
    versions = {
        "a original": volume,
        "b no margin": reconstruct("zero-margin", volume),
        "c margin, cropped": reconstruct("two-wide-margin", volume, "crop"),
        "d margin, blended": reconstruct("two-wide-margin", volume),
    }
    jumps = {
        name: dict(zip(("across", "inside"), border_jump(v, 8), strict=True)) for name, v in versions.items()
    }
    titles = {
        name: f"{name}\nborder jump ÷ inside: {j['across'] / j['inside']:.2f}" for name, j in jumps.items()
    }
    save_panels(
        RESULTS / "figure-2.png",
        {
            "slice": {titles[name]: version[DETAIL] for name, version in versions.items()},
            "absolute error": {
                titles[name]: np.abs(version - volume)[DETAIL] for name, version in versions.items()
            },
        },
        error_rows={"absolute error": 0.2},
        value_range=(float(volume[DETAIL].min()), float(volume[DETAIL].max())),
        title="FLAIR brain, 48 × 48 voxels; errors: white at 0.2 of the range",
        overwrite=True,
    )
    return jumps


def figures_3_and_4(directory: Path) -> None:
    versions = {}
    for name in VIEWS:
        volume, _ = unit_volume(directory / f"{name}.npz")
        versions[name] = {"original": volume} | {
            variant: reconstruct(variant, volume) for variant in VARIANTS
        }
    for figure, zoom in ZOOMS.items():
        rows = {
            name.rsplit("_", 2)[0]: {
                title: render(volume, minimum=0, maximum=1, zoom=zoom, **VIEWS[name])
                for title, volume in by_title.items()
            }
            for name, by_title in versions.items()
        }
        save_panels(RESULTS / f"{figure}.png", rows, overwrite=True)
        print(figure, flush=True)


def figure_nvc_1(directory: Path) -> dict[str, dict[str, dict[str, float]]]:
    codec = nvc_jax.load_codec("nvc-1")
    rows: dict[str, dict[str, np.ndarray]] = {}
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for name, detail in DETAILS.items():
        volume, _ = unit_volume(directory / f"{name}.npz")
        chunked = Streams(codec, volume, 0.0, 1.0, check_shape(default_chunk(volume.shape, 8)))
        across, inside = border_jump(volume, 8)
        pictures = {f"original\nborder jump ÷ inside: {across / inside:.2f}": volume[detail]}
        for decibels in (35, 40, 45):
            step = chunked.step_for(decibels)
            payloads = chunked.encode(step)
            decoded = chunked.decode(payloads, step)
            bits = 8 * sum(map(len, payloads)) / volume.size
            jumps = dict(zip(("across", "inside"), border_jump(decoded, 8), strict=True))
            measured.setdefault(name, {})[str(decibels)] = {"bits_per_voxel": bits, **jumps}
            ratio = jumps["across"] / jumps["inside"]
            title = f"{decibels} dB, {bits:.2f} bits/voxel\nborder jump ÷ inside: {ratio:.2f}"
            pictures[title] = decoded[detail]
        rows[name.rsplit("_", 2)[0]] = pictures
    save_panels(RESULTS / "figure-nvc-1.png", rows, overwrite=True)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    RESULTS.mkdir(exist_ok=True)
    write_results("figure-2", {"volume": BRAIN, "border_jump": figure_2(directory)})
    write_results("figure-nvc-1", {"volumes": figure_nvc_1(directory)})
    figures_3_and_4(directory)


if __name__ == "__main__":
    main()
