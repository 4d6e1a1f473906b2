"""Volumes larger than memory: peak memory, end-to-end throughput, random access.

Makes float32 volumes of the sizes asked for on disk (a Zarr array of simulated turbulence, tiled and varied),
compresses them to a container and that to a Zarr array, each in a process of its own, and reads regions.

    python benchmarks/large.py --gib 2 8       # needs three times the largest size on disk
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorstore as ts
from common import table, write_results

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.evaluation import containers
from nvc_jax.io.volumes import read_volume

STEP = 0.02
SIDE = 1024
PIECE = 128
N_REGIONS = 40
REGION = 64


def source_piece(sample: np.ndarray, corner: tuple[int, ...]) -> np.ndarray:
    """Make a piece of the volume: the sample, mirrored at its ends so that tiles join, varied in strength."""
    index = [(np.arange(a, a + PIECE)) % (2 * n) for a, n in zip(corner, sample.shape, strict=True)]
    folded = [np.minimum(i, 2 * n - 1 - i) for i, n in zip(index, sample.shape, strict=True)]
    z, y, x = (np.arange(a, a + PIECE) for a in corner)
    strength = 1 + 0.5 * np.sin(z / 310)[:, None, None] * np.cos(y / 170)[None, :, None] * np.sin(x / 230)
    noise = np.random.default_rng(corner).normal(0, 0.2, (PIECE,) * 3)
    return (sample[np.ix_(*folded)] * strength + noise).astype(np.float32)


def make_source(path: Path, shape: tuple[int, ...]) -> None:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/", "file_io_sync": False}}
    layout = ts.ChunkLayout(chunk_shape=[min(PIECE, side) for side in shape])
    store = ts.open(spec, create=True, dtype="float32", shape=shape, chunk_layout=layout).result()
    sample = read_volume(SAMPLE)
    for corner in np.ndindex(*(-(-side // PIECE) for side in shape)):
        start = tuple(i * PIECE for i in corner)
        sides = [min(PIECE, side - first) for side, first in zip(shape, start, strict=True)]
        region = tuple(slice(first, first + side) for first, side in zip(start, sides, strict=True))
        piece = source_piece(sample, start)[tuple(slice(side) for side in sides)]
        store[region].write(piece).result()


CHILD = """
import json, os, re, sys, time
verb, source, target, settings = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
cores = settings.pop("cores", None)
if cores: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
import jax, jax.numpy as jnp
import nvc_jax
def peak(): return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
jax.block_until_ready(jnp.zeros(8) + 1)
baseline, began = peak(), time.perf_counter()
calls = []
def progress(now): calls.append((time.perf_counter(), now.done_bytes))
work = nvc_jax.compress if verb == "compress" else nvc_jax.decompress
work(source, target, on_progress=progress, **settings)
ended = time.perf_counter()
(first, first_bytes), (last, last_bytes) = calls[0], calls[-1]
steady = (last_bytes - first_bytes) / (last - first) if len(calls) > 1 else None
print(json.dumps({"seconds": ended - began, "steady_bytes_per_second": steady, "baseline_bytes": baseline,
                  "peak_bytes": peak()}))
"""


def in_a_process(verb: str, source: Path, target: Path, **settings: Any) -> dict[str, float]:
    """Seconds and bytes of memory of one call, in a fresh process; ``cores`` limits these.

    The process takes no compiled programs from a cache of the user's.
    """
    command = [sys.executable, "-c", CHILD, verb, str(source), str(target), json.dumps(settings)]
    known = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=known)
    return json.loads(done.stdout)


def memory_rates(sample: np.ndarray) -> dict[str, float]:
    """Bytes per second of ``encode_volume`` and ``decode_volume`` on a volume in memory, compiled."""
    volume = jax.device_put(np.concatenate([source_piece(sample, (0, 0, x)) for x in (0, PIECE)], axis=2))
    codec = nvc_jax.load_codec("nvc-1")
    encoded = nvc_jax.encode_volume(codec, volume, step=STEP)

    def rate(work: Any) -> float:
        seconds = []
        for _ in range(9):
            began = time.perf_counter()
            jax.block_until_ready(work())
            seconds.append(time.perf_counter() - began)
        return volume.nbytes / float(np.median(seconds[2:]))

    return {
        "encode_volume_bytes_per_second": rate(lambda: nvc_jax.encode_volume(codec, volume, step=STEP)),
        "decode_volume_bytes_per_second": rate(lambda: nvc_jax.decode_volume(codec, encoded)),
    }


def bytes_read() -> int:
    metrics = ts.experimental_collect_matching_metrics("/tensorstore/kvstore/file/bytes_read")
    return int(sum(value["value"] for metric in metrics for value in metric["values"]))


def random_access(path: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    """Seconds to read and decode regions that nothing keeps in memory, and the bytes that they take."""
    view = nvc_jax.open(path, cache_bytes=0)
    rng = np.random.default_rng(0)
    view[:REGION, :REGION, :REGION].read().result()  # compiles
    seconds, sizes = [], []
    for _ in range(N_REGIONS):
        corner = [int(rng.integers(0, side - REGION + 1)) for side in shape]
        region = tuple(slice(a, a + REGION) for a in corner)
        before, began = bytes_read(), time.perf_counter()
        view[region].read().result()
        seconds.append(time.perf_counter() - began)
        sizes.append(bytes_read() - before)
    aligned = []
    for _ in range(N_REGIONS):
        corner = [int(rng.integers(0, side // REGION)) * REGION for side in shape]
        began = time.perf_counter()
        view[tuple(slice(a, a + REGION) for a in corner)].read().result()
        aligned.append(time.perf_counter() - began)
    return {
        "regions": N_REGIONS,
        "anywhere_median_seconds": float(np.median(seconds)),
        "anywhere_largest_seconds": max(seconds),
        "aligned_median_seconds": float(np.median(aligned)),
        "median_bytes_read": float(np.median(sizes)),
    }


def measure(gib: float, directory: Path) -> dict[str, Any]:
    layers = round(gib * 2**30 / 4 / SIDE**2 / PIECE) * PIECE
    shape = (layers, SIDE, SIDE)
    source, store, copy = (directory / name for name in ("source.zarr", "store.zarr", "copy.zarr"))
    make_source(source, shape)
    sample = read_volume(SAMPLE)
    found: dict[str, Any] = {"gib": gib, "shape": shape, "step": STEP}
    found |= memory_rates(sample)
    n_bytes = 4 * int(np.prod(shape))
    for verb, a, b, settings in (
        ("compress", source, store, {"step": STEP}),
        ("decompress", store, copy, {}),
    ):
        result = in_a_process(verb, a, b, **settings)
        found[verb] = result | {"bytes_per_second": n_bytes / result["seconds"]}
        print(gib, verb, found[verb], flush=True)
    described = containers.info(store)
    found |= {key: described[key] for key in ("chunk", "shard", "ratio", "max_error")}
    found["random_access"] = random_access(store, shape)
    print(found["random_access"], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, nargs="+", default=[2, 8])
    parser.add_argument("--directory", type=Path, help="where to put the volumes (a temporary directory)")
    arguments = parser.parse_args()
    results = []
    for gib in arguments.gib:
        with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
            results.append(measure(gib, Path(directory)))
    write_results("large", {"data": "simulated turbulence, tiled", "results": results})
    rows = [
        [
            f"{r['gib']:g}",
            *(f"{r[verb]['bytes_per_second'] / 1e6:.0f}" for verb in ("compress", "decompress")),
            f"{r['compress']['steady_bytes_per_second'] / r['encode_volume_bytes_per_second']:.2f}",
            *(f"{r[verb]['peak_bytes'] / 2**20:.0f}" for verb in ("compress", "decompress")),
            f"{r['compress']['baseline_bytes'] / 2**20:.0f}",
            f"{r['random_access']['anywhere_median_seconds'] * 1e3:.0f}",
        ]
        for r in results
    ]
    head = [
        "GiB",
        "compress MB/s",
        "decompress MB/s",
        "of encode_volume",
        "peak MiB",
        "peak MiB",
        "JAX MiB",
        "64³ ms",
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main()
