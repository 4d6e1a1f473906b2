"""The programs that encode and decode a volume, as functions and the shapes of their arguments.

``compiled.py`` compiles them for devices that are not there, and a test lowers them for every platform.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from common import VARIANTS

import nvc_jax

SPECTRAL = "nvc-1"
PLATFORMS = ("cuda", "rocm", "tpu")
DIRECTIONS = ("encode", "decode")


@dataclasses.dataclass(frozen=True)
class Program:
    """A program.

    Attributes:
        model: name of a shipped model.
        direction: ``encode``, ``decode``, or for models with a margin ``decode crop``.
        side: of the cubic volume, float32.
        batch: number of volumes that ``jax.vmap`` takes at once; 0 without it.
        function: of ``arguments``.
        arguments: trees of ``jax.ShapeDtypeStruct``.
    """

    model: str
    direction: str
    side: int
    batch: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    @property
    def volume_bytes(self) -> int:
        """Size of all volumes."""
        return 4 * self.side**3 * max(1, self.batch)

    def trace(self) -> Any:
        """Trace the program; the result lowers it for any platforms."""
        return jax.jit(self.function).trace(*self.arguments)


def shapes_of(tree: Any) -> Any:
    """Replace arrays by their shapes and dtypes."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def make_program(model: str, direction: str, side: int, batch: int = 0) -> Program:
    """Make a program that encodes or decodes; nvc-1 with a step as an argument."""
    codec = nvc_jax.load_codec(model)
    volume = jax.ShapeDtypeStruct((side,) * 3, jnp.float32)
    step = jax.ShapeDtypeStruct((), jnp.float32)
    extra = (step,) if model == SPECTRAL else ()
    encode: Callable[..., Any] = _encode
    decode: Callable[..., Any] = functools.partial(_decode, "crop" if "crop" in direction else "blend")
    if batch:
        volume = jax.ShapeDtypeStruct((batch, *volume.shape), volume.dtype)
        encode = jax.vmap(encode, in_axes=(None, 0, *(None for _ in extra)))
        decode = jax.vmap(decode, in_axes=(None, 0))
    arguments: tuple[Any, ...] = (shapes_of(codec), volume, *extra)
    if direction == "encode":
        return Program(model, direction, side, batch, encode, arguments)
    encoded = jax.eval_shape(encode, *arguments)
    return Program(model, direction, side, batch, decode, (arguments[0], encoded))


def _encode(codec: nvc_jax.Codec, volume: jax.Array, step: jax.Array | None = None) -> Any:
    return nvc_jax.encode_volume(codec, volume, step=step)


def _decode(mode: str, codec: nvc_jax.Codec, encoded: Any) -> jax.Array:
    return nvc_jax.decode_volume(codec, encoded, mode=mode)


def directions_of(model: str) -> tuple[str, ...]:
    """Get the programs of a model: those with a margin decode in two ways."""
    has_margin = getattr(nvc_jax.load_codec(model).config, "margin", 0) > 0
    return (*DIRECTIONS, "decode crop") if has_margin else DIRECTIONS


def all_models() -> tuple[str, ...]:
    """Names of nvc-1 and of the models of the paper."""
    return (SPECTRAL, *VARIANTS)
