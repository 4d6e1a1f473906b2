"""Writing of a volume by a kernel of TPUs, while the kernel computes what comes next."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nvc_jax.autoencoder.tile_operations import BLOCK, TILE_Y
from nvc_jax.autoencoder.tile_windows import LAYERS, MARGIN


class Writer:
    """Writes the planes of buffers to the volume, those of the program before while the next one computes."""

    def __init__(self, volume: Any, buffers: Any, semaphores: Any, y: jax.Array) -> None:
        self._volume, self._buffers, self._semaphores, self._y = volume, buffers, semaphores, y

    def start(self, z: jax.Array) -> None:
        """Start to write the planes of program ``z`` along z."""
        self._for_each(z, lambda copy: copy.start)

    def wait(self, z: jax.Array) -> None:
        """Wait until the planes of program ``z`` are written."""
        self._for_each(z, lambda copy: copy.wait)

    def finish(self, z: jax.Array) -> None:
        """Write the last planes of the volume, which are the first of program ``z``."""
        copy = self._copy(z, 0, MARGIN)
        copy.start()
        copy.wait()

    def _for_each(self, z: jax.Array, act: Callable[[Any], Callable[[], None]]) -> None:
        from jax.experimental import pallas

        act(self._copy(z, MARGIN, LAYERS * BLOCK - MARGIN))()
        pallas.when(z > 0)(act(self._copy(z, 0, MARGIN)))

    def _copy(self, z: jax.Array, first: int, n_planes: int) -> Any:
        from jax.experimental import pallas
        from jax.experimental.pallas import tpu

        height = TILE_Y * BLOCK
        plane = jnp.maximum(z * (LAYERS * BLOCK) + (first - MARGIN), 0)
        return tpu.make_async_copy(
            self._buffers.at[z % 2, first : first + n_planes],
            self._volume.at[pallas.ds(plane, n_planes), pallas.ds(self._y * height, height)],
            self._semaphores.at[z % 2],
        )
