"""Containers changed by their structure: metadata, sizes, shards, zip files, embedded models, latents.

Checksums are computed anew for half of the changed metadata and for all changed chunks, so that the checks
behind them are reached. Each container is refused, or it can be read; ``info`` takes less than a second.
"""

import base64
import contextlib
import copy
import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization

import nvc_jax
from fuzz.subjects import Input, Subject, change_bytes
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.networks import init_params
from nvc_jax.container.chunk_checksum import seal_chunk, unseal_chunk
from nvc_jax.container.configuration import identify
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes
from nvc_jax.core.json_documents import read_json
from nvc_jax.models.identity import model_sha256
from nvc_jax.models.registry import stored_config

MAX_INFO_SECONDS = 1.0
MAX_VOXELS = 1 << 16
"""Voxels beyond which a volume is not read as a whole: its size is stated honestly, and memory is finite."""
MAX_PROGRAMS = 12
"""Different (chunk shape, dtype, step) of which chunks are decoded: each takes programs of its own."""
METADATA = "zarr.json"
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
_NAMES = ("colour", "bound", "step", "embedded", "psnr", "version")
CHUNK = (8, 8, 8)


def make_containers(directory: Path) -> dict[str, Path]:
    """Write a container of each structure, of two chunks."""
    z, y, x = np.indices((8, 8, 16))
    wave = (np.sin(z / 4 + y / 5) * np.cos(x / 6)).astype(np.float32)
    config = DenseConfig(block_size=4, margin=1, latent_dim=3, hidden_sizes=(8,))
    network = nvc_jax.Codec(config, init_params(config, key=jax.random.key(0)))
    options: dict[str, dict[str, Any]] = {
        "chunks.zarr": {"max_error": 0.01},
        "shards.zarr": {"lossless": True, "shards": (8, 8, 16)},
        "file.zarr.zip": {"max_error": 0.01},
        "embedded.zarr": {"model": network},
        "latents.zarr": {"model": network, "step": 0.1},
        "ruled.zarr": {"step": 0.1, "missing_values": [7], "value_limits": (-1, 2), "exact_values": [0, 1]},
        "series.zarr": {"max_error": 0.01, "chunks": (1, *CHUNK)},
    }
    for name, chosen in options.items():
        volume = wave.reshape(2, *CHUNK) if name == "series.zarr" else wave
        nvc_jax.compress(volume, directory / name, **{"chunks": CHUNK} | chosen)
    return {name.split(".")[0]: directory / name for name in options}


def read_files(store: Path) -> dict[str, bytes]:
    """Read the files of a container, by their names below its parent."""
    paths = [path for path in store.rglob("*") if path.is_file()] if store.is_dir() else [store]
    return {str(path.relative_to(store.parent)): path.read_bytes() for path in paths}


class ChangedContainer:
    """A container of which files are changed, read, and restored.

    Args:
        path: of the container.
        programs: properties of the chunks that are decoded, which all containers share.
    """

    def __init__(self, path: Path, programs: set[tuple]) -> None:
        self.path, self.sound = path, read_files(path)
        self._programs = programs

    def file(self, name: str) -> bytes:
        """Contents of a file of the container."""
        return self.sound[f"{self.path.name}/{name}"]

    def changed(self, name: str, content: bytes | None) -> Input:
        """Input in which one file has other contents."""
        return {f"{self.path.name}/{name}": content}

    @property
    def document(self) -> Any:
        """The container's metadata, to be changed."""
        return json.loads(self.file(METADATA))

    @property
    def metadata(self) -> ContainerMetadata:
        """The container's metadata."""
        return ContainerMetadata.from_json(self.document)

    def read(self, files: Input) -> None:
        """Read the container with other files in all ways, and restore it."""
        try:
            for name, content in files.items():
                path = self.path.parent / name
                path.unlink(missing_ok=True)
                if content is not None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
            read_container(self.path, self._programs)
        finally:
            for name in files:
                path = self.path.parent / name
                if name in self.sound:
                    path.write_bytes(self.sound[name])
                elif path.exists():
                    path.unlink()


def read_container(path: Path, programs: set[tuple]) -> None:
    """Read a container in all ways; an error if it is refused."""
    start = time.process_time()  # others may take the processor meanwhile
    described = nvc_jax.info(path)
    json.dumps(described)
    seconds = time.process_time() - start
    assert seconds < MAX_INFO_SECONDS, f"info took {seconds} s"
    view = nvc_jax.open(path)
    program = (*described["chunk"], described["dtype"], described["step"] is None, described["sha256"])
    if program not in programs and len(programs) >= MAX_PROGRAMS:
        return
    programs.add(program)
    view[:1, :1, :1].read().result()
    if np.prod(described["shape"], dtype=float) <= MAX_VOXELS:
        nvc_jax.verify(None, path)
        nvc_jax.preview(path)


def read_document(files: Input) -> None:
    """Read metadata alone, as the first step of reading a container; what is read can be stated again."""
    metadata = ContainerMetadata.from_json(read_json(files[METADATA] or b""))
    restated = ContainerMetadata.from_json(json.loads(metadata.to_text()))
    for name in ("shape", "chunk", "shard", "dtype", "value_range", "max_error", "step", "target"):
        assert getattr(restated, name) == getattr(metadata, name), name


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
    way = rng.integers(6)
    if way == 0:
        del parent[key]
    elif way == 1:  # nested deeply
        for _ in range(int(rng.choice([1, 1, 1, 50, 300]))):
            parent[key] = [parent[key]]
    elif way == 2 and isinstance(parent, dict):
        parent[str(rng.choice(_NAMES))] = _hostile(rng)
    elif way == 3 and isinstance(parent[key], int | float):
        parent[key] = parent[key] * int(rng.choice([-1, 2, 1 << 20, 1 << 40]))
    elif way == 4:  # an entry of another place
        other, name = entries[rng.integers(len(entries))]
        with contextlib.suppress(RecursionError):
            parent[key] = copy.deepcopy(other[name])
    else:
        parent[key] = _hostile(rng)


def _hostile(rng: np.random.Generator) -> Any:
    return copy.deepcopy(HOSTILE[rng.integers(len(HOSTILE))])


def change_metadata(container: ChangedContainer, rng: np.random.Generator) -> bytes:
    """Change some entries of a ``zarr.json``, and compute the checksum anew in half of the cases."""
    document = container.document
    for _ in range(rng.integers(1, 4)):
        change_document(document, rng)
    if rng.integers(2):
        reseal(document)
    try:
        text = json.dumps(document).encode()
    except RecursionError:
        text = json.dumps(container.document).encode()
    if rng.integers(20) == 0:  # too deep for Python to write
        depth = int(rng.choice([10, 70, 1000, 100_000]))
        return text[:-1] + b',"attributes":' + b"[" * depth + b"]" * depth + b"}"
    return change_bytes(text, rng) if rng.integers(20) == 0 else text


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


def change_shape(container: ChangedContainer, rng: np.random.Generator) -> Input:
    """State another size of the volume, its chunks or its shards, with the right checksum."""
    document = container.document
    side = int(rng.choice([1, 7, 8, 9, 16, 24, 1 << 10, 1 << 17, 1 << 34, 1 << 44]))
    axis, place = int(rng.integers(3)), rng.integers(4)
    shape, chunk = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
    if place != 1:
        shape[axis] = side
    if place in (1, 2):
        chunk[axis] = side
    codec = document["codecs"][0]
    if codec["name"] == "sharding_indexed":
        codec["configuration"]["chunk_shape"][int(rng.integers(3))] = int(rng.choice([1, 8, 16, side]))
        codec = codec["configuration"]["codecs"][0]
    if place != 3:
        codec["configuration"]["shape"] = list(shape)
    reseal(document)
    return container.changed(METADATA, json.dumps(document).encode())


def change_shard(container: ChangedContainer, rng: np.random.Generator) -> Input:
    """Change the index of a shard, with a checksum computed anew in half of the cases."""
    n_index, name = 2 * 16, "c/0/0/0"
    data = container.file(name)
    index = data[-n_index - 4 : -4]
    if rng.integers(4):
        index = change_bytes(index, rng)
        sealed = encode_bytes(index or b"\0", "crc32c")
        return container.changed(name, data[: -n_index - 4] + sealed)
    return container.changed(name, change_bytes(data, rng))


def change_zip(container: ChangedContainer, rng: np.random.Generator) -> Input:
    """Change a ``.zip`` file, mostly the list of entries at its end."""
    data = container.sound[container.path.name]
    return {container.path.name: change_bytes(data, rng, first=-int(rng.choice([22, 100, 500])))}


def change_embedded(container: ChangedContainer, rng: np.random.Generator) -> Input:
    """Change an embedded model: its configuration, its size, its SHA-256, or its MessagePack."""
    document = container.document
    configuration = document["codecs"][0]["configuration"]
    embedded = configuration["embedded"]
    way = rng.integers(4)
    if way == 0:
        change_document(embedded, rng)
    elif way == 1:
        embedded["bytes"] = int(rng.choice([0, 1, embedded["bytes"] - 1, 2**31, 2**44, 2**62]))
    elif way == 2:
        raw = rng.bytes(int(rng.integers(1, 1000)))
        embedded |= {"params": _pack(raw), "bytes": len(raw)}
    else:
        stored = decode_bytes(base64.b64decode(embedded["params"]), "zstd", embedded["bytes"])
        raw = change_bytes(stored, rng) or b"\0"
        embedded |= {"params": _pack(raw), "bytes": len(raw)}
    if rng.integers(2):
        rename_model(configuration)
    reseal(document)
    return container.changed(METADATA, json.dumps(document).encode())


def rename_model(configuration: Any) -> None:
    """Give an embedded model the SHA-256 of its parameters, if they can be read."""
    embedded = configuration["embedded"]
    try:
        raw = decode_bytes(base64.b64decode(embedded["params"]), "zstd", embedded["bytes"])
        config = stored_config(embedded["config"])
        configuration["sha256"] = model_sha256(config, serialization.msgpack_restore(raw))
    except Exception:  # MessagePack raises kinds of its own
        pass


def _pack(raw: bytes) -> str:
    return base64.b64encode(encode_bytes(raw, "zstd")).decode()


def change_chunk(container: ChangedContainer, rng: np.random.Generator) -> Input:
    """Change the payload of a chunk, and compute its checksum anew."""
    index, metadata = (0, 0, int(rng.integers(2))), container.metadata
    name, place = "c/" + "/".join(map(str, index)), (metadata.identity, index, metadata.chunk_grid)
    payload = change_bytes(unseal_chunk(container.file(name), *place), rng) or b"\0"
    return container.changed(name, seal_chunk(payload, *place))


def change_stored(container: ChangedContainer, rng: np.random.Generator) -> Input:
    """Damage, exchange or take away a stored object, without computing its checksum anew."""
    first, second = ("c/0/0/0", "c/0/0/1") if rng.integers(2) else ("c/0/0/1", "c/0/0/0")
    way = rng.integers(8)
    if way == 0:
        return container.changed(first, None)
    if way == 1:
        return container.changed(first, container.file(second))
    return container.changed(first, change_bytes(container.file(first), rng, other=container.file(second)))


def check_damage(container: ChangedContainer, files: Input) -> None:
    """Read a container with damaged objects, which must be refused unless nothing has changed."""
    container.read(files)
    assert all(container.sound[name] == content for name, content in files.items()), "damage was accepted"


CHANGES: dict[str, tuple[str, Callable[[ChangedContainer, np.random.Generator], Input], int]] = {
    "metadata": ("chunks", lambda c, rng: c.changed(METADATA, change_metadata(c, rng)), 2),
    "metadata of shards": ("shards", lambda c, rng: c.changed(METADATA, change_metadata(c, rng)), 2),
    "metadata of latents": ("latents", lambda c, rng: c.changed(METADATA, change_metadata(c, rng)), 2),
    "metadata of series": ("series", lambda c, rng: c.changed(METADATA, change_metadata(c, rng)), 2),
    "metadata of rules": ("ruled", lambda c, rng: c.changed(METADATA, change_metadata(c, rng)), 2),
    "sizes": ("chunks", change_shape, 2),
    "sizes of shards": ("shards", change_shape, 2),
    "shards": ("shards", change_shard, 2),
    "zip files": ("file", change_zip, 4),
    "embedded models": ("embedded", change_embedded, 2),
    "payloads": ("chunks", change_chunk, 1),
    "float latents": ("embedded", change_chunk, 1),
    "coded latents": ("latents", change_chunk, 1),
    "damaged objects": ("chunks", change_stored, 2),
}
"""Changes, the container that each is applied to, and its weight."""


def container_subjects(directory: Path) -> dict[str, Subject]:
    """Containers of every structure, and metadata alone, which are read faster."""
    programs: set[tuple] = set()
    containers = {name: ChangedContainer(path, programs) for name, path in make_containers(directory).items()}
    subjects = {}
    for name, (base, change, weight) in CHANGES.items():
        container = containers[base]
        read = functools.partial(check_damage, container) if name == "damaged objects" else container.read
        sound = dict(list(container.sound.items())[:1])
        subjects[f"container: {name}"] = Subject(functools.partial(change, container), read, sound, weight)
    for name in ("chunks", "shards", "latents", "ruled"):
        container = containers[name]
        subjects[f"metadata alone: {name}"] = Subject(
            functools.partial(_change_document_alone, container),
            read_document,
            {METADATA: container.file(METADATA)},
            weight=14,
        )
    return subjects


def _change_document_alone(container: ChangedContainer, rng: np.random.Generator) -> Input:
    return {METADATA: change_metadata(container, rng)}
