"""Payloads that are damaged: each is refused, or decodes to a plausible array.

Whoever damages a payload can compute its checksum anew. Then it may decode to other values, but it must be an
array of the right dtype that fits into a chunk.
"""

import functools
from pathlib import Path

import numpy as np

import nvc_jax
from fuzz.subjects import Input, Subject, change_bytes
from nvc_jax.chunks.payload_codec import PayloadCodec
from nvc_jax.chunks.step_codec import make_payload_codec
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PADDED_SHAPE = (8, 8, 16)
_MOST_STEPS = 4
_NAME = "payload"


def example_chunks() -> dict[str, tuple[np.ndarray, ChunkTarget]]:
    """Chunks whose payloads are of every kind and have every section."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices(PADDED_SHAPE)
    wave = np.sin(z / 4 + y / 5) * np.cos(x / 6) + rng.normal(0, 0.01, PADDED_SHAPE)
    holed = wave.astype(np.float32)
    holed[:4, :5] = np.nan
    holed[7, 7, :3] = np.inf
    plateaus = np.where(wave > 0.8, 0.8, wave).astype(np.float32)
    series = np.stack([holed, wave * 0.9, np.full(PADDED_SHAPE, 7), wave]).astype(np.float32)
    return {
        "levels": (np.rint(2 * wave).astype(np.int8), ChunkTarget(0.0, 0.0)),
        "exact values": (plateaus, ChunkTarget(1e-3, 2e-3)),
        "ranks": ((np.rint(300 * wave) * 0.37).astype(np.float32), ChunkTarget(0.0, 0.0)),
        "lattice": (np.rint(50 * wave).astype(np.uint8), ChunkTarget(1.0, 2.0)),
        "spectral": (wave.astype(np.float32), ChunkTarget(None, 0.02)),
        "corrected": (holed, ChunkTarget(0.02, 0.05)),
        "wide": (wave * 1e100, ChunkTarget(1e98, 2e98)),
        "short": (wave[:7, :8, :13].astype(np.float16), ChunkTarget(0.02, 0.03)),
        "uniform": (wave, ChunkTarget(1e-9, 1e-9)),
        "differences": (np.rint(1000 * wave).astype(np.int16), ChunkTarget(0.0, 0.0)),
        "long integers": ((wave * 2.0**62).astype(np.int64), ChunkTarget(2.0**50, 2.0**51)),
        "packed": (rng.integers(0, 2**32, PADDED_SHAPE, dtype=np.uint32) & 0xFFFF0000, ChunkTarget(0.0, 0.0)),
        "logarithms": ((np.exp(8 * wave) * np.sign(wave)).astype(np.float32), ChunkTarget(None, 2.0, 0.02)),
        "fine logarithms": (np.exp(8 * wave), ChunkTarget(None, 2.0, 1e-6)),
        "mask": (wave > 0.3, ChunkTarget(0.0, 0.0)),
        "steps": (series[[1, 0, 1, 2]], ChunkTarget(None, 0.2)),
        "bounded steps": (series[[0, 3, 0]], ChunkTarget(0.1, 0.25)),
        "integer steps": (np.rint(50 * series[[1, 3]]).astype(np.int16), ChunkTarget(None, 20.0)),
        "constant": (np.full(PADDED_SHAPE, 7, np.uint8), ChunkTarget(None, 1.0)),
    }


def payload_subjects(_: Path) -> dict[str, Subject]:
    """Payloads of every kind."""
    coder = SpectralTransformCoder(nvc_jax.load_codec("nvc-1").params, PADDED_SHAPE)
    chunks = example_chunks()
    codecs = {name: _codec_of(coder, values) for name, (values, _) in chunks.items()}
    payloads = {name: codecs[name].encode(*chunks[name]) for name in chunks}
    names = list(chunks)
    return {
        f"payload: {name}": Subject(
            make=functools.partial(_damage, payloads[name], payloads[names[i - 1]]),
            read=functools.partial(_decode, codecs[name], chunks[name][0].dtype),
            sound={_NAME: payloads[name]},
            weight=8,
        )
        for i, name in enumerate(names)
    }


def _codec_of(coder: SpectralTransformCoder, values: np.ndarray) -> PayloadCodec:
    """Make the codec of a chunk: (z, y, x), or (step, z, y, x)."""
    n_steps = len(values) if values.ndim > len(PADDED_SHAPE) else 1
    return make_payload_codec(coder, PADDED_SHAPE, values.dtype, None, PADDED_SHAPE, n_steps)


def _damage(payload: bytes, other: bytes, rng: np.random.Generator) -> Input:
    return {_NAME: change_bytes(payload, rng, other=other)}


def _decode(codec: PayloadCodec, dtype: np.dtype, damaged: Input) -> None:
    """Decode a payload, and about the means of its blocks."""
    payload = damaged[_NAME] or b""
    decoded = codec.decode(payload)
    means = codec.decode_preview(payload)
    for values in (decoded, means):
        assert values.dtype == dtype, values.dtype
        most = (_MOST_STEPS, *PADDED_SHAPE)[-values.ndim :]
        assert all(side <= limit for side, limit in zip(values.shape, most, strict=True)), values.shape
