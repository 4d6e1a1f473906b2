import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.container.metadata import FormatError
from nvc_jax.core.dtypes import DTYPES
from nvc_jax.evaluation import containers
from nvc_jax.io.volumes import read_volume
from nvc_jax.io.writers import write_volume

VOLUME = read_volume(SAMPLE)[:21, :30, :43]
CHUNK = (16, 16, 24)


def in_dtype(dtype: str) -> np.ndarray:
    return (VOLUME // 2 if dtype == "int8" else VOLUME).astype(dtype)


def files(store: Path) -> dict[str, bytes]:
    return {str(file.relative_to(store)): file.read_bytes() for file in store.rglob("*") if file.is_file()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("asked", [{"max_error": 2.5}, {"relative_error": 1e-3}, {"lossless": True}])
def test_promises_are_kept(dtype: str, asked: dict[str, float], tmp_path: Path) -> None:
    volume = in_dtype(dtype)
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, **asked)
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    assert decoded.dtype == volume.dtype
    error = np.abs(decoded.astype(np.float64) - volume.astype(np.float64)).max()
    extent = float(volume.max()) - float(volume.min())
    bound = asked.get("max_error", asked.get("relative_error", 0) * extent)
    assert error <= bound
    described = containers.info(tmp_path / "v.zarr")
    assert described["max_error"] == error
    assert described["bound"] == bound
    assert described["target"] == asked
    assert containers.verify(volume, tmp_path / "v.zarr")["measured_max_error"] == error
    assert nvc_jax.evaluate(volume, tmp_path / "v.zarr")["max_error"] == error


def test_values_that_are_no_measurements_come_back(tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float32)
    volume[:, :9] = -1e10
    volume[3, 10:12] = np.nan
    volume[4, 20] = [np.inf, -np.inf] * 21 + [-0.0]
    volume[5, 20, 3] = -777
    nvc_jax.compress(volume, tmp_path / "v.zarr", relative_error=0.01, missing_values=[-777], chunks=CHUNK)
    described = containers.info(tmp_path / "v.zarr")
    assert described["fill_values"] == [-777.0, -1e10]
    assert described["maximum"] - described["minimum"] <= 255
    assert described["bound"] <= 2.55
    containers.verify(volume, tmp_path / "v.zarr")
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    special = ~np.isfinite(volume) | (volume == -777) | (volume == -1e10)
    np.testing.assert_array_equal(decoded[special], volume[special])
    measures = nvc_jax.evaluate(volume, tmp_path / "v.zarr")
    assert measures["psnr_db"] > 40
    assert measures["max_error"] <= described["bound"]


@pytest.mark.parametrize("model", ["zero-margin", "two-wide-margin"])
def test_special_values_of_latents_come_back(model: str, tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float32)
    volume[:, :9] = -1e10
    volume[4, 20] = np.nan
    nvc_jax.compress(volume, tmp_path / "v.zarr", model=model, chunks=CHUNK)
    found = containers.verify(volume, tmp_path / "v.zarr")
    assert found["measured_max_error"] == pytest.approx(found["max_error"], abs=0.01)
    assert found["max_error"] < 255


def test_a_store_that_breaks_its_promise_is_found_out(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=2, chunks=CHUNK)
    other = VOLUME.copy()
    other[20, 20, 20] ^= 64
    with pytest.raises(FormatError, match=r"chunk \(1, 1, 0\) .* is wrong by"):
        containers.verify(other, tmp_path / "v.zarr")
    with pytest.raises(ValueError, match="`original` is float32"):
        containers.verify(VOLUME.astype(np.float32), tmp_path / "v.zarr")
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", lossless=True, chunks=CHUNK)
    with pytest.raises(FormatError, match="does not restore every value exactly"):
        containers.verify(other, tmp_path / "v.zarr")


def test_ranges_beyond_float64(tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float64)
    volume[0, 0, :2] = [-1.7e308, 1.7e308]
    with pytest.raises(ValueError, match="beyond float64's"):
        nvc_jax.compress(volume, tmp_path / "v.zarr", relative_error=1e-3)
    for asked in ({"lossless": True}, {"max_error": 1.0}):
        nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, **asked)
        containers.verify(volume, tmp_path / "v.zarr")


def test_a_tighter_bound_takes_more(tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float32)
    sizes = []
    for relative in (1e-1, 1e-2, 1e-3, 1e-4):
        nvc_jax.compress(volume, tmp_path / "v.zarr", relative_error=relative, chunks=CHUNK)
        sizes.append(containers.info(tmp_path / "v.zarr")["stored_bytes"])
    assert sizes == sorted(sizes)


PROGRAM = """
import sys
import numpy as np, nvc_jax
nvc_jax.compress(sys.argv[1], sys.argv[2], max_error=1.0, chunks=(8, 8, 8), resume=True)
"""


def test_killed_runs_are_resumed(tmp_path: Path) -> None:
    """Whatever the moment, there is no store until it is whole, and it ends as if nothing had been."""
    write_volume(tmp_path / "v.npy", VOLUME)
    nvc_jax.compress(tmp_path / "v.npy", tmp_path / "expected.zarr", max_error=1.0, chunks=(8, 8, 8))
    target, partial = tmp_path / "v.zarr", tmp_path / ".v.zarr.partial"
    for n_chunks in (1, 20):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "v.npy"), str(target)]
        with subprocess.Popen(command, env=os.environ | {"JAX_PLATFORMS": "cpu"}) as process:
            while process.poll() is None and len(list(partial.glob("c/*/*/*"))) < n_chunks:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
        assert not target.exists()
        assert partial.is_dir()
    damaged = next(file for file in sorted(partial.glob("c/*/*/*")))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    nvc_jax.compress(tmp_path / "v.npy", target, max_error=1.0, chunks=(8, 8, 8), resume=True)
    assert files(target) == files(tmp_path / "expected.zarr")
    assert not partial.exists()


def test_what_was_left_by_another_run_is_not_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("nvc_jax.container.store.Store.write_object", fail)
        with pytest.raises(OSError, match="no space"):
            nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=1, chunks=CHUNK)
    assert not (tmp_path / "v.zarr").exists()
    with pytest.raises(ValueError, match="of another volume, model or target"):
        nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=2, chunks=CHUNK, resume=True)
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=2, chunks=CHUNK)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


LIMITED = """
import resource, signal, sys
from nvc_jax.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_leaves_no_store(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.npy", VOLUME)
    command = ["compress", str(tmp_path / "v.npy"), str(tmp_path / "v.zarr"), "--lossless"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_COMPILATION_CACHE": "false"}
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, *command],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "File too large" in run.stderr
    assert not (tmp_path / "v.zarr").exists()
    nvc_jax.compress(tmp_path / "v.npy", tmp_path / "v.zarr", lossless=True, resume=True)
    containers.verify(VOLUME, tmp_path / "v.zarr")


def test_a_source_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    write_volume(tmp_path / "source.zarr", VOLUME)
    chunk = next(file for file in (tmp_path / "source.zarr" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(ValueError, match=str(chunk.relative_to(tmp_path / "source.zarr"))):
        nvc_jax.compress(tmp_path / "source.zarr", tmp_path / "v.zarr", max_error=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["source.zarr"]


def test_targets_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="zarr"):
        nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=1)
    tmp_path.chmod(0o700)
