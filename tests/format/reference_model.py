"""Models and their parameters: section 5 of ``FORMAT.md``.

A model is its configuration, as in JSON, and its parameters by path. A path is a tuple of strings, and of
numbers for entries of lists.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import numpy as np
import tensorstore as ts
from reference_common import decompress, require

ParameterPath = tuple[str | int, ...]


class Model(NamedTuple):
    """A model: its configuration, and its parameters by path."""

    config: dict[str, Any]
    parameters: dict[ParameterPath, np.ndarray]

    def nested(self) -> dict[Any, Any]:
        """Return the parameters as nested dicts."""
        tree: dict[Any, Any] = {}
        for path, array in self.parameters.items():
            branch = tree
            for part in path[:-1]:
                branch = branch.setdefault(part, {})
            branch[path[-1]] = array
        return tree


# 5.1 Model directories


def read_model(directory: Path) -> Model:
    """Read a model from its directory."""
    description = json.loads((directory / "config.json").read_text())
    base = {"driver": "ocdbt", "base": f"file://{directory.absolute()}/params/"}
    keys = [key.decode() for key in ts.KvStore.open(base).result().list().result()]
    parameters = {}
    for name in sorted({key.split("/")[0] for key in keys}):
        spec = {"driver": "zarr", "kvstore": {**base, "path": f"{name}/"}}
        path = tuple(int(part) if part.isdigit() else part for part in name.split("."))
        parameters[path] = np.asarray(ts.open(spec).result().read().result())
    model = Model(description["model"], parameters)
    require(model_sha256(model) == description["sha256"], "a model does not have the SHA-256 that it states")
    return model


# 5.2 Embedded models


def read_embedded(embedded: Mapping[str, Any], sha256: str) -> Model:
    """Read the model that a container's metadata hold."""
    packed = base64.b64decode(embedded["params"], validate=True)
    data = decompress("zstd", packed, embedded["bytes"])
    tree = msgpack.unpackb(data, ext_hook=unpack_array, strict_map_key=False)
    model = Model(embedded["config"], dict(walk(tree)))
    require(model_sha256(model) == sha256, "the embedded model is not the one of that SHA-256")
    return model


def unpack_array(code: int, data: bytes) -> np.ndarray:
    """Unpack an extension value of MessagePack."""
    require(code == 1, f"a parameter is of the extension type {code}")
    shape, dtype, values = msgpack.unpackb(data)
    return np.frombuffer(values, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def walk(tree: Mapping[Any, Any], path: ParameterPath = ()) -> Iterator[tuple[ParameterPath, np.ndarray]]:
    """Yield the path and the array of each leaf of nested maps."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from walk(value, (*path, key))
        else:
            yield (*path, key), value


# 5.5 SHA-256


def model_sha256(model: Model) -> str:
    """Return the SHA-256 of a model, in hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(model.config, sort_keys=True).encode())
    named = {path_text(path): np.asarray(array) for path, array in model.parameters.items()}
    for text, array in sorted(named.items(), key=lambda item: item[0]):
        digest.update(f"{text}{shape_text(array.shape)}".encode())
        digest.update(array.astype("<f4").tobytes())
    return digest.hexdigest()


def path_text(path: ParameterPath) -> str:
    """Write a path: names in brackets and quotes, numbers in brackets."""
    return "".join(f"[{part}]" if isinstance(part, int) else f"['{part}']" for part in path)


def shape_text(shape: tuple[int, ...]) -> str:
    """Write a shape: sides in parentheses, a single one followed by a comma."""
    return f"({shape[0]},)" if len(shape) == 1 else f"({', '.join(map(str, shape))})"
