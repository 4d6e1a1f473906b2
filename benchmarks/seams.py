"""Seams between chunks of nvc-1, each coded by itself: jumps across chunk boundaries, and a picture.

The mean jump between neighbouring voxels across the boundaries of 64³ chunks over that elsewhere, relative
to the original's: 1 where no boundary can be told apart. Beside it the error next to the boundaries over
that elsewhere, both again without pre-emphasis (``nvc_jax.transform.boundary_emphasis``), and the bits that
pre-emphasis costs at the same PSNR of the whole volume.

    python benchmarks/seams.py VOLUMES     # a directory with INDEX.csv
"""

import argparse
import math
from pathlib import Path

import numpy as np
from common import RESULTS, geometric_mean, table, unit_volume, volumes, write_results
from streams import Streams

import nvc_jax
from nvc_jax.evaluation.figures import save_panels
from nvc_jax.evaluation.metrics import border_jump

SIDE = 64
PSNRS = (35, 40, 45)
DETAIL = np.s_[SIDE, SIDE - 24 : SIDE + 24, SIDE - 24 : SIDE + 24]
COLUMNS = ("jump", "error", "jump_without", "error_without", "bits")
PICTURES = ("cosmology_aquarius_a2_120x120x120_uint8", "fluid_wmag_sperr_91x91x91_float32")


def relative_jump(volume: np.ndarray, original: np.ndarray) -> float:
    ratios = [across / inside for across, inside in (border_jump(v, SIDE) for v in (volume, original))]
    return ratios[0] / ratios[1]


def relative_error(volume: np.ndarray, original: np.ndarray) -> float:
    """Root mean squared error of the voxels on both sides of chunks' boundaries over that of all others."""
    squared = (volume - original).astype(np.float64) ** 2
    near = np.zeros(volume.shape, bool)
    for axis, side in enumerate(volume.shape):
        for boundary in range(SIDE, side, SIDE):
            beside = slice(boundary - 1, boundary + 1)
            near[tuple(beside if i == axis else slice(None) for i in range(3))] = True
    return math.sqrt(squared[near].mean() / squared[~near].mean())


def measure(
    codec: nvc_jax.Codec, volume: np.ndarray, psnr: float, *, emphasis: bool
) -> tuple[np.ndarray, dict[str, float]]:
    """Code a volume at a PSNR; measure the jump and the error at its chunk boundaries, and the bytes."""
    chunked = Streams(codec, volume, 0.0, 1.0, (SIDE,) * 3, emphasis=emphasis)
    step = chunked.step_for(psnr)
    payloads = chunked.encode(step)
    decoded = chunked.decode(payloads, step)
    measures = {"jump": relative_jump(decoded, volume), "error": relative_error(decoded, volume)}
    return decoded, measures | {"bytes": sum(map(len, payloads))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    codec = nvc_jax.load_codec("nvc-1")
    measured: dict[str, dict[str, dict[str, float]]] = {}
    rows = {}
    for name in volumes(directory, "test"):
        volume, _ = unit_volume(directory / f"{name}.npz")
        if max(volume.shape) <= SIDE:
            continue
        panels = {}
        for psnr in PSNRS:
            decoded, measures = measure(codec, volume, psnr, emphasis=True)
            unjoined, without = measure(codec, volume, psnr, emphasis=False)
            bits = measures.pop("bytes") / without.pop("bytes")
            measures |= {f"{key}_without": value for key, value in without.items()} | {"bits": bits}
            measured.setdefault(name, {})[str(psnr)] = measures
            if name not in PICTURES:
                continue
            if psnr == PSNRS[0]:
                label = f"{psnr} dB, no emphasis\njump at boundaries: {measures['jump_without']:.2f}"
                panels[label] = unjoined[DETAIL]
            panels[f"{psnr} dB\njump at boundaries: {measures['jump']:.2f}"] = decoded[DETAIL]
        print(name, measured[name], flush=True)
        if name in PICTURES:
            rows[name.rsplit("_", 2)[0]] = {"original": volume[DETAIL]} | panels
    means = {
        psnr: {key: geometric_mean(by_psnr[psnr][key] for by_psnr in measured.values()) for key in COLUMNS}
        for psnr in map(str, PSNRS)
    }
    write_results("seams", {"chunk": SIDE, "volumes": measured, "geometric_mean": means})
    title = f"Chunks of {SIDE}³ meet along both middles of each slice"
    save_panels(RESULTS / "figure-seams.png", rows, title=title, overwrite=True)
    print(
        table(
            ["PSNR", *COLUMNS],
            [[p, *(f"{m[key]:.3f}" for key in COLUMNS)] for p, m in means.items()],
        )
    )


if __name__ == "__main__":
    main()
