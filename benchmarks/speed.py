"""The paper's Table 2: seconds to encode and decode, six sizes, three variants, uint8.

Median of several calls of the compiled programs; volume and latents in memory. The bound is what the
network's matrix products alone take, measured in turns with the codec: on blocks that lie cut in memory, in
the codec's steps, results written to memory (latents in float32, blocks in uint8), nothing else done; the
two largest sizes go without. Sizes rise, so the peak memory that stands beside each is that size's.

    python benchmarks/speed.py
"""

import argparse
import functools
import itertools
import math
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import VARIANTS, table, write_results

import nvc_jax
from nvc_jax.autoencoder.codec import BLOCKS_PER_SLAB
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.shapes import check_shape, grid_shape
from nvc_jax.io.volumes import read_volume

# Seconds on the paper's laptop: encode and decode for each variant.
PAPER = {
    (192, 180, 168): ((0.09, 0.19), (0.21, 0.31), (0.22, 0.33)),
    (512, 512, 32): ((0.13, 0.26), (0.28, 0.40), (0.31, 0.47)),
    (256, 256, 256): ((0.27, 0.48), (0.59, 0.82), (0.67, 0.95)),
    (280, 512, 174): ((0.42, 0.69), (0.97, 1.48), (1.06, 1.36)),
    (512, 512, 512): ((2.16, 3.64), (5.97, 7.92), (7.54, 9.38)),
    (832, 832, 494): ((5.90, 9.77), (38.8, 20.7), (26.1, 25.4)),
}


def seconds(runs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median time of each of ``runs``, compiled; they take turns, so that a slow moment hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            jax.block_until_ready(run())
            if repeat:  # the first call compiles
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


@functools.partial(jax.jit, static_argnums=2)
def products(steps: jax.Array, kernels: list[jax.Array], dtype: str) -> jax.Array:
    """The chain of matrix products alone, step by step."""

    def step(values: jax.Array) -> jax.Array:
        for kernel in kernels:
            values = values @ kernel
        return values if dtype == "float32" else values.astype(jnp.int32).astype(dtype)

    return jax.lax.map(step, steps)


def bound_run(config: Any, n_steps: int, direction: str) -> Callable[[], jax.Array]:
    """The products of ``n_steps`` steps: to encode, or to decode whole blocks or cores."""
    hidden, latents = config.hidden_sizes[0], config.latent_dim
    sizes = {
        "encode": (config.side**3, hidden, latents),
        "decode_blend": (latents, hidden, config.side**3),
        "decode_crop": (latents, hidden, config.block_size**3),
    }[direction]
    kernels = [jnp.full(pair, 0.01) for pair in itertools.pairwise(sizes)]
    steps = jnp.ones((n_steps, BLOCKS_PER_SLAB, sizes[0]))
    return functools.partial(products, steps, kernels, "float32" if direction == "encode" else "uint8")


def measure(codec: nvc_jax.Codec, volume: jax.Array, repeats: int) -> dict[str, dict[str, float]]:
    encoded = nvc_jax.encode_volume(codec, volume)
    runs = {
        "encode": lambda: nvc_jax.encode_volume(codec, volume),
        "decode_crop": lambda: nvc_jax.decode_volume(codec, encoded, mode="crop"),
    }
    if codec.config.margin:
        runs["decode_blend"] = lambda: nvc_jax.decode_volume(codec, encoded)
    steps = math.prod(grid_shape(check_shape(volume.shape), codec.config.block_size)) / BLOCKS_PER_SLAB
    measured = {}
    for name, run in runs.items():
        if steps > 64:  # the cut blocks would take up several times the volume's memory: no bound
            measured[name] = seconds({"seconds": run}, repeats)
            continue
        bound = bound_run(codec.config, math.ceil(steps), name)
        took = seconds({"seconds": run, "bound_seconds": bound}, repeats)
        took["bound_seconds"] *= steps / math.ceil(steps)
        measured[name] = took | {"over_bound": took["seconds"] / took["bound_seconds"]}
    return measured


def cell(measured: dict[str, float]) -> str:
    over_bound = f" ({measured['over_bound']:.2f}×)" if "over_bound" in measured else ""
    return f"{measured['seconds']:.3f}{over_bound}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--max-voxels", type=float, default=float("inf"), help="leave larger sizes out")
    options = parser.parse_args()
    sample = read_volume(SAMPLE)
    results, rows = [], []
    for shape, paper in PAPER.items():
        if np.prod(shape) > options.max_voxels:
            continue
        tiles = [-(-side // n) for side, n in zip(shape, sample.shape, strict=True)]
        volume = jnp.asarray(np.tile(sample, tiles)[tuple(slice(side) for side in shape)])
        for variant, (paper_encode, paper_decode) in zip(VARIANTS, paper, strict=True):
            measured = measure(nvc_jax.load_codec(variant), volume, options.repeats)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            paper_seconds = {"encode": paper_encode, "decode": paper_decode}
            results.append(
                {
                    "shape": shape,
                    "variant": variant,
                    "volume_bytes": volume.nbytes,
                    "peak_memory_bytes": peak,
                    "paper_seconds": paper_seconds,
                    **measured,
                }
            )
            cells = [
                cell(measured[name]) if name in measured else ""
                for name in ("encode", "decode_crop", "decode_blend")
            ]
            size = "×".join(map(str, shape))
            rows.append([size, variant, *cells, f"{paper_encode} / {paper_decode}"])
            print(rows[-1], f"{peak / 1e9:.2f} GB", flush=True)
    print(table(["size", "variant", "encode s", "decode crop s", "decode blend s", "paper s"], rows))
    write_results("speed", {"repeats": options.repeats, "dtype": "uint8", "runs": results})


if __name__ == "__main__":
    main()
