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
from common import geometric_mean, table, volumes, write_results

import nvc_jax
from nvc_jax.container.store import open_container
from nvc_jax.evaluation.metrics import max_error
from nvc_jax.io.volumes import read_volume

BOUNDS = (1e-2, 1e-3, 1e-4, 1e-5)


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
    measured = {}
    for name, (encode, decode) in codecs.items():
        data = encode()
        measured[name] = {"bytes": len(data), "max_error": max_error(values, decode(data))}
    return measured


def measure_lossless(volume: np.ndarray) -> dict[str, dict[str, float]]:
    """Measure the bytes of other codecs without loss."""
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
        width = float(finite.max()) - float(finite.min())
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
        ratios = {
            key: {c: round(m["bytes"] / codecs["nvc-1"]["bytes"], 2) for c, m in codecs.items()}
            for key, codecs in by_target.items()
        }
        print(name, ratios, flush=True)
    means: dict[str, dict[str, float]] = {}
    for key in (*(f"{bound:g}" for bound in BOUNDS), "lossless"):
        codecs = sorted({c for by_target in measured.values() for c in by_target[key]} - {"nvc-1"})
        means[key] = {
            c: geometric_mean(
                codecs[c]["bytes"] / codecs["nvc-1"]["bytes"]
                for codecs in (by_target[key] for by_target in measured.values())
                if c in codecs
            )
            for c in codecs
        }
    means["lossless"]["best of them"] = geometric_mean(
        [
            min(m["bytes"] for c, m in by_target["lossless"].items() if c != "nvc-1")
            / by_target["lossless"]["nvc-1"]["bytes"]
            for by_target in measured.values()
        ]
    )
    names = ["SPERR", "SZ3", "zfp", "Zstandard", "Blosc2", "best of them"]
    rows = [
        [key, *(f"{ratios[c]:.2f}" if c in ratios else "" for c in names)] for key, ratios in means.items()
    ]
    print(table(["relative bound", *names], rows))
    assert all(math.isfinite(value) for ratios in means.values() for value in ratios.values())
    write_results("bounds", {"geometric_mean_ratio": means, "volumes": measured, "rows": rows})


if __name__ == "__main__":
    main()
