"""Missing values that a source declares, limits and exact values: from any source to any reader and back.

What is declared missing comes back bit for bit, nothing else becomes it, and it counts in no range.
"""

import contextlib
import dataclasses
import functools
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr
from example_chunks import smooth_values
from hypothesis import given
from hypothesis import strategies as st

import nvc_jax
from nvc_jax.cli import main
from nvc_jax.container.metadata import ContainerMetadata
from nvc_jax.container.store import open_container
from nvc_jax.core.dtypes import CODED_DTYPES, is_float
from nvc_jax.io.volumes import open_volume, read_metadata
from nvc_jax.io.writers import write_volume

SHAPE = (16, 16, 16)
CHUNK = SHAPE
VALUES = smooth_values(SHAPE)
TARGETS = ({"max_error": 3.0}, {"relative_error": 1e-2}, {"step": 0.05}, {"psnr": 45.0}, {"lossless": True})


def example(dtype: str, missing_value: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Values from about 10 to 100, or around 0, of which a share is missing; and which voxels are."""
    kind = np.dtype(dtype)
    values = VALUES * 90 + (10 if kind.kind == "u" else -50)
    values = values.astype(kind) if is_float(kind) else np.rint(values).astype(kind)
    missing = np.random.default_rng(1).random(SHAPE) < share
    values[values == missing_value] += kind.type(1)
    values[missing] = missing_value
    return values, missing


def check(path: Path | str, values: np.ndarray, missing: np.ndarray, target: dict[str, Any]) -> None:
    """Check that a container holds missing values exactly, and keeps its target for all others."""
    decoded = np.asarray(nvc_jax.open(path).read().result())
    bits, size = f"u{values.dtype.itemsize}", values.dtype.itemsize
    assert decoded.dtype.itemsize == size
    np.testing.assert_array_equal(decoded.view(bits)[missing], values.view(bits)[missing])
    nvc_jax.verify(values, path)
    if missing.all():
        return
    valid, others = values[~missing].astype(np.float64), decoded[~missing].astype(np.float64)
    assert not np.isin(others, values[missing].astype(np.float64)).any()
    has_bound = not target.keys().isdisjoint(("max_error", "relative_error"))
    if not has_bound or np.isfinite(values[missing].astype(np.float64)).any():
        assert valid.min() <= others.min() <= others.max() <= valid.max()
    error, width = np.abs(others - valid), np.ptp(valid)
    bound = target.get("max_error", target.get("relative_error", 0) * width)
    if "psnr" in target:
        assert 20 * np.log10(width) - 10 * np.log10(np.mean(error**2) + 1e-30) > target["psnr"] - 0.1
    elif "step" in target:
        assert error.max() < 0.2 * width
    else:
        assert error.max() <= bound


CASES = [
    (dtype, place, target)
    for number, dtype in enumerate(CODED_DTYPES)
    for place, target in zip(
        ("above", "below", "within"), (TARGETS * 2)[number % 5 : number % 5 + 3], strict=True
    )
]


@pytest.mark.parametrize(("dtype", "place", "target"), CASES)
def test_every_dtype_keeps_missing_values_apart(dtype: str, place: str, target: dict, tmp_path: Path) -> None:
    """A missing value may lie next to the range, far from it, or within it."""
    kind = "f" if is_float(np.dtype(dtype)) else np.dtype(dtype).kind
    above = 101.0 if kind == "u" else 41.0
    below = {"f": -9999.0, "i": -128.0, "u": 0.0}[kind]
    missing_value = {"above": above, "below": below, "within": 20.0 if kind == "u" else 0.0}[place]
    values, missing = example(dtype, missing_value, 0.01)
    nvc_jax.compress(values, tmp_path / "v.zarr", missing_values=[missing_value], chunks=CHUNK, **target)
    check(tmp_path / "v.zarr", values, missing, target)


@given(
    st.sampled_from(CODED_DTYPES),
    st.sampled_from([0.0, 0.001, 0.3, 0.999, 1.0]),
    st.sampled_from([0.0, 1.0, 17.0, 30.0, 101.0]),
    st.sampled_from([TARGETS[0], TARGETS[1], TARGETS[2], TARGETS[4]]),
)
def test_any_share_may_be_missing(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, share: float, missing_value: float, target: dict
) -> None:
    values, missing = example(dtype, missing_value, share)
    path = tmp_path_factory.mktemp("share") / "v.zarr"
    nvc_jax.compress(values, path, missing_values=[missing_value], chunks=CHUNK, **target)
    check(path, values, missing, target)


def write_hdf5(path: Path, values: np.ndarray, **attributes: Any) -> str:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("t", data=values)
        dataset.attrs.update(attributes)
    return str(path)


FLOATS, FLOATS_MISSING = example("float32", 9.96921e36, 0.005)
BYTES, BYTES_MISSING = example("uint8", 255, 0.02)
SHORTS, SHORTS_MISSING = example("int16", -9999, 0.3)


def hdf5_of_fill_value(folder: Path) -> str:
    with h5py.File(folder / "v.h5", "w") as file:
        file.create_dataset("t", data=SHORTS, fillvalue=-9999)
    return str(folder / "v.h5")


def zarr_2_of_xarray(folder: Path) -> str:
    dataset = xr.Dataset({"t": (("z", "y", "x"), SHORTS)})
    dataset.t.encoding["_FillValue"] = np.int16(-9999)
    dataset.to_zarr(folder / "v.zarr", zarr_format=2, consolidated=False)
    return str(folder / "v.zarr" / "t")


def zarr_3_of_xarray(folder: Path) -> str:
    dataset = xr.Dataset({"t": (("z", "y", "x"), FLOATS, {"_FillValue": np.float32(9.96921e36)})})
    dataset.to_zarr(folder / "v.zarr", zarr_format=3, consolidated=False)
    return str(folder / "v.zarr" / "t")


def zarr_3_of_fill_value(folder: Path) -> str:
    array = zarr.create_array(folder / "v.zarr", shape=SHAPE, dtype="int16", fill_value=-9999)
    array[:] = SHORTS
    return str(folder / "v.zarr")


def labelled(**attributes: Any) -> xr.DataArray:
    return xr.DataArray(SHORTS, dims=("z", "y", "x"), attrs=attributes)


def encoded_array(folder: Path) -> xr.DataArray:
    array = labelled()
    array.encoding["missing_value"] = -9999
    return array


def masked_array(folder: Path) -> np.ma.MaskedArray:
    below = np.where(SHORTS_MISSING, 7, SHORTS).astype(np.int16)
    return np.ma.masked_array(below, SHORTS_MISSING, fill_value=-9999)


def tiff_of_gdal(folder: Path) -> str:
    tags = [(42113, "s", 0, "-9999", True)]
    tifffile.imwrite(folder / "v.tif", SHORTS, photometric="minisblack", extratags=tags)
    return str(folder / "v.tif")


SOURCES: dict[str, tuple[Callable[[Path], Any], np.ndarray, np.ndarray]] = {
    "_FillValue": (
        lambda folder: write_hdf5(folder / "v.nc", FLOATS, _FillValue=np.float32(9.96921e36)),
        *(FLOATS, FLOATS_MISSING),
    ),
    "_FillValue as float64": (
        lambda folder: write_hdf5(folder / "v.nc", FLOATS, _FillValue=9.96921e36),
        *(FLOATS, FLOATS_MISSING),
    ),
    "missing_value": (
        lambda folder: write_hdf5(folder / "v.nc", FLOATS, missing_value=np.float32([9.96921e36, -5])),
        *(FLOATS, FLOATS_MISSING),
    ),
    "valid_max": (
        lambda folder: write_hdf5(folder / "v.nc", FLOATS, valid_max=np.float32(1e30)),
        *(FLOATS, FLOATS_MISSING),
    ),
    "valid_range": (
        lambda folder: write_hdf5(folder / "v.nc", BYTES, valid_range=np.uint8([0, 254])),
        *(BYTES, BYTES_MISSING),
    ),
    "packed": (
        lambda folder: write_hdf5(folder / "v.nc", SHORTS, _FillValue=np.int16(-9999), scale_factor=0.01),
        *(SHORTS, SHORTS_MISSING),
    ),
    "packed, limits in unpacked units": (
        lambda folder: write_hdf5(folder / "v.nc", SHORTS, valid_min=-1.0, scale_factor=np.float32([0.01])),
        *(SHORTS, SHORTS_MISSING),
    ),
    "HDF5's fill value": (hdf5_of_fill_value, SHORTS, SHORTS_MISSING),
    "Zarr 2 of xarray": (zarr_2_of_xarray, SHORTS, SHORTS_MISSING),
    "Zarr 3 of xarray": (zarr_3_of_xarray, FLOATS, FLOATS_MISSING),
    "Zarr 3's fill value": (zarr_3_of_fill_value, SHORTS, SHORTS_MISSING),
    "TensorStore": (lambda folder: open_volume(zarr_3_of_fill_value(folder)), SHORTS, SHORTS_MISSING),
    "DataArray": (lambda folder: labelled(_FillValue=np.int16(-9999)), SHORTS, SHORTS_MISSING),
    "DataArray's encoding": (encoded_array, SHORTS, SHORTS_MISSING),
    "numpy.ma": (masked_array, SHORTS, SHORTS_MISSING),
    "GDAL": (tiff_of_gdal, SHORTS, SHORTS_MISSING),
}


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_source_declares_holds(name: str, tmp_path: Path) -> None:
    make, values, missing = SOURCES[name]
    source, target = make(tmp_path), {"relative_error": 1e-2}
    nvc_jax.compress(source, tmp_path / "c.zarr", chunks=CHUNK, **target)
    check(tmp_path / "c.zarr", values, missing, target)
    nvc_jax.verify(source, tmp_path / "c.zarr")
    measures = nvc_jax.evaluate(source, tmp_path / "c.zarr")
    assert measures["psnr_db"] > 40
    assert measures["max_error"] <= 1e-2 * np.ptp(values[~missing].astype(np.float64))
    assert measures["ratio"] == pytest.approx(
        values.nbytes / nvc_jax.info(tmp_path / "c.zarr")["stored_bytes"]
    )


@pytest.mark.parametrize(
    "name", ["_FillValue", "missing_value", "packed", "numpy.ma", "GDAL", "Zarr 2 of xarray"]
)
def test_xarray_masks_what_is_missing(name: str, tmp_path: Path) -> None:
    """Decompressed, too; and what is compressed again still declares it."""
    make, values, missing = SOURCES[name]
    zarr.open_group(tmp_path / "scans.zarr", mode="w")
    nvc_jax.compress(make(tmp_path), tmp_path / "scans.zarr" / "a", chunks=CHUNK, lossless=True)
    nvc_jax.decompress(tmp_path / "scans.zarr" / "a", tmp_path / "scans.zarr" / "b.zarr")
    nvc_jax.compress(
        tmp_path / "scans.zarr" / "b.zarr", tmp_path / "scans.zarr" / "c", chunks=CHUNK, lossless=True
    )
    with pytest.warns() if name == "missing_value" else contextlib.nullcontext():
        scans = xr.open_zarr(tmp_path / "scans.zarr", consolidated=False).load()
    for array in (scans["a"], scans["b.zarr"], scans["c"]):
        np.testing.assert_array_equal(np.isnan(array.to_numpy()), missing)
        factor = 0.01 if name == "packed" else 1
        np.testing.assert_allclose(array.to_numpy()[~missing], factor * values[~missing], rtol=1e-6)
    fill_values = nvc_jax.info(tmp_path / "scans.zarr" / "a")["fill_values"]
    assert nvc_jax.info(tmp_path / "scans.zarr" / "c")["fill_values"] == fill_values


def test_xarray_opens_what_has_a_nan_fill_value(tmp_path: Path) -> None:
    values = np.where(FLOATS_MISSING, np.nan, FLOATS).astype(np.float32)
    zarr.open_group(tmp_path / "scans.zarr", mode="w")
    source = write_hdf5(
        tmp_path / "v.nc", values, _FillValue=np.float32(np.nan), missing_value=np.float32(np.nan)
    )
    nvc_jax.compress(source, tmp_path / "scans.zarr" / "t", chunks=CHUNK, max_error=0.5)
    check(tmp_path / "scans.zarr" / "t", values, FLOATS_MISSING, {"max_error": 0.5})
    opened = xr.open_zarr(tmp_path / "scans.zarr", consolidated=False)["t"].load()
    np.testing.assert_array_equal(np.isnan(opened), FLOATS_MISSING)
    again = opened.to_dataset(name="t")
    nvc_jax.compress(again["t"], tmp_path / "again.zarr", chunks=CHUNK, max_error=0.5)


def test_what_the_user_names_holds_beside_what_is_declared(tmp_path: Path) -> None:
    values, missing = SHORTS.copy(), SHORTS_MISSING.copy()
    values[3, 4], missing[3, 4] = 7000, True
    source = write_hdf5(
        tmp_path / "v.nc", values, _FillValue=np.int16(-9999), scale_factor=0.5, add_offset=7.0
    )
    nvc_jax.compress(source, tmp_path / "v.zarr", missing_values=[7000], max_error=2, chunks=CHUNK)
    check(tmp_path / "v.zarr", values, missing, {"max_error": 2})
    described = nvc_jax.info(tmp_path / "v.zarr")
    assert described["fill_values"] == [7000.0, -9999.0]
    assert described["dtype"] == "int16"
    attributes = json.loads((tmp_path / "v.zarr" / "zarr.json").read_text())["attributes"]
    assert attributes == {"_FillValue": -9999, "scale_factor": 0.5, "add_offset": 7.0}


def test_values_that_the_dtype_does_not_hold_are_ignored_with_a_warning(tmp_path: Path) -> None:
    source = write_hdf5(tmp_path / "v.nc", BYTES, _FillValue=np.int16(-9999))
    with pytest.warns(UserWarning, match="-9999 is no value of uint8"):
        nvc_jax.compress(source, tmp_path / "v.zarr", lossless=True, chunks=CHUNK)
    assert nvc_jax.info(tmp_path / "v.zarr")["fill_values"] == []


def test_masks_are_honoured_or_refused(tmp_path: Path) -> None:
    compress = functools.partial(
        nvc_jax.compress, destination=tmp_path / "v.zarr", chunks=CHUNK, lossless=True
    )
    plain = np.ma.masked_array(SHORTS, np.ma.nomask)
    unmasked = np.ma.masked_array(SHORTS, np.zeros(SHAPE, bool), fill_value=SHORTS[0, 0, 0])
    for array in (plain, unmasked):
        compress(array)
        np.testing.assert_array_equal(np.asarray(nvc_jax.open(tmp_path / "v.zarr")), SHORTS)
        assert read_metadata(array).missing_values == ()
    everything = np.ma.masked_array(SHORTS, np.ones(SHAPE, bool), fill_value=-5)
    compress(everything)
    assert (np.asarray(nvc_jax.open(tmp_path / "v.zarr")) == -5).all()

    ambiguous = np.ma.masked_array(BYTES, BYTES_MISSING, fill_value=int(BYTES[~BYTES_MISSING][0]))
    with pytest.raises(ValueError, match="other voxels have, too"):
        compress(ambiguous)
    lazy = da.from_array(masked_array(tmp_path), chunks=8)
    with pytest.raises(ValueError, match="may have masked voxels; give them a value first"):
        compress(lazy)
    compress(xr.DataArray(lazy))  # xarray makes NaN of masked voxels
    decoded = np.asarray(nvc_jax.open(tmp_path / "v.zarr"))
    np.testing.assert_array_equal(np.isnan(decoded), SHORTS_MISSING)
    for objects in (SHORTS.astype(object), np.ma.masked_array(SHORTS.astype(object), SHORTS_MISSING)):
        with pytest.raises(TypeError, match="dtype object"):
            compress(objects)


@pytest.mark.parametrize("target", TARGETS)
def test_limits_hold_and_exact_values_stay(target: dict, tmp_path: Path) -> None:
    """Rain: much of it is 0, none of it is negative, and −1 says that nothing was measured."""
    rain = np.maximum(VALUES * 90 - 40, 0).astype(np.float32)
    rain[5, 5] = -0.0
    missing = np.random.default_rng(0).random(SHAPE) < 0.001
    rain[missing] = -1
    options = {"missing_values": [-1], "value_limits": (0, None), "exact_values": [0]}
    nvc_jax.compress(rain, tmp_path / "v.zarr", chunks=CHUNK, **options, **target)
    check(tmp_path / "v.zarr", rain, missing, target)
    decoded = np.asarray(nvc_jax.open(tmp_path / "v.zarr"))
    np.testing.assert_array_equal(decoded.view("u4")[rain == 0], rain.view("u4")[rain == 0])
    described = nvc_jax.info(tmp_path / "v.zarr")
    assert (described["value_limits"], described["exact_values"]) == ([0.0, None], [0.0])
    other = zarr.open_array(tmp_path / "v.zarr", mode="r")[:]
    np.testing.assert_array_equal(other, decoded)
    preview = nvc_jax.preview(tmp_path / "v.zarr")
    assert 0 <= preview.min() <= preview.max() <= rain.max()


@pytest.mark.parametrize("target", TARGETS)
def test_zeros_of_both_signs_stay_where_there_is_nothing_else(target: dict, tmp_path: Path) -> None:
    zeros = np.where(VALUES > 0.5, 0.0, -0.0).astype(np.float32)
    nvc_jax.compress(
        zeros, tmp_path / "v.zarr", exact_values=[0], value_limits=(0, 1), chunks=CHUNK, **target
    )
    decoded = np.asarray(nvc_jax.open(tmp_path / "v.zarr"))
    np.testing.assert_array_equal(decoded.view("u4"), zeros.view("u4"))
    nvc_jax.verify(zeros, tmp_path / "v.zarr")


def test_limits_hold_for_the_models_of_the_paper(tmp_path: Path) -> None:
    values = np.where(SHORTS_MISSING, 0, np.maximum(np.abs(SHORTS), 1)).astype(np.int16)
    for mode in ("crop", "blend"):
        nvc_jax.compress(
            values, tmp_path / "v.zarr", model="two-wide-margin", missing_values=[0], value_limits=(0, 60)
        )
        decoded = np.asarray(nvc_jax.open(tmp_path / "v.zarr", mode=mode))
        np.testing.assert_array_equal(decoded == 0, SHORTS_MISSING)
        assert decoded[~SHORTS_MISSING].min() >= 1
        assert decoded.max() <= 60


def test_values_beyond_the_limits_are_refused_before_work_is_lost(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`value_limits` .* do not hold the volume's values"):
        nvc_jax.compress(SHORTS, tmp_path / "v.zarr", missing_values=[-9999], value_limits=(0, None))
    assert not list(tmp_path.iterdir())


def test_limits_hold_where_nothing_was_measured(tmp_path: Path) -> None:
    nothing = np.full(SHAPE, -9999, np.float32)
    for target in TARGETS:
        options: dict[str, Any] = {"missing_values": [-9999], "value_limits": (5, 10)}
        nvc_jax.compress(nothing, tmp_path / "v.zarr", chunks=CHUNK, **options, **target)
        check(tmp_path / "v.zarr", nothing, nothing == -9999, target)
    with pytest.raises(ValueError, match="do not hold the volume's values"):
        nvc_jax.compress(np.zeros(SHAPE, np.float32), tmp_path / "v.zarr", value_limits=(5, 10))


def test_writers_of_parts_agree_on_the_rules(tmp_path: Path) -> None:
    options: dict[str, Any] = {"chunks": CHUNK, "max_error": 3.0, "missing_values": [-9999]}
    volume, missing = (np.tile(array, (2, 1, 1)) for array in (SHORTS, SHORTS_MISSING))
    compress = functools.partial(nvc_jax.compress, volume, tmp_path / "v.zarr", **options)
    compress(part=(0, 2), value_limits=(-60, 60))
    with pytest.raises(ValueError, match="was begun with another"):
        compress(part=(1, 2), value_limits=(-70, 60))
    with pytest.raises(ValueError, match="was begun with another"):
        compress(part=(1, 2), value_limits=(-60, 60), exact_values=[0])
    with pytest.raises(ValueError, match="was begun with another"):
        compress(part=(1, 2), value_limits=(-60, 60), missing_values=[-9999, -8888])
    compress(part=(1, 2), value_limits=(-60, 60))
    check(tmp_path / "v.zarr", volume, missing, {"max_error": 3.0})


def test_the_command_line_takes_limits_and_exact_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("v.npy", BYTES)
    options = ["--value-limits=0,", "--exact-value", "40", "--exact-value", "41", "--max-error", "3"]
    assert main(["compress", "v.npy", "v.zarr", *options, "--missing-value", "255"]) == 0
    decoded = np.asarray(nvc_jax.open("v.zarr"))
    np.testing.assert_array_equal(decoded[BYTES == 40], 40)
    np.testing.assert_array_equal(decoded[BYTES == 41], 41)
    assert main(["compress", "v.npy", "w.zarr", "--value-limits", "50,60"]) == 1
    assert "`--value-limits`" in capsys.readouterr().err


@pytest.mark.parametrize(("dtype", "shown"), [("float32", np.nan), ("float64", np.nan), ("int16", 32767)])
def test_a_missing_shard_shows_in_other_readers(dtype: str, shown: float, tmp_path: Path) -> None:
    values = (VALUES * 90).astype(dtype)
    options = {"lossless": True, "chunks": (8, 8, 8), "shards": (8, 16, 16)}
    nvc_jax.compress(values, tmp_path / "v.zarr", **options)
    os.remove(tmp_path / "v.zarr" / "c" / "0" / "0" / "0")
    # Of a shard that is missing, zarr-python does not ask the codec.
    read = zarr.open_array(tmp_path / "v.zarr", mode="r")[:]
    np.testing.assert_array_equal(read[:8], np.full((8, 16, 16), shown, dtype))
    np.testing.assert_array_equal(read[8:], values[8:])
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(0, 0, 0\) .* is missing"):
        nvc_jax.verify(None, tmp_path / "v.zarr")


def test_views_work_under_dask_and_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nvc_jax.compress(SHORTS, "v.zarr", lossless=True, chunks=(8, 16, 16))
    view = nvc_jax.open("v.zarr")
    stored = pickle.dumps((view, view[4:][:, 2]))
    monkeypatch.chdir(tmp_path.parent)
    whole, part = pickle.loads(stored)
    np.testing.assert_array_equal(np.asarray(whole), SHORTS)
    np.testing.assert_array_equal(np.asarray(part), SHORTS[4:][:, 2])
    lazy = da.from_array(whole, chunks=8)
    assert float(lazy.mean().compute()) == SHORTS.mean()
    nvc_jax.compress(whole, tmp_path / "w.zarr", lossless=True, chunks=(8, 16, 16))
    np.testing.assert_array_equal(np.asarray(nvc_jax.open(tmp_path / "w.zarr")), SHORTS)


def change_container(path: Path, metadata: ContainerMetadata) -> None:
    """Give a container other metadata, as a writer would have stated them."""
    store = open_container(path)
    payloads = {index: store.read(index) for index in store.chunks()}
    (path / "zarr.json").write_text(metadata.to_text())
    for index, payload in payloads.items():
        open_container(path).write_object(index, {index: payload})


def test_verify_finds_values_beyond_the_limits(tmp_path: Path) -> None:
    nvc_jax.compress(FLOATS, tmp_path / "v.zarr", missing_values=[9.96921e36], max_error=3, chunks=CHUNK)
    metadata = open_container(tmp_path / "v.zarr").metadata
    for changes, fault in (
        ({"value_limits": (-50.0, 0.0)}, "takes them beyond the limits"),
        ({"exact_values": (float(FLOATS[0, 0, 0]),)}, "does not restore every value exactly"),
        ({"valid_limits": (-50.0, 0.0)}, "does not restore every value exactly"),
    ):
        changed = dataclasses.replace(metadata, **changes)
        change_container(tmp_path / "v.zarr", changed)
        with pytest.raises(nvc_jax.FormatError, match=fault):
            nvc_jax.verify(FLOATS, tmp_path / "v.zarr")


def test_a_view_declares_what_its_container_does(tmp_path: Path) -> None:
    nvc_jax.compress(masked_array(tmp_path), tmp_path / "v.zarr", lossless=True, chunks=CHUNK)
    view = nvc_jax.open(tmp_path / "v.zarr")
    for source, region in ((view, np.s_[:]), (view[:8], np.s_[:8])):
        nvc_jax.compress(source, tmp_path / "w.zarr", max_error=3, chunks=CHUNK)
        assert nvc_jax.info(tmp_path / "w.zarr")["fill_values"] == [-9999.0]
        check(tmp_path / "w.zarr", SHORTS[region], SHORTS_MISSING[region], {"max_error": 3})


def test_units_of_a_variable_are_its_own(tmp_path: Path) -> None:
    axes = {"lev": "hPa", "lat": "degrees_north", "lon": "degrees_east"}
    coordinates = {name: (name, np.arange(16.0), {"units": unit}) for name, unit in axes.items()}
    attributes = {"units": "K", "origin": "a model", "spacing": "even"}
    array = xr.DataArray(FLOATS, coordinates, tuple(axes), "t", attributes)
    array.to_dataset().to_zarr(tmp_path / "x.zarr", zarr_format=3, consolidated=False)
    with h5py.File(tmp_path / "t.nc", "w") as file:
        dataset = file.create_dataset("t", data=FLOATS)
        dataset.attrs.update(attributes)
        for axis, (name, unit) in enumerate(axes.items()):
            scale = file.create_dataset(name, data=np.arange(16.0))
            scale.make_scale(name)
            scale.attrs["units"] = unit
            dataset.dims[axis].attach_scale(scale)
    for source in (array, f"{tmp_path}/t.nc::/t", f"{tmp_path}/x.zarr/t"):
        nvc_jax.compress(source, tmp_path / "c.zarr", lossless=True, chunks=CHUNK)
        nvc_jax.decompress(tmp_path / "c.zarr", tmp_path / "back.zarr", overwrite=True)
        for path in (tmp_path / "c.zarr", tmp_path / "back.zarr"):
            stored = json.loads((path / "zarr.json").read_text())["attributes"]
            assert stored.items() >= attributes.items()
        if not str(source).endswith("x.zarr/t"):
            assert read_metadata(tmp_path / "back.zarr").units == tuple(axes.values())
    write_volume(tmp_path / "again.zarr", FLOATS, metadata=read_metadata(array))
    assert read_metadata(tmp_path / "again.zarr").attributes.items() >= attributes.items()
