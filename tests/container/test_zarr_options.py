"""Containers that zarr-python and xarray write: the same guarantees, or an error that says what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume

VOLUME = read_volume(SAMPLE)[:20, :24, :30].astype(np.float32)
CHUNK = (16, 16, 16)
N_CHUNKS = 2 * 2 * 2
MAX_ERROR = 0.5


def create(path: Path, data: np.ndarray = VOLUME, *, chunks: tuple = CHUNK, **options: Any) -> Any:
    """Write an array by the codec: with a bound of ``MAX_ERROR``, unless ``options`` name a target."""
    codec = nvc_jax.zarr_codec(**(options or {"max_error": MAX_ERROR}))
    return zarr.create_array(path, data=data, chunks=chunks, serializer=codec, compressors=None)


def dataset(values: np.ndarray = VOLUME) -> xr.Dataset:
    coordinates = {"z": np.linspace(5.0, 1.0, 20), "x": np.arange(30.0)}
    return xr.Dataset({"t": (("z", "y", "x"), values, {"units": "K"})}, coordinates)


def encoding(codec: Any, **further: Any) -> dict[str, Any]:
    return {"t": {"serializer": codec, "compressors": None, "chunks": CHUNK, **further}}


def test_zarr_writes_a_container_that_keeps_the_bound(tmp_path: Path) -> None:
    array = create(tmp_path / "v.zarr")
    report = nvc_jax.verify(VOLUME, tmp_path / "v.zarr")
    assert report["chunks"] == N_CHUNKS
    assert 0 < report["measured_max_error"] == report["max_error"] <= MAX_ERROR
    info = nvc_jax.info(tmp_path / "v.zarr")
    assert (info["target"], info["bound"]) == ({"max_error": MAX_ERROR}, MAX_ERROR)
    assert info["stored_bytes"] < VOLUME.nbytes / 4
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    np.testing.assert_array_equal(array[:], decoded)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "v.zarr")[3:19, 7], decoded[3:19, 7])


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float64"])
def test_lossless_arrays_are_written_in_parts_too(dtype: str, tmp_path: Path) -> None:
    volume = (VOLUME > 60 if dtype == "bool" else VOLUME).astype(dtype)
    volume[4, 4, 4] = np.iinfo(dtype).max if dtype in ("uint8", "int64") else 1
    array = create(tmp_path / "v.zarr", volume, lossless=True)
    volume[2:5, 3] = array[2:5, 3] = 1
    volume[::3, 20, 29] = array[::3, 20, 29] = 0
    np.testing.assert_array_equal(array[:], volume)
    assert nvc_jax.verify(volume, tmp_path / "v.zarr")["measured_max_error"] == 0


def test_chunks_are_overwritten_whole_or_not_at_all(tmp_path: Path) -> None:
    array = create(tmp_path / "v.zarr")
    before = array[:]
    with pytest.raises(ValueError, match=r"part.*might break the bound.*lossless=True"):
        array[:3] = 1
    with pytest.raises(ValueError, match="whole chunks"):
        array[16:, 16:, 17:] = 1
    np.testing.assert_array_equal(array[:], before)
    array[16:] = 7
    changed = VOLUME.copy()
    changed[16:] = 7
    nvc_jax.verify(changed, tmp_path / "v.zarr")


def test_a_chunk_knows_its_place_and_its_container(tmp_path: Path) -> None:
    for name in ("a.zarr", "b.zarr"):
        create(tmp_path / name)
    one, other = (tmp_path / "a.zarr" / "c" / "0" / "0" / name for name in "01")
    kept = one.read_bytes()
    one.write_bytes((tmp_path / "b.zarr" / "c" / "0" / "0" / "0").read_bytes())
    with pytest.raises(nvc_jax.FormatError, match="another container"):
        nvc_jax.verify(VOLUME, tmp_path / "a.zarr")
    one.write_bytes(other.read_bytes())
    with pytest.raises(nvc_jax.FormatError, match="another place"):
        zarr.open_array(tmp_path / "a.zarr")[:]
    one.write_bytes(kept)
    nvc_jax.verify(VOLUME, tmp_path / "a.zarr")


def test_chunks_that_were_not_written_are_missing(tmp_path: Path) -> None:
    codec = nvc_jax.zarr_codec(max_error=MAX_ERROR)
    options = {"shape": VOLUME.shape, "dtype": "float32", "chunks": CHUNK, "compressors": None}
    array = zarr.create_array(tmp_path / "v.zarr", serializer=codec, **options)
    array[:16] = VOLUME[:16]
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(1, 0, 0\).*missing"):
        nvc_jax.verify(VOLUME, tmp_path / "v.zarr")
    with pytest.raises(nvc_jax.FormatError, match="missing"):
        array[:]
    array[16:] = 0  # which zarr-python would leave out by itself
    np.testing.assert_array_equal(array[16:], 0)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_xarray_writes_variables(is_lazy: bool, tmp_path: Path) -> None:
    data = dataset().chunk(z=16, y=16, x=16) if is_lazy else dataset()
    codec = nvc_jax.zarr_codec(max_error=MAX_ERROR)
    data.to_zarr(tmp_path / "d.zarr", encoding=encoding(codec), consolidated=False)
    nvc_jax.verify(VOLUME, tmp_path / "d.zarr" / "t")
    back = xr.open_zarr(tmp_path / "d.zarr", consolidated=False).load()
    assert abs(back["t"] - data["t"]).max() <= MAX_ERROR
    xr.testing.assert_identical(back["t"].copy(data=VOLUME), data["t"].copy(data=VOLUME))


def test_declared_missing_values_are_named_to_the_codec(tmp_path: Path) -> None:
    data = dataset(np.where(VOLUME > 60, VOLUME, np.float32(np.nan)))
    fill_value = {"_FillValue": np.float32(-9999)}
    codec = nvc_jax.zarr_codec(max_error=MAX_ERROR)
    with pytest.raises(ValueError, match=r"missing_values=\[-9999.0\]"):
        data.to_zarr(tmp_path / "a.zarr", encoding=encoding(codec, **fill_value), consolidated=False)
    codec = nvc_jax.zarr_codec(max_error=MAX_ERROR, missing_values=[-9999])
    data.to_zarr(tmp_path / "b.zarr", encoding=encoding(codec, **fill_value), consolidated=False)
    back = xr.open_zarr(tmp_path / "b.zarr", consolidated=False).load()
    np.testing.assert_array_equal(np.isnan(back["t"]), np.isnan(data["t"]))
    assert abs(back["t"] - data["t"]).max() <= MAX_ERROR
    codec = nvc_jax.zarr_codec(lossless=True)
    data.to_zarr(tmp_path / "c.zarr", encoding=encoding(codec, **fill_value), consolidated=False)
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "c.zarr", consolidated=False).load(), data)


def test_limits_of_valid_values_are_refused(tmp_path: Path) -> None:
    data = dataset()
    data["t"].attrs["valid_max"] = np.float32(150)
    codec = nvc_jax.zarr_codec(max_error=MAX_ERROR)
    with pytest.raises(ValueError, match=r"limits .*nvc_jax.compress"):
        data.to_zarr(tmp_path / "a.zarr", encoding=encoding(codec), consolidated=False)


def test_the_fill_value_of_an_array_comes_back_exactly(tmp_path: Path) -> None:
    volume = VOLUME.copy()
    volume[:5] = -7.25
    codec = nvc_jax.zarr_codec(max_error=MAX_ERROR)
    options = {"chunks": CHUNK, "compressors": None, "fill_value": -7.25}
    array = zarr.create_array(tmp_path / "v.zarr", data=volume, serializer=codec, **options)
    np.testing.assert_array_equal(array[:5], volume[:5])
    assert (array[5:] != -7.25).all()


def test_what_cannot_be_written_says_how(tmp_path: Path) -> None:
    codec = nvc_jax.zarr_codec(max_error=MAX_ERROR)
    options: dict[str, Any] = {"data": VOLUME, "chunks": CHUNK, "serializer": codec}
    with pytest.raises(NotImplementedError, match="compressors=None"):
        zarr.create_array(tmp_path / "a.zarr", **options)
    with pytest.raises(ValueError, match=r"nvc_jax\.compress"):
        zarr.create_array(tmp_path / "b.zarr", **options, compressors=None, shards=(32, 32, 32))
    with pytest.raises(ValueError, match=r"chunks=\(24, 24, 32\)"):
        create(tmp_path / "c.zarr", chunks=VOLUME.shape)
    with pytest.raises(TypeError, match="imaginary"):
        create(tmp_path / "d.zarr", VOLUME.astype(np.complex64))
    with pytest.raises(ValueError, match="not resized"):
        create(tmp_path / "e.zarr").resize((40, 24, 30))
    for wrong in ({}, {"max_error": 1.0, "lossless": True}, {"max_error": -1.0}, {"max_error": np.inf}):
        with pytest.raises(ValueError, match="`max_error`"):
            nvc_jax.zarr_codec(**wrong)


def test_containers_of_compress_are_not_changed(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=MAX_ERROR, chunks=CHUNK)
    array = zarr.open_array(tmp_path / "v.zarr", mode="r+")
    with pytest.raises(NotImplementedError, match="are written by"):
        array[:16, :16, :16] = 1
    nvc_jax.verify(VOLUME, tmp_path / "v.zarr")


@pytest.mark.parametrize(("shape", "chunk"), [((20, 30), (16, 24)), ((2, 2, 9, 8, 17), (1, 1, *CHUNK))])
def test_arrays_of_any_rank_are_written(shape: tuple, chunk: tuple, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    options = {"serializer": nvc_jax.zarr_codec(max_error=0.1), "compressors": None}
    array = zarr.create_array(tmp_path / "v.zarr", shape=shape, dtype="f4", chunks=chunk, **options)
    array[:] = values
    assert np.abs(nvc_jax.open(tmp_path / "v.zarr").read().result() - values).max() <= 0.1
    nvc_jax.verify(values, tmp_path / "v.zarr")
