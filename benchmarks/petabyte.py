"""A model of 1,024 hosts that write one petabyte into one container, by constants that are measured here.

Measured on this machine: the seconds to encode a chunk on one core, and how much they vary among volumes; the
operations on files for each object, and the time of one of these. Assumed, and stated in the JSON: the cores
of a host, the bandwidth and the operations a second of a parallel file system, and hosts that are slow.

The model is a simulation. Every host takes every n-th object, as ``--part I/N`` does. It reads its share
twice, once for the range and once to encode, and encodes each object on all cores. The makespan is that of
the last host. The efficiency is the mean of all hosts' work over it: the rest is waiting for stragglers.

    python benchmarks/petabyte.py VOLUMES       # a directory with INDEX.csv
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from common import middle, table, unit_volume, volumes, write_results
from large import make_source

import nvc_jax

BYTES, HOSTS = 10**15, 1024
CHUNK = 128
SHARDS = (128, 256, 512, 1024)
BOUND = 1e-3
ASSUMED = {
    "cores_of_host": 64,
    "bytes_per_second_of_host": 10e9,
    "bytes_per_second_of_file_system": 1e12,
    "operations_per_second_of_file_system": 50_000,
    "share_of_slow_hosts": 0.01,
    "speed_of_slow_hosts": 0.5,
}
SAMPLED_SIDE, REPEATS = 64, 3
OPERATIONS = ("read", "write", "delete_range", "list", "open_read")
"""Operations of TensorStore's driver for files that its metrics count."""
RUNS = 20
"""Simulations of each case."""


def encode_seconds(directory: Path) -> list[float]:
    """Measure the seconds to encode a chunk on one core, for the middles of training volumes, mirrored."""
    chunk_seconds = []
    with tempfile.TemporaryDirectory() as place:
        for name, row in volumes(directory, "train").items():
            volume = middle(unit_volume(directory / row["file"])[0], SAMPLED_SIDE)
            if volume.shape != (SAMPLED_SIDE,) * 3:
                continue
            chunk = np.pad(volume, [(0, CHUNK - SAMPLED_SIDE)] * 3, mode="symmetric")
            seconds = []
            for repeat in range(REPEATS):
                target = Path(place) / f"{name}-{repeat}.zarr"
                began = time.process_time()
                nvc_jax.compress(chunk, target, relative_error=BOUND)
                seconds.append(time.process_time() - began)
            chunk_seconds.append(min(seconds))
            print(name, f"{chunk_seconds[-1]:.2f} s", flush=True)
    return chunk_seconds


def count_operations() -> int:
    """Count the operations on files that TensorStore has done in this process."""
    metrics = ts.experimental_collect_matching_metrics("/tensorstore/kvstore/file/")
    chosen = [metric for metric in metrics if metric["name"].rsplit("/", 1)[1] in OPERATIONS]
    return int(sum(value["value"] for metric in chosen for value in metric["values"]))


def operations_per_object() -> float:
    """Measure the operations on files that each further object of a container takes."""
    counts = []
    with tempfile.TemporaryDirectory() as place:
        for n in (1, 9):
            source, target = Path(place) / f"{n}.zarr", Path(place) / f"{n}-out.zarr"
            make_source(source, (32 * n, 32, 32))
            before = count_operations()
            nvc_jax.compress(source, target, relative_error=BOUND, chunks=(32, 32, 32))
            counts.append(count_operations() - before)
    return (counts[1] - counts[0]) / 8


def seconds_of_file() -> float:
    """Measure the seconds to write a small file under another name, and to rename it."""
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        for i in range(200):
            partial = Path(place) / f"{i}.partial"
            partial.write_bytes(b"0" * 100)
            partial.replace(Path(place) / str(i))
        return (time.perf_counter() - began) / 200


def simulate(shard: int, chunk_seconds: list[float], operations: float) -> dict[str, float]:
    """Simulate the hosts for shards of one side."""
    rng = np.random.default_rng(shard)
    cores = ASSUMED["cores_of_host"]
    object_bytes = 4 * shard**3
    n_objects = -(-BYTES // object_bytes)
    chunks_per_object = (shard // CHUNK) ** 3
    mean, deviation = np.mean(chunk_seconds), np.std(chunk_seconds)
    bandwidth = min(ASSUMED["bytes_per_second_of_host"], ASSUMED["bytes_per_second_of_file_system"] / HOSTS)
    own = np.full(HOSTS, n_objects // HOSTS) + (np.arange(HOSTS) < n_objects % HOSTS)
    results = []
    for _ in range(RUNS):
        # The chunks of one host are neighbours in a few regions of the volume, so that an object is as hard
        # as one of the sampled volumes, not as the mean of many. Sums over objects are close to normal.
        work = own * mean + np.sqrt(own) * deviation * rng.normal(size=HOSTS)
        is_slow = rng.random(HOSTS) < ASSUMED["share_of_slow_hosts"]
        speed = np.where(is_slow, ASSUMED["speed_of_slow_hosts"], 1.0)
        encoding = (
            np.maximum(work, 0) * chunks_per_object / np.minimum(cores, chunks_per_object * own) / speed
        )
        reading = 2 * own * object_bytes / bandwidth
        seconds = np.maximum(encoding, reading / 2) + reading / 2
        results.append((seconds.max(), seconds.mean() / seconds.max(), seconds[~is_slow].max()))
    makespan, efficiency, without_slow = np.mean(results, axis=0)
    n_operations = operations * n_objects
    return {
        "shard": shard,
        "objects": n_objects,
        "objects_of_host": n_objects / HOSTS,
        "operations": n_operations,
        "operations_seconds": n_operations / ASSUMED["operations_per_second_of_file_system"],
        "makespan_seconds": makespan,
        "makespan_without_slow_hosts_seconds": without_slow,
        "efficiency": efficiency,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before JAX starts its threads
    seconds = encode_seconds(directory)
    measured: dict[str, Any] = {
        "chunk_seconds": seconds,
        "operations_per_object": operations_per_object(),
        "seconds_of_file": seconds_of_file(),
    }
    cases = [simulate(shard, seconds, measured["operations_per_object"]) for shard in SHARDS]
    rows = [
        [
            f"{case['shard']}³",
            f"{case['objects']:,}",
            f"{case['operations_seconds'] / 60:.1f}",
            f"{case['makespan_seconds'] / 60:.0f}",
            f"{case['makespan_without_slow_hosts_seconds'] / 60:.0f}",
            f"{case['efficiency']:.2f}",
        ]
        for case in cases
    ]
    header = ["shard", "objects", "min of operations", "min in all", "min without slow hosts", "efficiency"]
    print(table(header, rows))
    write_results(
        "petabyte", {"bytes": BYTES, "hosts": HOSTS, "assumed": ASSUMED, **measured, "cases": cases}
    )


if __name__ == "__main__":
    main()
