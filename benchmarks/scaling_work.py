"""Work of one process of ``scaling.py``: it prepares, says so, waits for a line, works, and reports.

python benchmarks/scaling_work.py KIND SETTINGS     # SETTINGS: a JSON object
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

import nvc_jax
from nvc_jax.autoencoder.config import VARIANTS
from nvc_jax.autoencoder.training.blocks import BlockArray
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.autoencoder.training.loop import train_blocks
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.chunk_grid import chunk_regions
from nvc_jax.io.volumes import read_volume
from nvc_jax.training.mesh import AXIS, make_mesh, share_rows
from nvc_jax.training.progress import RunOptions

STEPS = 32
"""Optimiser steps of one measured call."""
REPEATS = 7
SIDE = 64
"""Side of the chunks that are coded in memory."""
STEP = 0.02


def wait_for_start() -> None:
    """Say that everything is ready, and wait until all processes are."""
    print("ready", flush=True)
    sys.stdin.readline()


def train(batch_size: int) -> dict[str, Any]:
    """Train zero-margin: blocks per second, waiting for data, and the last loss."""
    model = VARIANTS["zero-margin"]
    sample = read_volume(SAMPLE).astype(np.float32) / 255
    windows = np.lib.stride_tricks.sliding_window_view(sample, (model.side,) * 3)[::2, ::2, ::2]
    blocks = windows.reshape(-1, *windows.shape[3:])
    n_blocks = STEPS * batch_size
    source = BlockArray(np.concatenate([blocks] * -(-n_blocks // len(blocks)))[:n_blocks])
    settings = AutoencoderTraining(model, epochs=REPEATS + 1, batch_size=batch_size, steps_per_dispatch=STEPS)
    wait_for_start()
    history = train_blocks(settings, source, RunOptions(), key=jax.random.key(0)).history[1:]
    return {
        "items_per_second": statistics.median(report.blocks_per_second for report in history),
        "data_wait": statistics.median(report.data_wait for report in history),
        "loss": history[-1].loss,
    }


def code(direction: str, n_chunks: int) -> dict[str, Any]:
    """Encode or decode chunks in memory, an equal number on each device: chunks per second."""
    mesh = make_mesh()
    codec = nvc_jax.load_codec("nvc-1")
    sample = read_volume(SAMPLE).astype(np.float32)
    chunks = np.stack([np.roll(sample, 5 * i, axis=i % 3)[:SIDE, :SIDE, :SIDE] for i in range(n_chunks)])

    def encode(part: jax.Array) -> Any:
        return jax.lax.map(lambda chunk: nvc_jax.encode_volume(codec, chunk, step=STEP), part)

    def decode(part: Any) -> jax.Array:
        return jax.lax.map(lambda encoded: nvc_jax.decode_volume(codec, encoded), part)

    def on_all(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        rows = PartitionSpec(AXIS)
        return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=rows, out_specs=rows))

    given, work = share_rows(mesh, chunks), on_all(encode)
    if direction == "decode":
        given, work = jax.block_until_ready(work(given)), on_all(decode)
    jax.block_until_ready(work(given))
    wait_for_start()
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(work(given))
        seconds.append(time.perf_counter() - began)
    return {"items_per_second": n_chunks / statistics.median(seconds)}


def store(direction: str, source: str, target: str, part: int, n_parts: int, shard: int) -> dict[str, Any]:
    """Write or read this process's part of a container: seconds, without starting and compiling."""
    options: dict[str, Any] = {"relative_error": 1e-3, "chunks": (SIDE,) * 3, "shards": (shard,) * 3}
    small = read_volume(SAMPLE)[:SIDE, :SIDE, :SIDE].astype(np.float32)
    own = Path(target).with_name(f"warm-{direction}-{part}-{n_parts}.zarr")
    nvc_jax.compress(np.concatenate([small] * 2), own, **{**options, "shards": None})
    nvc_jax.open(own).read().result()
    wait_for_start()
    began = time.perf_counter()
    if direction == "encode":
        nvc_jax.compress(source, target, part=(part, n_parts), **options)
    else:
        view = nvc_jax.open(target)
        for region in chunk_regions(view.shape, (shard,) * 3)[part::n_parts]:
            view[region].read().result()
    return {"seconds": time.perf_counter() - began}


KINDS: dict[str, Callable[..., dict[str, Any]]] = {"train": train, "code": code, "store": store}


def main() -> None:
    kind, settings = sys.argv[1], json.loads(sys.argv[2])
    if "JAX_COORDINATOR_ADDRESS" in os.environ:
        nvc_jax.connect_processes()
    result = KINDS[kind](**settings)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
