"""Change containers by their structure: metadata, shards, zip files, embedded models, latents and sizes.

    python fuzz/containers.py [COUNT [SEED]]

Checksums are computed anew for half of the changed metadata and for all changed chunks, so that the checks
behind them are reached. Each container is refused with one of ``REFUSALS``, or it can be read;
in both cases within bounded time and memory. ``info`` takes less than a second.
"""

import base64
import copy
import json
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np

import nvc_jax
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.networks import init_params
from nvc_jax.container.chunk_checksum import seal_chunk
from nvc_jax.container.configuration import identify
from nvc_jax.container.store import open_container
from nvc_jax.core.byte_codecs import encode_bytes

MAX_SECONDS = 20.0
"""Seconds in which a container must be read or refused; the first of a kind compiles."""
MAX_INFO_SECONDS = 1.0
MAX_VOXELS = 1 << 20
"""Voxels beyond which a volume is not read as a whole: its size is stated honestly, and memory is finite."""
REFUSALS = (ValueError, FileNotFoundError)
HOSTILE: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        2**31 - 1,
        2**34,
        2**44,
        2**53,
        2**64,
        10**400,
        0.5,
        -0.0,
        1e308,
        1e-320,
    ),
    *("", "nvc", "0" * 16, "f" * 64, "/", "..", "\ud800", "x" * 10_000, "float128", "object", "int16"),
    *([], {}, [0], [1, 1], [1] * 4, [2**34] * 3, [8192] * 3, [8, 8, 8], {"name": "nvc"}, [[[[]]]]),
    *({"lossless": True}, float("nan"), float("inf")),
)
"""Values that take the place of others in metadata."""
CHUNK = (8, 8, 8)


def make_seeds(directory: Path) -> dict[str, Path]:
    """Write a container of each structure."""
    z, y, x = np.indices((16, 16, 16))
    wave = (np.sin(z / 4 + y / 5) * np.cos(x / 6)).astype(np.float32)
    config = DenseConfig(block_size=4, margin=1, latent_dim=3, hidden_sizes=(8,))
    network = nvc_jax.Codec(config, init_params(config, key=jax.random.key(0)))
    options: dict[str, dict[str, Any]] = {
        "chunks.zarr": {"max_error": 0.01, "chunks": CHUNK},
        "shards.zarr": {"lossless": True, "chunks": CHUNK, "shards": (8, 16, 16)},
        "file.zarr.zip": {"max_error": 0.01, "chunks": CHUNK},
        "embedded.zarr": {"model": network, "chunks": CHUNK},
        "latents.zarr": {"model": network, "chunks": CHUNK, "step": 0.1},
        "series.zarr": {"max_error": 0.01, "chunks": (1, *CHUNK)},
    }
    for name, chosen in options.items():
        nvc_jax.compress(
            wave.reshape(2, 8, 16, 16) if name == "series.zarr" else wave, directory / name, **chosen
        )
    return {name.split(".")[0]: directory / name for name in options}


def entries_of(document: Any) -> Iterator[tuple[Any, Any]]:
    """Iterate over the lists and objects of a document, each with one of its keys."""
    keys = document.keys() if isinstance(document, dict) else range(len(document))
    for key in list(keys):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from entries_of(document[key])


def change_document(document: Any, rng: np.random.Generator) -> None:
    """Change one entry of a JSON document."""
    entries = list(entries_of(document))
    if not entries:
        return
    parent, key = entries[rng.integers(len(entries))]
    way = rng.integers(5)
    if way == 0:
        del parent[key]
    elif way == 1:  # nested deeply
        for _ in range(int(rng.choice([1, 50, 300]))):
            parent[key] = [parent[key]]
    elif way == 2 and isinstance(parent, dict):
        parent[str(rng.choice(["colour", "bound", "step", "embedded", "psnr", "version"]))] = HOSTILE[
            rng.integers(len(HOSTILE))
        ]
    elif way == 3 and isinstance(parent[key], int | float):
        parent[key] = parent[key] * int(rng.choice([-1, 2, 1 << 20, 1 << 40]))
    else:
        parent[key] = copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])


def change_metadata(store: Path, rng: np.random.Generator) -> None:
    """Change some entries of a ``zarr.json``, and compute the checksum anew in half of the cases."""
    path = store / "zarr.json"
    document = json.loads(path.read_text())
    for _ in range(rng.integers(1, 4)):
        change_document(document, rng)
    if rng.integers(2):
        reseal(document)
    depth = int(rng.choice([0] * 15 + [100_000]))  # too deep for Python to write
    text = json.dumps(document)
    path.write_text(text[:-1] + ',"attributes":' + "[" * depth + "]" * depth + "}" if depth else text)


def reseal(document: Any) -> None:
    """Give metadata the checksum of what they state, if they have a place for one."""
    try:
        codecs, chunk = document["codecs"], document["chunk_grid"]["configuration"]["chunk_shape"]
        if codecs[0]["name"] == "sharding_indexed":
            chunk = codecs[0]["configuration"]["chunk_shape"]
            codecs = codecs[0]["configuration"]["codecs"]
        configuration = codecs[0]["configuration"]
        configuration["id"] = identify(configuration, chunk, document["data_type"])
    except (TypeError, KeyError, IndexError, ValueError, OverflowError, AttributeError, RecursionError):
        pass


def change_bytes(data: bytes, rng: np.random.Generator, *, tail: int = 0) -> bytes:
    """Change some bytes, among the last ``tail`` ones if there are so many."""
    changed = bytearray(data)
    first = max(0, len(changed) - tail) if tail else 0
    for _ in range(rng.integers(1, 5)):
        position = int(rng.integers(first, len(changed)))
        width = int(rng.choice([1, 2, 4, 8]))
        value = int(rng.choice([0, 1, 127, 255, 2**31, 2**62, -1])) & ((1 << 8 * width) - 1)
        changed[position : position + width] = value.to_bytes(width, "little")
    return bytes(changed[: rng.integers(len(changed) + 1)] if rng.integers(8) == 0 else changed)


def change_file(path: Path, rng: np.random.Generator, tail: int) -> None:
    path.write_bytes(change_bytes(path.read_bytes(), rng, tail=tail))


def change_shard(store: Path, rng: np.random.Generator) -> None:
    """Change the index of a shard, with a checksum computed anew in half of the cases."""
    path = store / "c" / "0" / "0" / "0"
    n_index = 4 * 16
    data = path.read_bytes()
    index = data[-n_index - 4 : -4]
    if rng.integers(2):
        index = change_bytes(index, rng)
    path.write_bytes(data[: -n_index - 4] + encode_bytes(index or b"\0", "crc32c"))


def change_zip(path: Path, rng: np.random.Generator) -> None:
    """Change the list of entries at the end of a ``.zip`` file."""
    change_file(path, rng, tail=int(rng.choice([22, 100, 2000])))


def change_embedded(store: Path, rng: np.random.Generator) -> None:
    """Change an embedded model: its configuration, its size, or its MessagePack."""
    document = json.loads((store / "zarr.json").read_text())
    configuration = document["codecs"][0]["configuration"]
    embedded = configuration["embedded"]
    way = rng.integers(3)
    if way == 0:
        change_document(embedded, rng)
    elif way == 1:
        embedded["bytes"] = int(rng.choice([0, 1, embedded["bytes"] - 1, 2**31, 2**44, 2**62]))
    else:
        raw = rng.bytes(int(rng.integers(1, 1000)))
        embedded |= {"params": base64.b64encode(encode_bytes(raw, "zstd")).decode(), "bytes": len(raw)}
    if isinstance(configuration.get("embedded"), dict):
        reseal(document)
    (store / "zarr.json").write_text(json.dumps(document))


def change_chunk(store: Path, rng: np.random.Generator) -> None:
    """Change the payload of a chunk, and compute its checksum anew."""
    container = open_container(store)
    index = (0, int(rng.integers(2)), 1)
    payload = change_bytes(container.read(index), rng) or b"\0"
    sealed = seal_chunk(payload, container.metadata.identity, index, container.metadata.chunk_grid)
    (store / "c" / "/".join(map(str, index))).write_bytes(sealed)


CHANGES: dict[str, tuple[str, Callable[[Path, np.random.Generator], None]]] = {
    "metadata": ("chunks", change_metadata),
    "metadata of shards": ("shards", change_metadata),
    "metadata of latents": ("latents", change_metadata),
    "metadata of series": ("series", change_metadata),
    "shards": ("shards", change_shard),
    "zip files": ("file", change_zip),
    "embedded models": ("embedded", change_embedded),
    "payloads": ("chunks", change_chunk),
    "float latents": ("embedded", change_chunk),
    "coded latents": ("latents", change_chunk),
}
"""Changes, and the container that each is applied to."""


def read_container(path: Path) -> None:
    """Read a container in all ways; an error of ``REFUSALS`` if it is refused."""
    start = time.process_time()
    try:
        described = nvc_jax.info(path)
        json.dumps(described)
    finally:
        seconds = time.process_time() - start
        assert seconds < MAX_INFO_SECONDS, f"info took {seconds} s"
    view = nvc_jax.open(path)
    view[(slice(0, 1),) * view.rank].read().result()
    if np.prod(described["shape"], dtype=float) <= MAX_VOXELS:
        nvc_jax.verify(None, path)
        nvc_jax.preview(path)


def fuzz_containers(count: int, seed: int) -> dict[str, dict[str, int]]:
    """Read changed containers; the number of those that were refused and read, by the kind of change."""
    rng = np.random.default_rng(seed)
    outcome = {name: {"refused": 0, "read": 0} for name in CHANGES}
    with TemporaryDirectory() as directory:
        seeds = make_seeds(Path(directory))
        for path in seeds.values():
            read_container(path)
        names = list(CHANGES)
        for number in range(count):
            name = names[number % len(names)]
            kind, change = CHANGES[name]
            changed = Path(directory) / f"changed-{seeds[kind].name}"
            (shutil.copytree if seeds[kind].is_dir() else shutil.copy)(seeds[kind], changed)
            change(changed, rng)
            start = time.perf_counter()
            try:
                read_container(changed)
                outcome[name]["read"] += 1
            except REFUSALS as error:
                if not str(error):
                    raise
                outcome[name]["refused"] += 1
            except BaseException:
                shutil.copytree(Path(directory), f"fuzz-{seed}-{number}", dirs_exist_ok=True)
                print(f"change {number} of seed {seed}, {name}: kept in fuzz-{seed}-{number}", flush=True)
                raise
            assert time.perf_counter() - start < MAX_SECONDS, (name, number)
            shutil.rmtree(changed) if changed.is_dir() else changed.unlink()
    return outcome


def main() -> None:
    """Fuzz as often as the command line says, and print the outcome."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for name, numbers in fuzz_containers(count, seed).items():
        print(name, numbers)
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")


if __name__ == "__main__":
    main()
