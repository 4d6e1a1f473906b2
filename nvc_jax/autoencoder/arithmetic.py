"""Precision of the networks' arithmetic: of matrix products, and of the values kept between them.

CPUs compute in float32, whatever is asked for. Accelerators have matrix units of fewer bits, which are
faster. They are used for volumes in memory, of which no error is stated. Containers are coded in float32 on
every device, for two reasons: each chunk states its largest error, which readers on other devices check, and
a PSNR must be met on every device.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

FLOAT32 = "float32"
"""Precision of products in containers."""

FAST = "fast"
"""Precision of products in memory: the 11 bits of TF32 and float16 on GPUs, three passes of bfloat16 on TPUs.

With 11 bits, the shipped models lose at most 0.01 dB of PSNR. With the 8 bits of one pass of bfloat16, which
JAX would take on TPUs by itself, they lose up to 0.2 dB (``benchmarks/precision.py``). Kernels of TPUs
multiply integers of 8 bits in the first layer, whose errors cancel (``tile_integers``), and take one pass of
bfloat16 in the last one of blended blocks.
"""

LARGEST_HALF = float(jnp.finfo(jnp.float16).max)


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """Arithmetic of one program.

    Attributes:
        precision: of products of float32: one of those that ``jax.lax.dot_general`` takes.
        is_half: whether values between the steps are kept in float16. Products of these take both operands in
            float16 and sum in float32. float16 has the bits of TF32, and all values here are in its range:
            blocks in [0, 1], and outputs of hidden layers, which are clipped to it.
    """

    precision: Any = None
    is_half: bool = False

    def keep(self, values: jax.Array) -> jax.Array:
        """Convert values that the next step reads."""
        if not self.is_half:
            return values
        return jnp.clip(values, -LARGEST_HALF, LARGEST_HALF).astype(jnp.float16)

    def multiply(self, rows: jax.Array, kernel: jax.Array) -> jax.Array:
        """Multiply rows (…, k), float32 or from ``keep``, by a kernel, float32 (k, m): float32 (…, m)."""
        if rows.dtype == jnp.float16:
            kernel = self.keep(kernel)
        contracted = (((rows.ndim - 1,), (0,)), ((), ()))
        return lax.dot_general(
            rows, kernel, contracted, precision=self.precision, preferred_element_type=jnp.float32
        )


DEFAULT_ARITHMETIC = Arithmetic()
"""Arithmetic of training: products in the precision that the user or JAX chooses."""


def precision_in_memory() -> str:
    """Get the precision of products for volumes in memory: the user's default, or ``FAST``."""
    config: Any = jax.config
    return config.jax_default_matmul_precision or FAST


def arithmetic_of_gpus(precision: str) -> Arithmetic:
    """Get the arithmetic of GPUs for a precision: ``FLOAT32``, ``FAST``, or what JAX's setting takes."""
    if precision != FAST:
        return Arithmetic(precision)
    # XLA multiplies on matrix units of NVIDIA for the default, but not for `Precision.HIGH`.
    return Arithmetic(lax.Precision.DEFAULT, is_half=True)


def arithmetic_of_tpus(precision: str) -> Arithmetic:
    """Get the arithmetic of TPUs for a precision, likewise."""
    return Arithmetic(lax.Precision.HIGH if precision == FAST else precision)
