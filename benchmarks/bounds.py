"""Stored bytes at equal error bounds, and without loss, against SPERR, SZ3, zfp, Zstandard and Blosc2.

python benchmarks/bounds.py VOLUMES

VOLUMES is a directory with an INDEX.csv. Every volume of split ``test`` is compressed into a container in its
own dtype with each relative bound, read back and held against the bound. SPERR, SZ3 and zfp get it as
float32, in their own modes with a point-wise bound. Writes results/bounds.json.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from common import table, volumes, write_results

import nvc_jax
from nvc_jax.container.store import open_container
from nvc_jax.io.volumes import read_volume

BOUNDS = (1e-2, 1e-3, 1e-4, 1e-5)


def geometric_mean(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def largest_error(volume: np.ndarray, decoded: np.ndarray) -> float:
    finite = np.isfinite(volume)
    return float(np.abs(volume[finite].astype(np.float64) - decoded[finite].astype(np.float64)).max())


def compressed(volume: np.ndarray, **target: Any) -> dict[str, float]:
    """Bytes, error and seconds of a container."""
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "v.zarr"
        began = time.perf_counter()
        nvc_jax.compress(volume, store, **target)
        encoded = time.perf_counter()
        decoded = nvc_jax.open(store).read().result()
        return {
            "bytes": open_container(store).stored_bytes(),
            "max_error": largest_error(volume, decoded),
            "compress_seconds": encoded - began,
            "decompress_seconds": time.perf_counter() - encoded,
        }


def others(volume: np.ndarray, bound: float) -> dict[str, dict[str, float]]:
    """The same of other codecs; they see float32."""
    values = np.where(np.isfinite(volume), volume, 0).astype(np.float32)
    shape, dtype = values.shape, values.dtype
    codecs = {
        "SPERR": (
            lambda: imagecodecs.sperr_encode(values, bound, mode="pwe"),
            lambda data: imagecodecs.sperr_decode(data, shape=shape, dtype=dtype),
        ),
        "SZ3": (
            lambda: imagecodecs.sz3_encode(values, mode="abs", abs=bound),
            lambda data: imagecodecs.sz3_decode(data, shape=shape, dtype=dtype),
        ),
        "zfp": (
            lambda: imagecodecs.zfp_encode(values, level=bound, mode="a"),
            lambda data: imagecodecs.zfp_decode(data),
        ),
    }
    found = {}
    for name, (encode, decode) in codecs.items():
        data = encode()
        found[name] = {"bytes": len(data), "max_error": largest_error(values, decode(data))}
    return found


def lossless(volume: np.ndarray) -> dict[str, dict[str, float]]:
    raw = volume.tobytes()
    packed = {
        "Zstandard": imagecodecs.zstd_encode(raw, level=9),
        "Blosc2": imagecodecs.blosc2_encode(
            raw, level=9, compressor="zstd", shuffle="bitshuffle", typesize=volume.itemsize
        ),
    }
    if volume.dtype == np.float32:
        packed["SZ3"] = imagecodecs.sz3_encode(volume, mode="abs", abs=0)
    return {name: {"bytes": len(data)} for name, data in packed.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    measured: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for name, row in volumes(directory, "test").items():
        volume = read_volume(directory / row["file"])
        finite = volume[np.isfinite(volume)]
        extent = float(finite.max()) - float(finite.min())
        of = {
            f"{bound:g}": {
                "nvc-1": compressed(volume, relative_error=bound),
                **others(volume, bound * extent),
            }
            for bound in BOUNDS
        }
        for bound in BOUNDS:
            assert of[f"{bound:g}"]["nvc-1"]["max_error"] <= bound * extent, (name, bound)
        of["lossless"] = {"nvc-1": compressed(volume, lossless=True), **lossless(volume)}
        assert of["lossless"]["nvc-1"]["max_error"] == 0
        measured[name] = of
        ratios = {
            key: {c: round(m["bytes"] / codecs["nvc-1"]["bytes"], 2) for c, m in codecs.items()}
            for key, codecs in of.items()
        }
        print(name, ratios, flush=True)
    means: dict[str, dict[str, float]] = {}
    for key in (*(f"{bound:g}" for bound in BOUNDS), "lossless"):
        codecs = sorted({c for of in measured.values() for c in of[key]} - {"nvc-1"})
        means[key] = {
            c: geometric_mean(
                [of[key][c]["bytes"] / of[key]["nvc-1"]["bytes"] for of in measured.values() if c in of[key]]
            )
            for c in codecs
        }
    means["lossless"]["best of them"] = geometric_mean(
        [
            min(m["bytes"] for c, m in of["lossless"].items() if c != "nvc-1")
            / of["lossless"]["nvc-1"]["bytes"]
            for of in measured.values()
        ]
    )
    names = ["SPERR", "SZ3", "zfp", "Zstandard", "Blosc2", "best of them"]
    rows = [[key, *(f"{of[c]:.2f}" if c in of else "" for c in names)] for key, of in means.items()]
    print(table(["relative bound", *names], rows))
    assert all(math.isfinite(value) for of in means.values() for value in of.values())
    write_results("bounds", {"geometric_mean_ratio": means, "volumes": measured, "rows": rows})


if __name__ == "__main__":
    main()
