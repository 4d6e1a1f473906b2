"""Stored bytes at equal pointwise relative error bounds, |x − x'| ≤ E·|x|, against SZ3.

python benchmarks/pointwise.py VOLUMES

VOLUMES is a directory with an INDEX.csv. The middle of every volume of floats of split ``test``, at most 128
voxels a side, is compressed into a container with each bound, read back and held against the bound in exact
arithmetic. SZ3's binding has no mode of such a bound: SZ3 gets the binary logarithms of the magnitudes, as
float64, with the absolute bound that keeps E; signs and zeros are packed bits through Zstandard. Writes
results/pointwise.json.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from common import free_programs, middle, natural_volume, summarize_by_kind, table, volumes, write_results

import nvc_jax
from nvc_jax.container.store import open_container
from nvc_jax.core.errors import largest_pointwise_error
from nvc_jax.peers.codecs import LOSSY_PEERS, Zstandard

BOUNDS = (1e-1, 1e-2, 1e-3)
SIDE = 128


def measure_container(volume: np.ndarray, bound: float) -> dict[str, float]:
    """Measure the stored bytes, the largest pointwise error and the seconds of a container."""
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "v.zarr"
        began = time.perf_counter()
        nvc_jax.compress(volume, store, pointwise_error=bound)
        encoded = time.perf_counter()
        decoded = nvc_jax.open(store).read().result()
        return {
            "bytes": open_container(store).stored_bytes(),
            "pointwise_error": largest_pointwise_error(volume, decoded),
            "compress_seconds": encoded - began,
            "decompress_seconds": time.perf_counter() - encoded,
        }


def measure_sz3(volume: np.ndarray, bound: float) -> dict[str, float]:
    """Measure the stored bytes and the largest pointwise error of SZ3 on logarithms."""
    sz3, values = LOSSY_PEERS["sz3"], volume.astype(np.float64)
    is_zero, is_negative = values == 0, values < 0
    logarithms = np.log2(np.where(is_zero, 1, np.abs(values)))
    if is_zero.any() and not is_zero.all():  # zeros cost least where they continue the other values
        logarithms[is_zero] = logarithms[~is_zero].min()
    # The interval of logarithms around the centre of what the bound accepts.
    low, high = math.log2(1 - bound), math.log2(1 + bound)
    half_width = (high - low) / 2 * (1 - 1e-6)
    coded = sz3.encode(logarithms + (low + high) / 2, half_width)
    masks = [np.packbits(mask).tobytes() for mask in (is_zero, is_negative) if mask.any()]
    decoded = np.exp2(sz3.decode(coded, values.shape, values.dtype))
    decoded = np.where(is_zero, 0, np.where(is_negative, -decoded, decoded)).astype(volume.dtype)
    return {
        "bytes": len(coded) + sum(len(Zstandard().encode(mask)) for mask in masks),
        "pointwise_error": largest_pointwise_error(volume, decoded),
    }


def main() -> None:
    """Measure all volumes, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    measured: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    ratios: dict[str, dict[str, float]] = {}
    rows = {name: row for name, row in volumes(directory, "test").items() if row["dtype"].startswith("float")}
    for name, row in rows.items():
        volume = middle(natural_volume(directory / row["file"]), SIDE)
        measured[name] = {
            f"{bound:g}": {"nvc-1": measure_container(volume, bound), "SZ3": measure_sz3(volume, bound)}
            for bound in BOUNDS
        }
        for bound in BOUNDS:
            assert measured[name][f"{bound:g}"]["nvc-1"]["pointwise_error"] <= bound, (name, bound)
        free_programs()
        of_bounds = measured[name].items()
        ratios[name] = {
            bound: codecs["SZ3"]["bytes"] / codecs["nvc-1"]["bytes"] for bound, codecs in of_bounds
        }
        print(name, {bound: round(ratio, 2) for bound, ratio in ratios[name].items()}, flush=True)
    by_kind = summarize_by_kind(rows, ratios)
    cells = [[kind, *(f"{ratio:.2f}" for ratio in of.values())] for kind, of in by_kind.items()]
    print(table(["bytes of SZ3 over those of nvc-1", *(f"{bound:g}" for bound in BOUNDS)], cells))
    write_results("pointwise", {"by_kind": by_kind, "ratio": ratios, "volumes": measured})


if __name__ == "__main__":
    main()
