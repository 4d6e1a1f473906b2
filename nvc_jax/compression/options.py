"""What ``compress`` is asked for: a target, chunks, shards, a share of the work; checked before any work."""

import math
from pathlib import Path
from typing import Any

from nvc_jax.core.shapes import Shape3, check_shape
from nvc_jax.models.codec import Codec, check_step
from nvc_jax.spectral.config import SpectralConfig

DEFAULT_MODEL = "nvc-1"
DEFAULT_STEP = 0.01
DEFAULT_CHUNK_SIDE = 128
LARGE_CHUNK_SIDE = 64
"""Of large volumes, where regions are read: eight chunks, as many as a small region may touch, take 0.1 s."""
_LARGE_VOXELS = 512**3
_CHUNKS_BEFORE_SHARDS = 512
_SHARD_CHUNKS = 4

Target = dict[str, float | bool]


def check_target(codec: Codec, **asked: Any) -> Target:
    """What was asked for, one entry, or ``ValueError``.

    Args:
        codec: the codec that is to keep to it.
        asked: ``max_error``, ``relative_error``, ``psnr``, ``step``, ``lossless``; None or
            False where not asked.
    """
    given = {key: value for key, value in asked.items() if value is not None and value is not False}
    target: Target = {key: value if value is True else float(value) for key, value in given.items()}
    if len(target) > 1:
        raise ValueError(f"{' and '.join(f'`{key}` (={v})' for key, v in target.items())} exclude each other")
    is_spectral = isinstance(codec.config, SpectralConfig)
    if not target:
        return {"step": DEFAULT_STEP} if is_spectral else {"latents": True}
    ((name, value),) = target.items()
    if name in ("max_error", "relative_error") and not 0 <= value < math.inf:
        raise ValueError(f"`{name}` (={value}) must be a number that is not negative")
    if name == "psnr" and not 10 <= value <= 90:
        raise ValueError(f"`psnr` (={value}) must lie between 10 and 90 dB")
    if name == "step":
        check_step(codec.config, value)
    if name in ("max_error", "relative_error", "lossless") and not is_spectral:
        raise ValueError(f"`{name}` (={value}) needs a spectral model such as {DEFAULT_MODEL}")
    return target


def check_chunk(chunk: tuple[int, ...], block_size: int) -> None:
    """Raise ``ValueError`` unless a chunk in voxels is made of whole blocks."""
    if len(chunk) != 3 or any(side < 1 or side % block_size for side in chunk):
        raise ValueError(
            f"`chunk` (={','.join(map(str, chunk))}) must be three positive multiples of the model's "
            f"block size (={block_size})"
        )


def check_shard(shard: tuple[int, ...], chunk: Shape3) -> None:
    """Raise ``ValueError`` unless a shard in voxels is made of whole chunks."""
    if len(shard) != 3 or any(side < 1 or side % part for side, part in zip(shard, chunk, strict=True)):
        raise ValueError(
            f"`shard` (={','.join(map(str, shard))}) must be three positive multiples of the chunk "
            f"(={','.join(map(str, chunk))})"
        )


def check_part(part: tuple[int, int]) -> None:
    """Raise ``ValueError`` unless ``part`` names one of several writers."""
    if len(part) != 2 or not 0 <= part[0] < part[1]:
        raise ValueError(f"`part` (={part}) must be the number of a writer from 0 on, and how many there are")


def default_chunk(shape: Shape3, block_size: int) -> Shape3:
    """Chunks that share the volume evenly, so that little is padded.

    They have at most 128 voxels a side, and 64 in volumes of more than 512³ voxels.
    """
    largest = DEFAULT_CHUNK_SIDE if math.prod(shape) <= _LARGE_VOXELS else LARGE_CHUNK_SIDE
    sides = []
    for side in shape:
        n_chunks = math.ceil(side / max(largest, block_size))
        sides.append(math.ceil(math.ceil(side / n_chunks) / block_size) * block_size)
    return check_shape(tuple(sides))


def default_shard(shape: Shape3, chunk: Shape3) -> Shape3 | None:
    """Shards of 4³ chunks where there would be more than 512 objects, else none."""
    n_chunks = math.prod(math.ceil(side / part) for side, part in zip(shape, chunk, strict=True))
    if n_chunks <= _CHUNKS_BEFORE_SHARDS:
        return None
    return check_shape(tuple(_SHARD_CHUNKS * side for side in chunk))


def model_name(model: str | Path | Codec) -> str:
    """What a container's metadata call the model."""
    return "custom" if isinstance(model, Codec) else Path(model).name
