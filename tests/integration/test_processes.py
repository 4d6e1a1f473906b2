"""Every process is alike: whatever the settings of JAX, in threads, children and on meshes."""

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import nvc_jax

VOLUME = np.asarray(np.add.outer(np.sin(np.arange(16) / 4), np.cos(np.arange(256) / 6)), np.float32).reshape(
    16, 16, 16
)
CODECS = {"nvc-1": {"step": 0.01}, "two-wide-margin": {"step": 0.1}}
SETTINGS: dict[str, Callable[[], Any]] = {
    "none": lambda: jax.numpy_rank_promotion("raise"),
    "x64": lambda: jax.enable_x64(True),
    "debug_nans": lambda: jax.debug_nans(True),
    "debug_infs": lambda: jax.debug_infs(True),
    "transfer_guard": lambda: jax.transfer_guard("disallow_explicit"),
}


def code_in_all_ways(directory: Path) -> list[np.ndarray]:
    """Compress, read and code in memory; what is decoded."""
    decoded = []
    for number, options in enumerate(({"max_error": 0.01}, {"lossless": True}, {"model": "two-wide-margin"})):
        path = directory / f"{number}.zarr"
        nvc_jax.compress(VOLUME, path, **options)
        decoded.append(np.asarray(nvc_jax.open(path).read().result()))
        nvc_jax.verify(VOLUME, path)
        nvc_jax.evaluate(VOLUME, path)
        nvc_jax.preview(path)
    for name, options in CODECS.items():
        codec = nvc_jax.load_codec(name)
        encoded = nvc_jax.encode_volume(codec, VOLUME, **options)
        with jax.transfer_guard("allow"):
            decoded.append(np.asarray(nvc_jax.decode_volume(codec, encoded)))
    return decoded


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    return code_in_all_ways(tmp_path_factory.mktemp("expected"))


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_jax_change_nothing(name: str, expected: list[np.ndarray], tmp_path: Path) -> None:
    with SETTINGS[name]():
        decoded = code_in_all_ways(tmp_path)
    for one, other in zip(decoded, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_wide_settings_change_nothing_inside_compiled_functions() -> None:
    codec = nvc_jax.load_codec("nvc-1")
    step = jnp.float32(0.01)

    def code(volume: jax.Array, step: jax.Array) -> jax.Array:
        return nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=step))

    narrow = code(jnp.asarray(VOLUME), step)  # by programs that other tests have compiled
    with jax.enable_x64(True):
        wide = jax.jit(code)(jnp.asarray(VOLUME), jnp.asarray(0.01))
    assert wide.dtype == jnp.float32
    np.testing.assert_allclose(wide, narrow, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "axis_type"),
    [
        ("nvc-1", AxisType.Explicit),
        ("two-wide-margin", AxisType.Explicit),
        ("two-wide-margin", AxisType.Auto),
    ],
)
def test_volumes_on_meshes_are_coded(name: str, axis_type: AxisType) -> None:
    codec, step = nvc_jax.load_codec(name), CODECS[name]["step"]
    mesh = jax.make_mesh((jax.device_count(),), ("z",), axis_types=(axis_type,))
    volume = jax.device_put(VOLUME, NamedSharding(mesh, PartitionSpec("z")))

    def code(volume: jax.Array) -> jax.Array:
        return nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=step))

    alone = np.asarray(code(jnp.asarray(VOLUME)))
    with jax.set_mesh(mesh):
        np.testing.assert_allclose(code(volume), alone, atol=1e-5)
    np.testing.assert_allclose(jax.jit(code)(volume), alone, atol=1e-5)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("step", [0.0, np.nan, -1.0, np.inf, 1e9])
def test_impossible_traced_steps_poison_the_result(name: str, step: float) -> None:
    codec = nvc_jax.load_codec(name)
    encoded = ENCODERS[name](codec, VOLUME, jnp.float32(step))
    with pytest.raises(ValueError, match="its `step` was not between"):
        nvc_jax.decode_volume(codec, encoded)
    assert np.isnan(DECODERS[name](codec, encoded)).all()
    possible = CODECS[name]["step"]
    encoded = ENCODERS[name](codec, VOLUME, jnp.float32(possible))
    assert np.isfinite(DECODERS[name](codec, encoded)).all()


ENCODERS = {
    name: jax.jit(lambda codec, volume, step: nvc_jax.encode_volume(codec, volume, step=step))
    for name in CODECS
}
DECODERS = {name: jax.jit(nvc_jax.decode_volume) for name in CODECS}

FORKING = """
import os, signal, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
import nvc_jax, zarr

def read_by_zarr():
    return zarr.open_array("v.zarr", mode="r")[:]

uses = {
    "zarr": read_by_zarr,
    "open": lambda: nvc_jax.open("v.zarr"),
    "info": lambda: nvc_jax.info("v.zarr"),
    "compress": lambda: nvc_jax.compress(np.zeros((8, 8, 8), np.float32), "w.zarr"),
    "encode": lambda: nvc_jax.encode_volume(CODEC, np.zeros((8, 8, 8), np.float32), step=0.01),
}
CODEC = nvc_jax.load_codec("nvc-1")
nvc_jax.compress(np.zeros((8, 8, 8), np.float32), "v.zarr")
read_by_zarr()
for name, use in uses.items():
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            use()
            print(name, "works", flush=True)
        except RuntimeError as error:
            print(name, "spawn" in str(error) and "told", flush=True)
        os._exit(0)
    print(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system forks no processes")
def test_forked_children_are_told_what_to_do(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORKING], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    names = ["zarr", "open", "info", "compress", "encode"]
    assert run.stdout.split("\n")[:-1] == [line for name in names for line in (f"{name} told", f"{name} 0")]


def read_sum(path: str) -> float:
    return float(np.sum(nvc_jax.open(path).read().result()))


def test_spawned_children_read(tmp_path: Path) -> None:
    path = str(tmp_path / "v.zarr")
    nvc_jax.compress(VOLUME, path, lossless=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(read_sum, (path,)) == pytest.approx(float(VOLUME.sum()), rel=1e-5)


def test_threads_read_and_write_at_once(tmp_path: Path) -> None:
    results: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        path = tmp_path / f"{number}.zarr"
        nvc_jax.compress(VOLUME + number, path, lossless=True)
        results[number] = np.asarray(nvc_jax.open(path).read().result())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_array_equal(results[number], VOLUME + number)
