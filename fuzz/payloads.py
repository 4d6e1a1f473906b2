"""Damages payloads and stores in many ways: each must be refused, or decode to an array of the right kind.

python fuzz/payloads.py [COUNT [SEED]]

A payload whose checksum an attacker made anew may decode to other values, but to nothing worse. A stored
object, whose checksum is checked, must be refused unless it is what it was.
"""

import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import nvc_jax
from nvc_jax.chunks.spectral_chunk import ChunkCodec, Target
from nvc_jax.container.metadata import FormatError
from nvc_jax.container.store import open_container

ROOM = (16, 16, 24)
MAX_SECONDS = 20.0
CODEC = nvc_jax.load_codec("nvc-1")


def volumes() -> dict[str, tuple[np.ndarray, Target]]:
    """Chunks whose payloads are of every kind, with all their sections."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices(ROOM)
    wave = np.sin(z / 4 + y / 5) * np.cos(x / 6) + rng.normal(0, 0.01, ROOM)
    holed = wave.astype(np.float32)
    holed[:4, :5] = np.nan
    holed[8, 8, :3] = np.inf
    return {
        "spectral": (wave.astype(np.float32), Target(None, 0.02)),
        "corrected": (holed, Target(0.02, 0.05)),
        "wide": (wave * 1e100, Target(1e98, 2e98)),
        "short": (wave[:13, :16, :17].astype(np.float16), Target(0.02, 0.03)),
        "lattice": (wave, Target(1e-9, 1e-9)),
        "differences": (np.rint(1000 * wave).astype(np.int16), Target(0.0, 0.0)),
        "packed": (rng.integers(0, 2**32, ROOM, dtype=np.uint32) & 0xFFFF0000, Target(0.0, 0.0)),
        "constant": (np.full(ROOM, 7, np.uint8), Target(None, 1.0)),
    }


def mutations(payload: bytes, other: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Ways to damage a payload, without end."""
    while True:
        data = bytearray(payload)
        kind = rng.integers(7)
        at = int(rng.integers(len(data)))
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            for place in rng.integers(0, len(data), rng.integers(1, 20)):
                data[place] = int(rng.integers(256))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + int(rng.integers(1, 9))]
        elif kind == 4:
            data[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 5:
            data[at:] = other[at:]
        else:  # heads tell the most
            data[at % min(100, len(data))] = int(rng.choice([0, 1, 127, 128, 255]))
        yield bytes(data)


def fuzz_payloads(count: int, seed: int) -> dict[str, int]:
    """How many damaged payloads were refused, and how many decoded."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, (values, target) in volumes().items():
        codec = ChunkCodec(CODEC, ROOM, values.dtype)
        made[name] = codec, codec.encode(values, target), values
    outcome = {"refused": 0, "decoded": 0}
    names = list(made)
    damaged = {name: mutations(made[name][1], made[names[i - 1]][1], rng) for i, name in enumerate(names)}
    for i in range(count):
        name = names[i % len(names)]
        codec, _, values = made[name]
        data = next(damaged[name])
        began = time.perf_counter()
        try:
            decoded = codec.decode(data)
        except ValueError:
            outcome["refused"] += 1
        else:
            assert decoded.dtype == values.dtype, name
            assert all(a <= b for a, b in zip(decoded.shape, ROOM, strict=True)), name
            outcome["decoded"] += 1
        assert time.perf_counter() - began < MAX_SECONDS, (name, data)
    return outcome


def fuzz_stores(count: int, seed: int) -> dict[str, int]:
    """How many damaged objects were refused; those that were not are whole."""
    rng = np.random.default_rng(seed)
    values, target = volumes()["corrected"]
    outcome = {"refused": 0, "whole": 0}
    with TemporaryDirectory() as directory:
        path = Path(directory) / "v.zarr"
        nvc_jax.compress(values, path, max_error=target.max_error, chunks=ROOM)
        chunk = path / "c" / "0" / "0" / "0"
        stored, store = chunk.read_bytes(), open_container(path)
        whole = store.read((0, 0, 0))
        for data, _ in zip(mutations(stored, stored[::-1], rng), range(count), strict=False):
            chunk.write_bytes(data)
            try:
                assert store.read((0, 0, 0)) == whole
                outcome["whole"] += 1
            except FormatError:
                outcome["refused"] += 1
    return outcome


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    print("payloads", fuzz_payloads(count, seed))
    print("stores", fuzz_stores(count // 10, seed))
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")


if __name__ == "__main__":
    main()
