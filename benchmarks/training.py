"""Training throughput in the paper's setting: zero-margin, blocks of 8³, Adam, blocks per second.

The bound is the rate of a step's matrix products alone, at the same batch size: one per layer forwards, and
two per layer backwards, for the gradients of its kernel and of its input. The first layer's input needs no
gradient. The rate gives the time of the paper's training, 8 epochs over 1.7 million blocks.

    python benchmarks/training.py
"""

import argparse
import dataclasses
import itertools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from common import table, write_results

from nvc_jax.autoencoder.config import VARIANTS
from nvc_jax.autoencoder.training.blocks import BlockArray
from nvc_jax.autoencoder.training.config import AutoencoderTraining
from nvc_jax.autoencoder.training.loop import train_blocks
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.training.progress import RunOptions

PAPER_BLOCKS, PAPER_EPOCHS = 1_700_000, 8
N_STEPS = 256
"""Optimiser steps in one measured call."""


def products_per_second(sizes: tuple[int, ...], batch_size: int, repeats: int) -> float:
    """Measure the blocks per second of the matrix products alone.

    ``sizes`` are those of the layers, from the input to the output.
    """
    kernels = [jnp.full(pair, 0.01) for pair in itertools.pairwise(sizes)]
    batch = jnp.ones((batch_size, sizes[0]))

    @jax.jit
    def run(batch: jax.Array, kernels: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
        def step(carry: tuple, _: None) -> tuple[tuple, None]:
            batch, kernels = carry
            values = [batch]
            for kernel in kernels:
                values.append(values[-1] @ kernel)
            backwards, updated = values[-1], []
            for index in reversed(range(len(kernels))):
                # The tiny update makes every product necessary and every iteration different.
                updated.append(kernels[index] + 1e-9 * values[index].T @ backwards)
                if index:
                    backwards = backwards @ kernels[index].T
            return (batch, updated[::-1]), None

        return jax.lax.scan(step, (batch, kernels), None, length=N_STEPS)[0]

    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        jax.block_until_ready(run(batch, kernels))
        times.append(time.perf_counter() - began)
    return N_STEPS * batch_size / statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    model = VARIANTS["zero-margin"]
    sample = read_volume(SAMPLE).astype(np.float32) / 255
    windows = np.lib.stride_tricks.sliding_window_view(sample, [model.side] * 3)[::2, ::2, ::2]
    blocks = BlockArray(windows.reshape(-1, *[model.side] * 3))
    sizes = (model.side**3, *model.hidden_sizes, model.latent_dim, *model.hidden_sizes[::-1], model.side**3)
    runs, rows = [], []
    for batch_size in (64, 256):
        n_blocks = N_STEPS * batch_size
        part = dataclasses.replace(blocks, blocks=blocks.blocks[:n_blocks])
        config = AutoencoderTraining(
            model, epochs=options.repeats + 1, batch_size=batch_size, steps_per_dispatch=N_STEPS
        )
        history = train_blocks(config, part, RunOptions(), key=jax.random.key(0)).history
        rate = statistics.median(progress.blocks_per_second for progress in history[1:])
        bound = products_per_second(sizes, batch_size, options.repeats)
        minutes = PAPER_EPOCHS * PAPER_BLOCKS / rate / 60
        wait = statistics.median(progress.data_wait for progress in history[1:])
        run = {"batch_size": batch_size, "blocks_per_second": rate, "bound_blocks_per_second": bound}
        runs.append(run | {"paper_minutes": minutes, "data_wait": wait})
        rows.append([str(batch_size), f"{rate:,.0f}", f"{bound:,.0f}", f"{minutes:.1f}"])
    print(table(["batch", "blocks/s", "bound blocks/s", "minutes for the paper's training"], rows))
    write_results("training", {"repeats": options.repeats, "runs": runs})


if __name__ == "__main__":
    main()
