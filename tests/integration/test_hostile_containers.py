"""Containers that anyone may have made: refused soon, within little memory, by an error that says why."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_params import draw_params
from stored_metadata import CONFIGURATION, change_metadata

import nvc_jax
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.cli import main

EMBEDDED = (*CONFIGURATION, "embedded")
SHAPE = (("shape",), (*CONFIGURATION, "shape"))
CHUNK_SHAPE = (("chunk_grid", "configuration", "chunk_shape"),)


def change(*paths: tuple[str | int, ...], value: Any) -> Callable[[Path], None]:
    """Make a function that changes entries of a container's metadata, and computes their checksum anew."""

    def apply(store: Path) -> None:
        for path in paths:
            change_metadata(store, path, value)

    return apply


def replace_metadata(text: str) -> Callable[[Path], None]:
    return lambda store: (store / "zarr.json").write_text(text) and None


def replace_by_pipe(name: str) -> Callable[[Path], None]:
    """Make a function that replaces a file of a container, or the container, by a pipe that nobody writes."""

    def apply(store: Path) -> None:
        path = store / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        os.mkfifo(path)

    return apply


def replace_by_directory(store: Path) -> None:
    (store / "c/0/0/0").unlink()
    (store / "c/0/0/0").mkdir()


def enlarge_metadata(store: Path) -> None:
    with open(store / "zarr.json", "r+") as file:
        file.truncate(1 << 40)


def replace_by_zip(store: Path, compression: int, names: tuple[str, ...] = ("zarr.json",)) -> None:
    shutil.rmtree(store)
    with zipfile.ZipFile(store, "w", compression) as archive:
        for name in names:
            archive.writestr(name, b" " * (8 << 20))


def replace_by_file(content: bytes) -> Callable[[Path], None]:
    def apply(store: Path) -> None:
        shutil.rmtree(store)
        store.write_bytes(content)

    return apply


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a long shape": (change(*SHAPE, value=[1 << 34, 16, 32]), "is missing"),
    "a large shape": (change(*SHAPE, value=[1 << 34] * 3), "`shape` .* more than 9007199254740992 voxels"),
    "a large chunk": (change(*CHUNK_SHAPE, value=[8192] * 3), "`chunk_shape` .* more than 268435456 voxels"),
    "a chunk of floats": (
        change(*CHUNK_SHAPE, value=[8.0, 8, 8]),
        "`chunk_shape` .* each a positive integer",
    ),
    "a text for a shape": (change(*SHAPE, value="16"), "`shape` .* 2 to 5 axes"),
    "deep attributes": (
        replace_metadata('{"attributes":' + "[" * 10**6 + "]" * 10**6 + "}"),
        "commas and brackets",
    ),
    "nested attributes": (
        replace_metadata('{"attributes":' + "[" * 999 + "]" * 999 + "}"),
        "more than 64 deep",
    ),
    "many attributes": (replace_metadata("[" + "[]," * 10**6 + "0]"), "commas and brackets"),
    "a long number": (
        replace_metadata("[" + "9" * 10**6 + "]"),
        "no readable Zarr v3 array: Exceeds the limit",
    ),
    "large metadata": (enlarge_metadata, "`.*zarr.json` has 1099511627776 bytes; 67108864 are the most"),
    "no metadata": (lambda store: (store / "zarr.json").unlink(), "it lacks `zarr.json`"),
    "a pipe for metadata": (replace_by_pipe("zarr.json"), "`.*zarr.json` is no file"),
    "a pipe for a chunk": (replace_by_pipe("c/0/0/0"), r"chunk \(0, 0, 0\) .*is no file"),
    "a pipe": (replace_by_pipe(""), "is no file: it is a directory, a pipe or a device"),
    "a directory for a chunk": (replace_by_directory, r"chunk \(0, 0, 0\) .*is no file"),
    "a compressed zip": (
        lambda store: replace_by_zip(store, zipfile.ZIP_DEFLATED),
        "entry `zarr.json` is compressed",
    ),
    "a zip of blanks": (lambda store: replace_by_zip(store, zipfile.ZIP_STORED), "no readable Zarr v3 array"),
    "another zip": (lambda store: replace_by_zip(store, zipfile.ZIP_STORED, ("a",)), "it lacks `zarr.json`"),
    "an empty file": (replace_by_file(b""), "is no container: it is neither a directory nor a .zip file"),
    "a volume": (replace_by_file(b"\x93NUMPY" + bytes(999)), "is no container: it is neither a directory"),
    "the end of a zip": (replace_by_file(b"PK\5\6" + b"\xff" * 18), "damaged .zip file"),
}
"""Changes of a container, and what ``info`` says of it."""

PROGRAM = """
import json, sys, time
import nvc_jax
nvc_jax.info(sys.argv[1])  # imports what is needed
for path in sys.argv[2:]:
    start = time.process_time()
    try:
        message = str(nvc_jax.info(path))
    except nvc_jax.FormatError as error:
        message = f"FormatError: {error}"
    except ValueError as error:
        message = f"ValueError: {error}"
    # Not `ru_maxrss`, which begins with that of the parent.
    (peak,) = (int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps([message, time.process_time() - start, peak]), flush=True)
"""


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("container") / "v.zarr"
    nvc_jax.compress(
        np.arange(8 * 8 * 16, dtype=np.int16).reshape(8, 8, 16), path, lossless=True, chunks=(8,) * 3
    )
    return path


@pytest.fixture(scope="module")
def answers(container: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, float, int]]:
    """Message, seconds and peak of memory in MiB of ``info`` for each case, in one process."""
    directory, paths = tmp_path_factory.mktemp("cases"), []
    for number, (apply, _) in enumerate(CASES.values()):
        paths.append(Path(shutil.copytree(container, directory / f"{number}.zarr")))
        apply(paths[-1])
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(container), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return dict(zip(CASES, map(json.loads, run.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_hostile_containers_are_refused_soon(name: str, answers: dict[str, tuple[str, float, int]]) -> None:
    message, seconds, peak = answers[name]
    assert message.startswith(("FormatError: ", "ValueError: "))
    assert re.search(CASES[name][1], message), message
    assert seconds < 1
    assert peak < 500


@pytest.mark.parametrize("shape", [[2**34, 8, 16], [2**34, 2**10, 8]])
def test_volumes_that_are_not_there_take_no_memory(shape: list[int], container: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(container, tmp_path / "v.zarr"))
    change(*SHAPE, value=shape)(store)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (
        nvc_jax.info,
        nvc_jax.open,
        nvc_jax.preview,
        lambda path: nvc_jax.verify(None, path),
        lambda path: nvc_jax.decompress(path, tmp_path / "v.npy"),
    ):
        with pytest.raises(nvc_jax.FormatError, match=r"missing|another container|another place"):
            read(store)
    with pytest.raises(ValueError, match=r"`original` has shape \(1, 1, 1\)"):
        nvc_jax.evaluate(np.zeros((1, 1, 1), np.int16), store)
    assert [path.name for path in tmp_path.iterdir()] == ["v.zarr"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "v.zarr"
    config = DenseConfig(block_size=4, margin=0, latent_dim=3, hidden_sizes=(8,))
    codec = nvc_jax.Codec(config, draw_params(config))
    nvc_jax.compress(np.arange(512, dtype=np.float32).reshape(8, 8, 8), path, model=codec)
    return path


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("bytes",), 1 << 44, r"`bytes` \(=17592186044416\) must be a number from 1 to"),
        (("bytes",), -1, r"`bytes` \(=-1\)"),
        (("bytes",), 2.5, r"`bytes` \(=2.5\)"),
        (("params",), "KLUv", "the embedded model is damaged"),
        (("params",), 7, "the embedded model is damaged"),
        (("config", "hidden_sizes"), [1 << 40], "`hidden_sizes` .* at most 65536"),
        (("config", "hidden_sizes"), [8] * 1000, "`hidden_sizes` .* from one to 32"),
        (("config", "hidden_sizes"), [9], "the embedded model is damaged: the parameter"),
        (("config", "hidden_sizes"), [8, 8], "other names than those"),
        (("config", "latent_dim"), 1 << 40, "`latent_dim` .* at most 65536"),
        (("config", "block_size"), 1 << 20, "`block_size` .* at most 64"),
        (("config", "architecture"), [], "the embedded model is damaged"),
        (("config",), [], "the embedded model is damaged"),
        ((), "a model", "the embedded model is damaged"),
    ],
)
def test_hostile_models_are_refused(
    path: tuple, value: Any, message: str, network: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(network, tmp_path / "v.zarr"))
    change((*EMBEDDED, *path), value=value)(store)
    with pytest.raises(nvc_jax.FormatError, match=message):
        nvc_jax.open(store)
    assert main(["info", str(store)]) == 0  # which needs no model
    assert main(["verify", str(store)]) == 1


def test_attributes_beyond_the_limits_are_refused_before_work_is_lost(tmp_path: Path) -> None:
    deep: Any = 0
    for _ in range(100):
        deep = [deep]
    import xarray as xr

    volume = xr.DataArray(np.zeros((8, 8, 8), np.float32), dims=("z", "y", "x"), attrs={"deep": deep})
    with pytest.raises(ValueError, match="more than 64 deep"):
        nvc_jax.compress(volume, tmp_path / "v.zarr")
    assert not list(tmp_path.iterdir())
