"""Stored bytes at equal error bounds, and without loss, against SPERR, SZ3, zfp, Zstandard, Blosc2, JPEG XL.

python benchmarks/bounds.py VOLUMES

VOLUMES is a directory with an INDEX.csv. The middle of every volume of split ``test``, at most 128 voxels a
side, is compressed into a container in its own dtype with each relative bound, read back and held against the
bound. SPERR, SZ3 and zfp get it as float32, in their own modes with a point-wise bound. Writes
results/bounds.json.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from common import free_programs, middle, natural_volume, summarize_by_kind, table, volumes, write_results

import nvc_jax
from nvc_jax.container.store import open_container
from nvc_jax.evaluation.metrics import max_error
from nvc_jax.peers.codecs import LOSSY_PEERS, Blosc2, Zstandard

BOUNDS = (1e-2, 1e-3, 1e-4, 1e-5)
SIDE = 128
LOSSY = ("SPERR", "SZ3", "zfp")
LOSSLESS = ("SZ3", "Zstandard", "Blosc2", "JPEG XL", "best of them")


def measure_container(volume: np.ndarray, **target: Any) -> dict[str, float]:
    """Measure the stored bytes, the largest error and the seconds of a container."""
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "v.zarr"
        began = time.perf_counter()
        nvc_jax.compress(volume, store, **target)
        encoded = time.perf_counter()
        decoded = nvc_jax.open(store).read().result()
        return {
            "bytes": open_container(store).stored_bytes(),
            "max_error": max_error(volume, decoded),
            "compress_seconds": encoded - began,
            "decompress_seconds": time.perf_counter() - encoded,
        }


def measure_others(volume: np.ndarray, bound: float) -> dict[str, dict[str, float]]:
    """Measure the bytes and the largest error of other codecs, which encode the volume as float32."""
    values = volume.astype(np.float32)
    measured = {}
    for name in LOSSY:
        peer = LOSSY_PEERS[name.lower()]
        data = peer.encode(values, bound)
        decoded = peer.decode(data, values.shape, values.dtype)
        measured[name] = {"bytes": len(data), "max_error": max_error(values, decoded)}
    return measured


def measure_lossless(volume: np.ndarray) -> dict[str, dict[str, float]]:
    """Measure the bytes of other codecs without loss."""
    raw = volume.tobytes()
    packed = {
        "Zstandard": Zstandard().encode(raw),
        "Blosc2": Blosc2(itemsize=volume.itemsize).encode(raw),
    }
    if volume.dtype in (np.uint8, np.uint16):
        packed["JPEG XL"] = b"".join(imagecodecs.jpegxl_encode(plane, lossless=True) for plane in volume)
    if volume.dtype == np.float32:
        packed["SZ3"] = LOSSY_PEERS["sz3"].encode(volume, 0)
    return {name: {"bytes": len(data)} for name, data in packed.items()}


def ratios_of(codecs: dict[str, dict[str, float]], names: tuple[str, ...]) -> dict[str, float]:
    """Ratios of the codecs' bytes to those of nvc-1; NaN for a codec that does not apply."""
    ours = codecs["nvc-1"]["bytes"]
    ratios = {c: codecs[c]["bytes"] / ours if c in codecs else math.nan for c in names}
    if "best of them" in names:
        ratios["best of them"] = min(ratio for ratio in ratios.values() if ratio > 0)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    measured: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    ratios: dict[str, dict[str, dict[str, float]]] = {}
    rows = volumes(directory, "test")
    for name, row in rows.items():
        volume = middle(natural_volume(directory / row["file"]), SIDE)
        width = float(volume.max()) - float(volume.min())
        by_target = {
            f"{bound:g}": {
                "nvc-1": measure_container(volume, relative_error=bound),
                **measure_others(volume, bound * width),
            }
            for bound in BOUNDS
        }
        for bound in BOUNDS:
            assert by_target[f"{bound:g}"]["nvc-1"]["max_error"] <= bound * width, (name, bound)
        by_target["lossless"] = {
            "nvc-1": measure_container(volume, lossless=True),
            **measure_lossless(volume),
        }
        assert by_target["lossless"]["nvc-1"]["max_error"] == 0
        measured[name] = by_target
        free_programs()
        for key, codecs in by_target.items():
            ratios.setdefault(key, {})[name] = ratios_of(codecs, LOSSLESS if key == "lossless" else LOSSY)
        print(
            name,
            {key: {c: round(r, 2) for c, r in of[name].items()} for key, of in ratios.items()},
            flush=True,
        )
    by_kind = {key: summarize_by_kind(rows, of) for key, of in ratios.items()}
    names = [*LOSSY, *LOSSLESS[1:]]
    cells = [
        [key, group, *(f"{means[group][c]:.2f}" if means[group].get(c, math.nan) > 0 else "" for c in names)]
        for key, means in by_kind.items()
        for group in means
    ]
    print(table(["relative bound", "kind", *names], cells))
    summary = [[cell[0], *cell[2:]] for cell in cells if cell[1] == "mean over kinds"]
    write_results("bounds", {"by_kind": by_kind, "ratio": ratios, "volumes": measured, "rows": summary})


if __name__ == "__main__":
    main()
