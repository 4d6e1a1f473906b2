"""Figure of the README: nvc-1, SPERR and SZ3 at equal bits, with the errors of each, on unseen volumes.

nvc-1 compresses a volume at 40 dB; all bytes of its container count. SPERR and SZ3 get the volume as float32
and as many bytes, or a little fewer: SPERR by its rate, SZ3 by the error bound that takes them.

    pip install ".[bench]"
    python benchmarks/rivals.py VOLUMES     # a directory of volumes, from fetch_volumes.py
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
from common import RESULTS, natural_volume, write_results

import nvc_jax
from nvc_jax.container.store import open_container
from nvc_jax.core.errors import psnr_from_errors, squared_errors
from nvc_jax.peers.codecs import LOSSY_PEERS

PSNR = 40.0
WIDTH, HEIGHT, DOTS_PER_INCH = 8.5, 3.25, 200
"""Width of the figure and height of a volume in inches, at which 8 points are readable; resolution."""
LARGEST_DRAWN = 99.8
"""Percentile of SPERR's errors in the slice at which the colours of all errors end."""


class View(NamedTuple):
    """A slice of a volume and how to draw it.

    Attributes:
        title: what the volume is.
        unit: label of the values' colour bar.
        detail: the slice.
    """

    title: str
    unit: str
    detail: tuple


VIEWS = {
    "fluid_wmag_sperr_91x91x91_float32": View(
        "turbulence", "vorticity\n(simulation units)", np.s_[45, 14:77, :]
    ),
    "mri_flair_140x160x124_uint8": View("FLAIR brain", "grey value", np.s_[70, 40:122, 3:121]),
}


def with_bytes(encode: Callable[[float], bytes], low: float, high: float, most: int) -> bytes:
    """Find the largest stream of at most ``most`` bytes by bisection of a setting that shrinks streams."""
    best = encode(high)
    for _ in range(18):
        middle = (low * high) ** 0.5
        data = encode(middle)
        if len(data) <= most:
            best, high = data, middle
        else:
            low = middle
    return best


def code(volume: np.ndarray) -> dict[str, tuple[np.ndarray, int]]:
    """Code a volume by the three codecs; decoded volume and bytes by codec."""
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "volume.zarr"
        nvc_jax.compress(volume, store, psnr=PSNR)
        most = open_container(store).stored_bytes()
        coded = {"nvc-1": (np.asarray(nvc_jax.open(store).read().result()), most)}
    values = np.ascontiguousarray(volume, np.float32)
    width, sperr, sz3 = float(np.ptp(values)), LOSSY_PEERS["sperr"], LOSSY_PEERS["sz3"]
    streams = {
        sperr: with_bytes(
            lambda inverse: bytes(imagecodecs.sperr_encode(values, 1 / inverse, mode="bpp")),
            1 / 32,
            1e3,
            most,
        ),
        sz3: with_bytes(lambda error: sz3.encode(values, error * width), 1e-6, 1, most),
    }
    for peer, stream in streams.items():
        coded[peer.name] = peer.decode(stream, values.shape, values.dtype), len(stream)
    return coded


def draw(path: Path, pictures: dict[str, dict[str, tuple[np.ndarray, np.ndarray, str]]]) -> None:
    """Draw slices and absolute errors, a pair of rows for each volume.

    Args:
        path: of the PNG.
        pictures: for each volume, by codec, the slice, its errors and a title.
    """
    from matplotlib.figure import Figure

    n_columns = len(next(iter(pictures.values())))
    figure = Figure(figsize=(WIDTH, HEIGHT * len(pictures)), layout="constrained", dpi=DOTS_PER_INCH)
    axes = figure.subplots(2 * len(pictures), n_columns).reshape(len(pictures), 2, n_columns)
    for (upper, lower), (name, columns) in zip(axes, pictures.items(), strict=True):
        view, original = VIEWS[name], columns["original"][0]
        grey = {"cmap": "gray", "vmin": original.min(), "vmax": original.max(), "interpolation": "nearest"}
        brightest = np.percentile(columns["SPERR"][1], LARGEST_DRAWN)
        fire = {"cmap": "inferno", "vmin": 0, "vmax": brightest, "interpolation": "nearest"}
        for above, below, (values, errors, title) in zip(upper, lower, columns.values(), strict=True):
            shown = above.imshow(values, **grey)
            above.set_title(title, fontsize=9)
            above.set(xticks=[], yticks=[])
            below.axis("off")
            if errors.any():
                wrong = below.imshow(errors, **fire)
        upper[0].set_ylabel(view.title, fontsize=9)
        for row, image, label, extend in (
            (upper, shown, view.unit, "both"),
            (lower, wrong, f"|error|, {view.unit}", "max"),
        ):
            bar = figure.colorbar(image, ax=list(row), extend=extend, pad=0.01)
            bar.set_label(label, fontsize=8)
            bar.ax.tick_params(labelsize=8)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    pictures: dict[str, dict[str, tuple[np.ndarray, np.ndarray, str]]] = {}
    measured: dict[str, dict[str, dict[str, float]]] = {}
    for name, view in VIEWS.items():
        volume = natural_volume(directory / f"{name}.npz")
        detail = volume[view.detail].astype(np.float64)
        pictures[name] = {"original": (detail, np.zeros_like(detail), "original")}
        for codec, (decoded, n_bytes) in code(volume).items():
            bits = 8 * n_bytes / volume.size
            psnr = psnr_from_errors(float(np.ptp(volume)), [squared_errors(volume, decoded)])
            measured.setdefault(name, {})[codec] = {"bits_per_voxel": bits, "psnr_db": psnr}
            shown = decoded[view.detail].astype(np.float64)
            title = f"{codec}\n{bits:.3f} bits/voxel, {psnr:.1f} dB"
            pictures[name][codec] = (shown, np.abs(shown - detail), title)
        print(name, measured[name], flush=True)
    draw(RESULTS / "figure-rivals.png", pictures)
    write_results("figure-rivals", {"volumes": measured})


if __name__ == "__main__":
    main()
