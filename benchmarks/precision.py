"""PSNR that the paper's models lose where matrix products are computed with fewer bits.

Every volume of split ``test`` is scaled to float32 [0, 1] by its range, encoded and decoded, margins blended.
This runs on a CPU. The operands of products are rounded to the formats of matrix units, and sums are float32.
That of GPUs in memory keeps values in float16, as their form does.

    python benchmarks/precision.py VOLUMES     # a directory with INDEX.csv
"""

import argparse
import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import VARIANTS, free_programs, table, unit_volume, volumes, write_results
from jax import lax

import nvc_jax
from nvc_jax.autoencoder import tile_integers, whole_volume
from nvc_jax.autoencoder.arithmetic import FLOAT32, Arithmetic, arithmetic_of_gpus
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.autoencoder.networks import DenseAutoencoder, bind
from nvc_jax.autoencoder.tile_integers import LARGEST_VOXEL
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params

BFLOAT16_BITS, TF32_BITS = 7, 10
"""Stored bits of the significands."""
EXPONENT_BITS = 8
LEAST_VOXELS = 512
"""Voxels of the smallest block: other layers have fewer inputs and outputs."""
TPU_KERNELS = "TPUs in memory (8 bits, bfloat16)"


@dataclasses.dataclass(frozen=True)
class RoundedArithmetic(Arithmetic):
    """Products of operands that are rounded.

    Attributes:
        bits: of the significands.
        has_rest: whether what was lost is multiplied, too, without the product of both rests: three passes.
    """

    bits: int = BFLOAT16_BITS
    has_rest: bool = False

    def multiply(self, rows: jax.Array, kernel: jax.Array) -> jax.Array:
        """Multiply rows (n, k) by a kernel (k, m)."""
        (row, row_rest), (column, column_rest) = self._split(rows), self._split(kernel)
        product = row @ column
        return product + row @ column_rest + row_rest @ column if self.has_rest else product

    def _split(self, values: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Round values, and round what is left of them."""
        rounded = lax.reduce_precision(values, EXPONENT_BITS, self.bits)
        return rounded, lax.reduce_precision(values - rounded, EXPONENT_BITS, self.bits)


class HalfArithmetic(Arithmetic):
    """Arithmetic of GPUs in memory, with the same products in float32: CPUs are slow at float16."""

    def multiply(self, rows: jax.Array, kernel: jax.Array) -> jax.Array:
        """Multiply rows (n, k), float32 or kept, by a kernel (k, m)."""
        if rows.dtype == jnp.float16:
            return rows.astype(jnp.float32) @ self.keep(kernel).astype(jnp.float32)
        rounded = (lax.reduce_precision(part, EXPONENT_BITS, TF32_BITS) for part in (rows, kernel))
        return functools.reduce(jnp.matmul, rounded)


@dataclasses.dataclass(frozen=True)
class KernelArithmetic(RoundedArithmetic):
    """Arithmetic of the kernels of TPUs: voxels and the first layer of eight bits, the last of bfloat16.

    ``code`` rounds voxels and the first layer's kernel, which float32 then multiplies. Layers are told apart
    by their shapes: no other has as many inputs or outputs as a block has voxels.

    Attributes:
        crops: whether margins are cropped: the last layer takes three passes, too.
    """

    has_rest: bool = True
    crops: bool = False

    def multiply(self, rows: jax.Array, kernel: jax.Array) -> jax.Array:
        """Multiply rows (n, k) by a kernel (k, m)."""
        if kernel.shape[0] >= LEAST_VOXELS:
            return rows @ kernel
        if kernel.shape[1] < LEAST_VOXELS:
            return super().multiply(rows, kernel)
        return super().multiply(rows, kernel) if self.crops else self._split(rows)[0] @ self._split(kernel)[0]


ARITHMETICS: dict[str, Arithmetic] = {
    "float32": arithmetic_of_gpus(FLOAT32),
    "GPUs in memory (float16)": HalfArithmetic(is_half=True),
    "TF32": RoundedArithmetic(bits=TF32_BITS),
    TPU_KERNELS: KernelArithmetic(),
    "bfloat16, three passes": RoundedArithmetic(has_rest=True),
    "bfloat16, one pass": RoundedArithmetic(),
}
"""By name; the first is what the others are compared with."""


@functools.partial(jax.jit, static_argnums=(0, 1))
def code(config: ModelConfig, arithmetic: Arithmetic, params: Params, volume: jax.Array) -> jax.Array:
    """Encode and decode a volume in [0, 1]."""
    if isinstance(arithmetic, KernelArithmetic):
        has_margin = getattr(config, "margin", 0) > 0
        arithmetic = dataclasses.replace(arithmetic, crops=not has_margin)
    model = bind(config, params, arithmetic)
    low, high = jnp.float32(0), jnp.float32(1)
    if isinstance(arithmetic, KernelArithmetic) and isinstance(model, DenseAutoencoder):
        kernel, side = model.encoder[0].kernel[...], model.config.side
        integers, scale = tile_integers.round_kernel(kernel.reshape(side, side**2, -1))
        model.encoder[0].kernel[...] = integers.reshape(kernel.shape) * scale
        volume = jnp.floor(volume * LARGEST_VOXEL + tile_integers.dither(volume.shape) + 0.5) / LARGEST_VOXEL
    latents = whole_volume.encode(model, volume, low, high)
    depth, height, width = volume.shape
    encoded = EncodedLatents(
        latents=latents, minimum=low, maximum=high, shape=(depth, height, width), dtype="float32"
    )
    return whole_volume.decode(model, encoded, "blend" if config.margin else "crop")


def measure(codec: nvc_jax.Codec, volume: np.ndarray, finite: np.ndarray) -> dict[str, dict[str, float]]:
    """Measure by arithmetic: PSNR, and the largest difference from what float32 decodes."""
    rows, exact = {}, None
    for name, arithmetic in ARITHMETICS.items():
        decoded = np.asarray(code(codec.config, arithmetic, codec.params, jnp.asarray(volume)))
        exact = decoded if exact is None else exact
        rows[name] = {
            "psnr_db": float(-10 * np.log10(np.mean((decoded - volume)[finite].astype(np.float64) ** 2))),
            "largest_difference": float(np.abs(decoded - exact).max()),
        }
    return rows


def summarize(by_volume: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Summarise by arithmetic: mean and largest loss of PSNR, and the largest difference."""
    first = next(iter(ARITHMETICS))
    summary = {}
    for name in ARITHMETICS:
        losses = [rows[first]["psnr_db"] - rows[name]["psnr_db"] for rows in by_volume.values()]
        summary[name] = {
            "mean_loss_db": float(np.mean(losses)),
            "largest_loss_db": float(np.max(losses)),
            "largest_difference": max(rows[name]["largest_difference"] for rows in by_volume.values()),
        }
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    directory = parser.parse_args().volumes
    measured: dict[str, dict[str, dict[str, dict[str, float]]]] = {variant: {} for variant in VARIANTS}
    for name, row in volumes(directory, "test").items():
        volume, finite = unit_volume(directory / row["file"])
        for variant in VARIANTS:
            measured[variant][name] = measure(nvc_jax.load_codec(variant), volume, finite)
        print(name, flush=True)
        free_programs()
    summaries = {variant: summarize(by_volume) for variant, by_volume in measured.items()}
    rows = [
        [variant, name, *(f"{value:.5f}" for value in of.values())]
        for variant, summary in summaries.items()
        for name, of in summary.items()
    ]
    print(table(["model", "arithmetic", "mean loss, dB", "largest loss, dB", "largest difference"], rows))
    write_results("precision", {"summary": summaries, "volumes": measured})


if __name__ == "__main__":
    main()
