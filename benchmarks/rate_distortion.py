"""Bits at equal PSNR, by kind of volume: nvc-1 against SPERR, SZ3, zfp, JPEG 2000 and the block DCT of Yeo
and Liu (1995).

Of nvc-1 all stored bytes of a container count, metadata included, of the volume in its own dtype. The others
get the volume as float32, scaled to [0, 1] by its range; what they return counts. Bits at a PSNR are
interpolated in their logarithm between measured points; a ratio is the other codec's bits over nvc-1's, its
mean over the PSNRs (30 to 60 dB, every 2.5) that both reached. Kinds
count alike, and so do the volumes of a kind. Speeds are in ``peers.py``.

    pip install ".[bench]"
    python benchmarks/rate_distortion.py VOLUMES     # a directory with INDEX.csv, from fetch_volumes.py
    python benchmarks/rate_distortion.py VOLUMES --keep-others   # measure nvc-1 alone, after a change of it
"""

import argparse
import functools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import imagecodecs
import jax
import jax.numpy as jnp
import numpy as np
from common import (
    RESULTS,
    free_programs,
    natural_volume,
    summarize_by_kind,
    table,
    volumes,
    write_results,
)

import nvc_jax
from nvc_jax.container.store import open_container
from nvc_jax.core.errors import psnr_from_errors, squared_errors
from nvc_jax.peers.codecs import LOSSY_PEERS, LossyPeer
from nvc_jax.transform import separable
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS

PSNR_GRID = np.arange(30, 60.1, 2.5)
STEPS = (0.002, 0.005, 0.013, 0.033, 0.08, 0.16, 0.33, 0.66, 1.3)

SETTINGS = {
    "SPERR": (22, 28, 34, 40, 46, 52, 58, 64),
    "SZ3": (0.2, 0.08, 0.03, 0.012, 0.005, 0.002, 0.0008),
    "zfp": (1.0, 0.5, 0.25, 0.06, 0.03, 0.008, 0.004),
}
"""Settings of the lossy codecs: a PSNR of SPERR, else an absolute error."""
JPEG_2000_SETTINGS = (26, 32, 38, 44, 50, 56, 62)
"""PSNRs of planes, which are coded one by one."""
LIBRARIES = ("SPERR", "SZ3", "zfp", "JPEG 2000")

Point = dict[str, float]


def timed(run: Callable, repeats: int = 1) -> tuple[float, Any]:
    best, result = math.inf, None
    for _ in range(repeats):
        began = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - began)
    return best, result


def measure_points(
    volume: np.ndarray,
    settings: Iterable[float],
    encode: Callable[[float], Any],
    decode: Callable[[Any, float], np.ndarray],
    n_bytes: Callable[[Any], int] = len,
    width: float = 1,
) -> list[Point]:
    """Measure a codec at several settings; the speeds that count are those of the point nearest 45 dB.

    Args:
        volume: what is encoded.
        settings: steps, errors or PSNRs.
        encode: encodes the volume by a setting.
        decode: decodes what ``encode`` made, given the setting as well.
        n_bytes: counts the bytes of what ``encode`` made.
        width: of the volume's range.
    """

    def measure_point(setting: float, repeats: int) -> Point:
        encode_seconds, encoded = timed(lambda: encode(setting), repeats)
        decode_seconds, decoded = timed(lambda: decode(encoded, setting), repeats)
        return {
            "setting": setting,
            "psnr_db": psnr_from_errors(width, [squared_errors(volume, decoded)]),
            "bits_per_voxel": 8 * n_bytes(encoded) / volume.size,
            "encode_mvoxels_per_second": volume.size / encode_seconds / 1e6,
            "decode_mvoxels_per_second": volume.size / decode_seconds / 1e6,
        }

    points = [measure_point(setting, 1) for setting in settings]
    central = points.index(nearest(points))
    # The first calls compiled.
    points[central] = measure_point(points[central]["setting"], 2)
    return points


def nvc_points(
    codec: nvc_jax.Codec, volume: np.ndarray, chunks: tuple[int, ...] | None = None
) -> list[Point]:
    """Measure containers of a volume in its own dtype, with all that is stored; of chunks of some shape."""
    width = float(volume.max()) - float(volume.min())
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "volume.zarr"
        return measure_points(
            volume,
            STEPS,
            lambda step: nvc_jax.compress(volume, store, model=codec, step=step, chunks=chunks),
            lambda *_: nvc_jax.open(store).read().result(),
            lambda _: _bytes_without_model(store),
            width,
        )


def _bytes_without_model(store: Path) -> int:
    """Bytes of a container, without all that a model adds to its metadata if it holds one."""
    text = (store / "zarr.json").read_text()
    document = json.loads(text)
    configuration = document["codecs"][0]["configuration"]
    if "embedded" in configuration:
        del configuration["embedded"], configuration["model"]
        # Of models that ship with the package containers state the first digits.
        configuration["sha256"] = configuration["sha256"][:16]
    bare = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return open_container(store).stored_bytes() - len(text.encode()) + len(bare.encode())


def library_points(volume: np.ndarray, names: tuple[str, ...] = LIBRARIES) -> dict[str, list[Point]]:
    planes = np.round(volume * 65535).astype(np.uint16)

    def jpeg2k(level: float) -> list[bytes]:
        return [bytes(imagecodecs.jpeg2k_encode(plane, level=int(level))) for plane in planes]

    def unjpeg2k(frames: list[bytes], _: float) -> np.ndarray:
        return np.stack([imagecodecs.jpeg2k_decode(frame) for frame in frames]) / np.float32(65535)

    def decode_by(peer: LossyPeer) -> Callable[[bytes, float], np.ndarray]:
        return lambda data, _: peer.decode(data, volume.shape, volume.dtype)

    def size(frames: list[bytes]) -> int:
        return sum(map(len, frames))

    runs: dict[str, Callable[[], list[Point]]] = {
        peer.name: functools.partial(
            measure_points,
            volume,
            SETTINGS[peer.name],
            functools.partial(peer.encode_freely, volume),
            decode_by(peer),
        )
        for peer in LOSSY_PEERS.values()
    }
    runs["JPEG 2000"] = lambda: measure_points(volume, JPEG_2000_SETTINGS, jpeg2k, unjpeg2k, size)
    return {name: run() for name, run in runs.items() if name in names}


def dct_points(volume: np.ndarray) -> list[Point]:
    """Yeo and Liu's scheme: DCT of 8³ blocks, uniform quantiser; Zstandard in place of their coder."""
    padded = np.pad(volume, [(0, -side % BLOCK_SIZE) for side in volume.shape], mode="edge")
    shape = separable.TransformShape(jnp.zeros(3, jnp.int32), jnp.zeros(3, jnp.int32))
    transforms = separable.make_axis_transforms(
        padded.shape, jnp.array(padded.shape, jnp.int32), shape, jnp.int32(0)
    )
    forward, inverse = jax.jit(separable.forward), jax.jit(separable.inverse)

    def encode(step: float) -> bytes:
        coefficients = np.asarray(forward(jnp.asarray(padded), transforms))
        integers = np.round(coefficients / step).astype(np.int16)
        return bytes(imagecodecs.zstd_encode(np.ascontiguousarray(integers.T).tobytes(), level=9))

    def decode(data: bytes, step: float) -> np.ndarray:
        integers = np.frombuffer(imagecodecs.zstd_decode(data), np.int16).reshape(N_COEFFICIENTS, -1)
        coefficients = jnp.asarray(integers.T.astype(np.float32) * step)
        decoded = np.asarray(inverse(coefficients, transforms))
        return decoded[tuple(map(slice, volume.shape))]

    return measure_points(volume, (0.004, 0.01, 0.025, 0.06, 0.12, 0.25, 0.5, 1.0), encode, decode)


def bits_at(points: list[Point], grid: np.ndarray) -> np.ndarray:
    """Bits per voxel at each PSNR of ``grid``; NaN above what was measured.

    A point without loss serves every PSNR, as the point of the lowest PSNR serves those below.
    """
    lossless = min((p["bits_per_voxel"] for p in points if p["psnr_db"] >= 200), default=math.nan)
    pairs = sorted((p["psnr_db"], math.log(p["bits_per_voxel"])) for p in points if p["psnr_db"] < 200)
    if not pairs:
        return np.full(grid.shape, lossless)
    x, y = np.array(pairs).T
    return np.exp(np.interp(grid, x, y, right=math.log(lossless)))


def mean_ratio(other: list[Point], ours: list[Point], grid: np.ndarray) -> float:
    """Geometric mean of the other's bits over ours where both were measured."""
    ratios = np.log(bits_at(other, grid) / bits_at(ours, grid))
    return float(np.exp(np.nanmean(ratios))) if np.isfinite(ratios).any() else math.nan


def nearest(points: list[Point], target: float = 45) -> Point:
    return min(points, key=lambda p: abs(p["psnr_db"] - target))


def plot(name: str, codecs: dict[str, list[Point]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), layout="constrained", dpi=90)
    axis = figure.subplots()
    for codec, points in codecs.items():
        pairs = sorted((p["bits_per_voxel"], p["psnr_db"]) for p in points if p["psnr_db"] < 75)
        style = "o-" if codec == "nvc-1" else ".-"
        axis.plot(*zip(*pairs, strict=True), style, label=codec, linewidth=2 if codec == "nvc-1" else 1)
    axis.set(xscale="log", xlabel="bits per voxel", ylabel="PSNR (dB)", title=name, ylim=(22, 70))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    (RESULTS / "rate-distortion").mkdir(exist_ok=True)
    figure.savefig(RESULTS / "rate-distortion" / f"{name}.png")


def measure(
    codec: nvc_jax.Codec, values: np.ndarray, others: dict[str, list[Point]] | None = None
) -> dict[str, list[Point]]:
    """Measure all codecs on a volume, or nvc-1 alone if the points of the others are given."""
    if others is None:
        low, high = float(values.min()), float(values.max())
        unit = ((values.astype(np.float64) - low) / (high - low)).astype(np.float32)
        others = {**library_points(unit), "block DCT": dct_points(unit)}
    return {"nvc-1": nvc_points(codec, values), **others}


def stored_points() -> dict[str, dict[str, list[Point]]]:
    """Points of the codecs but nvc-1 in the results, by volume."""
    stored = json.loads((RESULTS / "rate-distortion.json").read_text())["points"]
    return {name: {c: p for c, p in of.items() if c != "nvc-1"} for name, of in stored.items()}


def ratios_of(codecs: dict[str, list[Point]]) -> dict[str, float]:
    """Ratios of the codecs' bits to those of nvc-1."""
    ours = codecs["nvc-1"]
    return {c: mean_ratio(p, ours, PSNR_GRID) for c, p in codecs.items() if c != "nvc-1"}


def losses_of(codecs: dict[str, list[Point]]) -> dict[str, list[float]]:
    """PSNRs of the grid at which a library takes fewer bits than nvc-1."""
    ours = bits_at(codecs["nvc-1"], PSNR_GRID)
    return {c: PSNR_GRID[bits_at(codecs[c], PSNR_GRID) < ours].tolist() for c in LIBRARIES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    parser.add_argument("--keep-others", action="store_true", help="take the other codecs from the results")
    options = parser.parse_args()
    directory, others = options.volumes, stored_points() if options.keep_others else {}
    codec = nvc_jax.load_codec("nvc-1")
    rows = volumes(directory, "test")
    results: dict[str, dict[str, list[Point]]] = {}
    ratios: dict[str, dict[str, float]] = {}
    for name, row in rows.items():
        results[name] = measure(codec, natural_volume(directory / row["file"]), others.get(name))
        ratios[name] = ratios_of(results[name])
        free_programs()
        plot(name, results[name])
        print(name, {c: round(r, 2) for c, r in ratios[name].items()}, flush=True)
    by_kind = summarize_by_kind(rows, ratios)
    columns = list(next(iter(ratios.values())))
    cells = [[name, *(f"{of[c]:.2f}" for c in columns)] for name, of in (ratios | by_kind).items()]
    print(table(["volume or kind", *columns], cells))
    write_results(
        "rate-distortion",
        {
            "by_kind": by_kind,
            "ratio": ratios,
            "fewer_bits_at_psnr": {name: losses_of(codecs) for name, codecs in results.items()},
            "points": results,
        },
    )


if __name__ == "__main__":
    main()
