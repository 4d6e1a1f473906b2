"""What shows where chunks of nvc-1 meet, as each is coded by itself: jumps across their faces, and a picture.

The mean jump between neighbouring voxels across the faces of 64³ chunks over that elsewhere, relative to the
original's: 1 where faces cannot be told apart. Beside it the error next to the faces over that elsewhere.

    python benchmarks/seams.py VOLUMES     # a directory with INDEX.csv
"""

import argparse
import math
from pathlib import Path

import numpy as np
from common import RESULTS, table, unit_volume, volumes, write_results
from streams import Streams

import nvc_jax
from nvc_jax.figures import save_panels
from nvc_jax.metrics import border_jump

SIDE = 64
PSNRS = (35, 40, 45)
DETAIL = np.s_[SIDE, SIDE - 24 : SIDE + 24, SIDE - 24 : SIDE + 24]
PICTURES = ("mri_flair_140x160x124_uint8", "fluid_wmag_sperr_91x91x91_float32")


def relative_jump(volume: np.ndarray, original: np.ndarray) -> float:
    ratios = [across / inside for across, inside in (border_jump(v, SIDE) for v in (volume, original))]
    return ratios[0] / ratios[1]


def relative_error(volume: np.ndarray, original: np.ndarray) -> float:
    """Root mean squared error of the voxels on both sides of chunks' faces over that of all others."""
    squared = (volume - original).astype(np.float64) ** 2
    near = np.zeros(volume.shape, bool)
    for axis, side in enumerate(volume.shape):
        for face in range(SIDE, side, SIDE):
            near[tuple(slice(face - 1, face + 1) if i == axis else slice(None) for i in range(3))] = True
    return math.sqrt(squared[near].mean() / squared[~near].mean())


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
        chunked, panels = Streams(codec, volume, 0.0, 1.0, (SIDE,) * 3), {}
        for psnr in PSNRS:
            step = chunked.step_for(psnr)
            decoded = chunked.decode(chunked.encode(step), step)
            jump, error = relative_jump(decoded, volume), relative_error(decoded, volume)
            measured.setdefault(name, {})[str(psnr)] = {"jump": jump, "error": error}
            if name in PICTURES:
                panels[f"{psnr} dB\njump at faces: {jump:.2f}"] = decoded[DETAIL]
        print(name, measured[name], flush=True)
        if name in PICTURES:
            rows[name.rsplit("_", 2)[0]] = {"original": volume[DETAIL]} | panels
    means = {
        psnr: {
            key: math.exp(np.mean([math.log(of[psnr][key]) for of in measured.values()]))
            for key in ("jump", "error")
        }
        for psnr in map(str, PSNRS)
    }
    write_results("seams", {"chunk": SIDE, "volumes": measured, "geometric_mean": means})
    title = f"Chunks of {SIDE}³ meet along both middles of each slice"
    save_panels(RESULTS / "figure-seams.png", rows, title=title)
    print(
        table(
            ["PSNR", "jump", "error"],
            [[p, f"{m['jump']:.2f}", f"{m['error']:.2f}"] for p, m in means.items()],
        )
    )


if __name__ == "__main__":
    main()
