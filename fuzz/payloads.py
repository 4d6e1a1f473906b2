"""Damage payloads and containers in many ways: each is refused, or decodes to a plausible array.

    python fuzz/payloads.py [COUNT [SEED]]

A damaged payload whose checksum was computed anew may decode to other values, but it must be an array of the
right dtype that fits into a chunk, within a bounded time. A stored object has a checksum: a damaged one must
be refused.
"""

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.container.store import open_container
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

PADDED_SHAPE = (16, 16, 24)
MAX_SECONDS = 20.0
"""Seconds in which a damaged payload must be decoded or refused; the first one compiles."""
N_HEADER_BYTES = 100
"""Bytes at the beginning of a payload that hold its headers, about."""
CODER = SpectralTransformCoder(nvc_jax.load_codec("nvc-1").params, PADDED_SHAPE)


def example_chunks() -> dict[str, tuple[np.ndarray, ChunkTarget]]:
    """Chunks whose payloads are of every kind and have every section."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices(PADDED_SHAPE)
    wave = np.sin(z / 4 + y / 5) * np.cos(x / 6) + rng.normal(0, 0.01, PADDED_SHAPE)
    holed = wave.astype(np.float32)
    holed[:4, :5] = np.nan
    holed[8, 8, :3] = np.inf
    plateaus = np.where(wave > 0.8, 0.8, wave).astype(np.float32)
    return {
        "levels": (np.rint(2 * wave).astype(np.int8), ChunkTarget(0.0, 0.0)),
        "exact values": (plateaus, ChunkTarget(1e-3, 2e-3)),
        "ranks": ((np.rint(300 * wave) * 0.37).astype(np.float32), ChunkTarget(0.0, 0.0)),
        "lattice": (np.rint(50 * wave).astype(np.uint8), ChunkTarget(1.0, 2.0)),
        "spectral": (wave.astype(np.float32), ChunkTarget(None, 0.02)),
        "corrected": (holed, ChunkTarget(0.02, 0.05)),
        "wide": (wave * 1e100, ChunkTarget(1e98, 2e98)),
        "short": (wave[:13, :16, :17].astype(np.float16), ChunkTarget(0.02, 0.03)),
        "uniform": (wave, ChunkTarget(1e-9, 1e-9)),
        "differences": (np.rint(1000 * wave).astype(np.int16), ChunkTarget(0.0, 0.0)),
        "packed": (rng.integers(0, 2**32, PADDED_SHAPE, dtype=np.uint32) & 0xFFFF0000, ChunkTarget(0.0, 0.0)),
        "logarithms": ((np.exp(8 * wave) * np.sign(wave)).astype(np.float32), ChunkTarget(None, 2.0, 0.02)),
        "fine logarithms": (np.exp(8 * wave), ChunkTarget(None, 2.0, 1e-6)),
        "constant": (np.full(PADDED_SHAPE, 7, np.uint8), ChunkTarget(None, 1.0)),
    }


def mutations(stored: bytes, other: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Damage bytes in random ways, without end.

    Args:
        stored: the bytes to damage.
        other: bytes whose end may replace theirs.
        rng: source of randomness.
    """
    while True:
        data = bytearray(stored)
        way = rng.integers(7)
        position = int(rng.integers(len(data)))
        if way == 0:  # flip a bit
            data[position] ^= 1 << int(rng.integers(8))
        elif way == 1:  # replace several bytes
            for index in rng.integers(0, len(data), rng.integers(1, 20)):
                data[index] = int(rng.integers(256))
        elif way == 2:  # cut off the end
            del data[position:]
        elif way == 3:  # leave some bytes out
            del data[position : position + int(rng.integers(1, 9))]
        elif way == 4:  # insert some bytes
            data[position:position] = rng.bytes(int(rng.integers(1, 9)))
        elif way == 5:  # go on with other bytes
            data[position:] = other[position:]
        else:  # put an extreme number into a header, which has the most effect
            data[position % min(N_HEADER_BYTES, len(data))] = int(rng.choice([0, 1, 127, 128, 255]))
        yield bytes(data)


def fuzz_payloads(count: int, seed: int) -> dict[str, int]:
    """Decode damaged payloads; the number of them that were refused, and that decoded."""
    rng = np.random.default_rng(seed)
    chunks = example_chunks()
    codecs = {name: ChunkCodec(CODER, PADDED_SHAPE, values.dtype) for name, (values, _) in chunks.items()}
    payloads = {name: codecs[name].encode(*chunks[name]) for name in chunks}

    names = list(chunks)
    damaged = {name: mutations(payloads[name], payloads[names[i - 1]], rng) for i, name in enumerate(names)}
    outcome = {"refused": 0, "decoded": 0}
    for i in range(count):
        name = names[i % len(names)]
        data = next(damaged[name])
        start = time.perf_counter()
        try:
            decoded = codecs[name].decode(data)
        except ValueError:
            outcome["refused"] += 1
        else:
            assert decoded.dtype == chunks[name][0].dtype, name
            assert all(side <= most for side, most in zip(decoded.shape, PADDED_SHAPE, strict=True)), name
            outcome["decoded"] += 1
        assert time.perf_counter() - start < MAX_SECONDS, (name, data)
    return outcome


def fuzz_containers(count: int, seed: int) -> dict[str, int]:
    """Read damaged objects; the number of them that were refused, and that were not damaged after all."""
    rng = np.random.default_rng(seed)
    values, target = example_chunks()["corrected"]
    outcome = {"refused": 0, "undamaged": 0}
    with TemporaryDirectory() as directory:
        path = Path(directory) / "v.zarr"
        nvc_jax.compress(values, path, max_error=target.max_error, chunks=PADDED_SHAPE)
        chunk = path / "c" / "0" / "0" / "0"
        stored, store = chunk.read_bytes(), open_container(path)
        payload = store.read((0, 0, 0))
        for data, _ in zip(mutations(stored, stored[::-1], rng), range(count), strict=False):
            chunk.write_bytes(data)
            try:
                assert store.read((0, 0, 0)) == payload
                outcome["undamaged"] += 1
            except nvc_jax.FormatError:
                outcome["refused"] += 1
    return outcome


def main() -> None:
    """Fuzz as often as the command line says, and print the outcome."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    print("payloads", fuzz_payloads(count, seed))
    print("containers", fuzz_containers(count // 10, seed))
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")


if __name__ == "__main__":
    main()
