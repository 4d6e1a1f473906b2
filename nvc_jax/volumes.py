"""Any source of a 3-D volume as one lazy ``tensorstore.TensorStore``, and volumes written to files.

Understood: arrays, ``.npy`` (memory-mapped), ``.npz``, ``.raw`` named as in Open SciVis
(``name_XxYxZ_dtype.raw``, x fastest, memory-mapped), Zarr and anything else that a TensorStore spec or
URL names. Axes are z, y, x.
"""

import contextlib
import importlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tensorstore as ts

from nvc_jax.blocks import check_shape
from nvc_jax.normalize import check_dtype

_RAW_NAME = re.compile(
    r"_(?P<x>\d+)x(?P<y>\d+)x(?P<z>\d+)(_[\d.]+x[\d.]+x[\d.]+)?_(?P<dtype>u?int\d+|float\d+)\.raw$"
)
_SUFFIXES = (".npy", ".npz", ".raw", ".zarr")
_ZARR_KEYS = ("zarr.json", ".zarray", ".zgroup")


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or raise an error that names the command that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}: `pip install 'nvc_jax[{extra}]'` brings it") from error


def open_volume(source: Any) -> ts.TensorStore:
    """Open ``source`` for reading without loading it (``.npz`` members are loaded whole).

    Args:
        source: an array, a ``TensorStore``, a TensorStore spec (dict) or URL, or the path of a
            ``.npy``, ``.npz`` (its member ``volume``, or its only one), ``.raw`` or Zarr volume.

    Returns:
        A store of rank 3 and a supported dtype, with its origin at zero.

    Raises:
        FileNotFoundError: there is no file or directory of that name.
        TypeError: the dtype is not supported.
        ValueError: wrong rank, an empty side, or a file that is not what its name says.
    """
    name = str(source) if isinstance(source, str | Path) else "volume"
    if isinstance(source, ts.TensorStore):
        store = source
    elif isinstance(source, dict):
        store = ts.open(source, read=True, open=True).result()
    elif isinstance(source, str | Path):
        store = _open_path(str(source))
    else:
        store = _wrap(np.asarray(source), "volume")
    check_shape(store.shape, name)
    check_dtype(store.dtype.numpy_dtype, name)
    return store[ts.d[:].translate_to[0]]


def read_volume(source: Any) -> np.ndarray:
    """The whole of ``source`` (see ``open_volume``) as an array."""
    return np.asarray(open_volume(source).read().result())


def _open_path(source: str) -> ts.TensorStore:
    if "://" in source:
        return ts.open({"driver": "auto", "kvstore": source}, read=True, open=True).result()
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"`{source}` does not exist")
    if path.suffix == ".npy":
        return _wrap(_load_npy(path), source)
    if path.suffix == ".npz":
        return _wrap(_load_npz(path), source)
    if path.suffix == ".raw":
        return _wrap(_load_raw(path), source)
    if path.is_dir():
        try:
            spec = {"driver": "auto", "kvstore": {"driver": "file", "path": f"{path.absolute()}/"}}
            return ts.open(spec, read=True, open=True).result()
        except ValueError as error:
            raise ValueError(f"`{source}` is a directory but no readable Zarr array: {error}") from error
    raise ValueError(f"`{source}`: the suffix must be one of {', '.join(_SUFFIXES)}")


def _wrap(array: np.ndarray, name: str) -> ts.TensorStore:
    check_shape(array.shape, name)
    native = array.dtype.newbyteorder("=")
    check_dtype(native, name)
    return ts.array(array if array.dtype == native else array.astype(native))


def _load_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"`{path}` is not a readable .npy array: {error}") from error


def _load_npz(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            members = archive.files
            member = "volume" if "volume" in members else members[0] if len(members) == 1 else None
            if member is None:
                raise ValueError(f"it holds {members}; name the volume's member `volume`")
            return archive[member]
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise ValueError(f"`{path}` is not a readable .npz volume: {error}") from error


def raw_layout(path: Path) -> tuple[tuple[int, int, int], np.dtype]:
    """Shape (z, y, x) and dtype that an Open SciVis file name states."""
    match = _RAW_NAME.search(path.name)
    if match is None:
        raise ValueError(f"`{path.name}` must be named like `name_XxYxZ_dtype.raw`, x fastest")
    shape = check_shape((int(match["z"]), int(match["y"]), int(match["x"])), path.name)
    check_dtype(match["dtype"], path.name)
    return shape, np.dtype(match["dtype"]).newbyteorder("<")


def _load_raw(path: Path) -> np.ndarray:
    shape, dtype = raw_layout(path)
    expected_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    actual_bytes = path.stat().st_size
    if actual_bytes != expected_bytes:
        raise ValueError(
            f"`{path.name}` holds {actual_bytes} bytes; its name says {expected_bytes} "
            f"({shape[2]}·{shape[1]}·{shape[0]} voxels of {dtype.name})"
        )
    return np.memmap(path, dtype, mode="r", shape=shape)


def check_writable(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise unless ``write_volume`` can store such a volume at ``path``: before work is spent on it."""
    z, y, x = check_shape(shape)
    check_dtype(dtype)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"`{path}`: the suffix must be one of {', '.join(_SUFFIXES)}")
    check_replaceable(path)
    if path.suffix == ".raw" and raw_layout(path) != ((z, y, x), dtype):
        raise ValueError(f"`{path.name}` must end in `_{x}x{y}x{z}_{dtype.name}.raw` for this volume")


def check_replaceable(path: Path) -> None:
    """Raise unless ``path`` can be made, or is a file or a Zarr store that may be replaced."""
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"the directory of `{path}` does not exist")
    if path.is_dir() and any(path.iterdir()) and not any((path / key).is_file() for key in _ZARR_KEYS):
        raise FileExistsError(f"`{path}` is a directory that is no Zarr store; it will not be replaced")


def write_volume(path: Path | str, volume: np.ndarray) -> None:
    """Write ``volume`` as ``.npy``, ``.npz``, ``.raw`` or Zarr v3, chosen by the suffix.

    The file appears under its name only when it is whole. An existing file or Zarr store is replaced.

    Raises:
        FileExistsError: ``path`` is a directory that is no Zarr store.
        FileNotFoundError: there is no directory to write to.
        TypeError: the dtype is not supported.
        ValueError: wrong rank, an empty side, or a name that does not suit the volume.
    """
    path = Path(path)
    check_writable(path, volume.shape, volume.dtype)
    with replacing(path) as partial:
        if path.suffix == ".npy":
            np.save(partial, volume)
        elif path.suffix == ".npz":
            np.savez_compressed(partial, volume=volume)
        elif path.suffix == ".raw":
            volume.astype(volume.dtype.newbyteorder("<")).tofile(partial)
        else:
            spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{partial}/"}}
            store = ts.open(spec, create=True, dtype=volume.dtype, shape=volume.shape).result()
            store.write(volume).result()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path in a fresh directory beside ``path`` to write a file or directory to.

    On success it is moved to ``path`` in place of what was there; on failure it is removed, and what was
    there stays.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent) as directory:
        partial = Path(directory) / path.name
        yield partial
        put_in_place(partial, path)


def put_in_place(partial: Path, path: Path) -> None:
    """Move a whole file or directory to ``path``, in place of what is there."""
    if not path.is_dir():
        os.replace(partial, path)
        return
    # os.replace cannot put a directory in another's place.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent) as directory:
        replaced = Path(directory) / "replaced"
        os.replace(path, replaced)
        try:
            os.replace(partial, path)
        except BaseException:
            os.replace(replaced, path)
            raise
