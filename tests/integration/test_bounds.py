"""Error bounds hold for every voxel, and containers say what they promise."""

import dataclasses
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

import nvc_jax
from fuzz.properties import Case, cases, check_case, temporary_directory
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.core.dtypes import CODED_DTYPES
from nvc_jax.io.volumes import read_volume

VOLUME = read_volume(SAMPLE)[:21, :30, :43]
CHUNK = (16, 16, 24)


def in_dtype(dtype: str) -> np.ndarray:
    return (VOLUME // 2 if dtype == "int8" else VOLUME).astype(dtype)


@pytest.mark.parametrize("dtype", CODED_DTYPES)
@pytest.mark.parametrize("target", [{"max_error": 2.5}, {"relative_error": 1e-3}, {"lossless": True}])
def test_promises_are_kept(dtype: str, target: dict[str, float], tmp_path: Path) -> None:
    volume = in_dtype(dtype)[:, :, :24]
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, **target)
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    assert decoded.dtype == volume.dtype
    error = np.abs(decoded.astype(np.float64) - volume.astype(np.float64)).max()
    width = float(volume.max()) - float(volume.min())
    bound = target.get("max_error", target.get("relative_error", 0) * width)
    assert error <= bound
    described = nvc_jax.info(tmp_path / "v.zarr")
    assert described["max_error"] == error
    assert described["bound"] == bound
    assert described["target"] == target
    assert nvc_jax.verify(volume, tmp_path / "v.zarr")["measured_max_error"] == error
    assert nvc_jax.evaluate(volume, tmp_path / "v.zarr")["max_error"] == error


def wide_range(dtype: str) -> np.ndarray:
    """Values of both signs over many decades, some of them 0."""
    signed = (VOLUME.astype(np.float64) - 60) / 60
    return (np.sign(signed) * np.expm1(3 * np.abs(signed)) * 30).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_pointwise_bounds_are_kept_and_shown(dtype: str, tmp_path: Path) -> None:
    volume, path = wide_range(dtype), tmp_path / "v.zarr"
    result = nvc_jax.compress(volume, path, pointwise_error=0.05, chunks=CHUNK)
    assert result.target == nvc_jax.info(path)["target"] == {"pointwise_error": 0.05}
    assert nvc_jax.info(path)["bound"] is nvc_jax.info(path)["step"] is None
    decoded = nvc_jax.open(path).read().result()
    assert (np.abs(decoded.astype(np.float64) - volume) <= 0.05 * np.abs(volume.astype(np.float64))).all()
    np.testing.assert_array_equal(np.sign(decoded), np.sign(volume))
    verified, measures = nvc_jax.verify(volume, path), nvc_jax.evaluate(volume, path)
    assert 0 < verified["measured_pointwise_error"] == measures["pointwise_error"] <= 0.05
    assert verified["measured_max_error"] == measures["max_error"] == result.max_error
    largest = np.unravel_index(np.argmax(volume), volume.shape)
    for share, fault in ((0.9, r"by 0\.\d+ of a value; the bound is 0\.05"), (0.0, "every value exactly")):
        other = volume.copy()
        other[largest] = share * volume[largest]
        with pytest.raises(nvc_jax.FormatError, match=fault):
            nvc_jax.verify(other, path)


def test_pointwise_bounds_of_several_writers_are_the_same(tmp_path: Path) -> None:
    options = {"pointwise_error": 0.05, "chunks": CHUNK, "value_limits": (-1e4, 1e4), "exact_values": [30]}
    volume = wide_range("float32")
    nvc_jax.compress(volume, tmp_path / "one.zarr", **options)
    for part in ((1, 2), (0, 2)):
        nvc_jax.compress(volume, tmp_path / "two.zarr", part=part, **options)
    nvc_jax.verify(volume, tmp_path / "two.zarr")
    first, second = (nvc_jax.open(tmp_path / f"{name}.zarr").read().result() for name in ("one", "two"))
    np.testing.assert_array_equal(first, second)


def test_bool_keeps_pointwise_bounds_without_loss(tmp_path: Path) -> None:
    result = nvc_jax.compress(VOLUME > 90, tmp_path / "v.zarr", pointwise_error=0.5, chunks=CHUNK)
    assert result.target == {"lossless": True}


PLAIN = Case(
    **{"dtype": "float64", "shape": (8, 8, 16), "chunk": (8, 8, 16), "values": "ends", "seed": 1},
    **{"target": "max_error", "strength": 0.0, "missing": None, "is_masked": False, "share": 0.0},
    **{"special": 0.0, "limits": False, "exact": False},
)


def case_of(**changes: Any) -> Case:
    return dataclasses.replace(PLAIN, **changes)


@hypothesis.example(PLAIN)
@hypothesis.example(case_of(target="psnr", values="noise", seed=0))
@hypothesis.example(case_of(seed=50081, special=0.5))
@hypothesis.example(case_of(target="relative_error", values="noise", strength=1.0))
@hypothesis.example(case_of(dtype="int64", values="noisy", seed=2638920, target=None, exact=True))
@hypothesis.example(case_of(values="denormals", seed=910, target="psnr", strength=-17.0))
@hypothesis.example(
    case_of(dtype="float16", values="outliers", seed=48524583, target="psnr", strength=-5.882)
)
@hypothesis.given(cases())
@hypothesis.settings(max_examples=20)
def test_promises_are_kept_for_any_volume(case: Case) -> None:
    with temporary_directory() as directory:
        check_case(case, directory / "v.zarr")


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**1000])
def test_a_psnr_is_reached_at_any_scale(scale: float, tmp_path: Path) -> None:
    volume = VOLUME[:16, :16, :32].astype(np.float64) * scale
    nvc_jax.compress(volume, tmp_path / "v.zarr", psnr=60, chunks=PLAIN.chunk)
    assert nvc_jax.evaluate(volume, tmp_path / "v.zarr")["psnr_db"] == pytest.approx(60, abs=0.2)


def test_a_psnr_beyond_the_numbers_of_a_volume_is_refused(tmp_path: Path) -> None:
    volume = VOLUME[:8, :8, :16] * 5e-324
    with pytest.raises(ValueError, match=r"`psnr` \(=90.0\) .* dB is reached at best; use `lossless`"):
        nvc_jax.compress(volume, tmp_path / "v.zarr", psnr=90, chunks=PLAIN.chunk)
    assert not list(tmp_path.iterdir())


def test_special_values_come_back_exactly(tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float32)
    volume[:, :9] = -1e10
    volume[3, 10:12] = np.nan
    volume[4, 20] = [np.inf, -np.inf] * 21 + [-0.0]
    volume[5, 20, 3] = -777
    nvc_jax.compress(volume, tmp_path / "v.zarr", relative_error=0.01, missing_values=[-777], chunks=CHUNK)
    described = nvc_jax.info(tmp_path / "v.zarr")
    assert described["fill_values"] == [-777.0, -1e10]
    assert described["maximum"] - described["minimum"] <= 255
    assert described["bound"] <= 2.55
    nvc_jax.verify(volume, tmp_path / "v.zarr")
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    special = ~np.isfinite(volume) | (volume == -777) | (volume == -1e10)
    np.testing.assert_array_equal(decoded[special], volume[special])
    measures = nvc_jax.evaluate(volume, tmp_path / "v.zarr")
    assert measures["psnr_db"] > 40
    assert measures["max_error"] <= described["bound"]


@pytest.mark.parametrize("model", ["zero-margin", "two-wide-margin"])
def test_special_values_come_back_beside_latents(model: str, tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float32)
    volume[:, :9] = -1e10
    volume[4, 20] = np.nan
    nvc_jax.compress(volume, tmp_path / "v.zarr", model=model, chunks=CHUNK)
    report = nvc_jax.verify(volume, tmp_path / "v.zarr")
    assert report["measured_max_error"] == pytest.approx(report["max_error"], abs=0.01)
    assert report["max_error"] < 255


def test_a_container_that_breaks_its_promise_is_found_out(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", max_error=2, chunks=CHUNK)
    other = VOLUME.copy()
    other[20, 20, 20] ^= 64
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(1, 1, 0\) .* is wrong by"):
        nvc_jax.verify(other, tmp_path / "v.zarr")
    with pytest.raises(ValueError, match="`original` is float32"):
        nvc_jax.verify(VOLUME.astype(np.float32), tmp_path / "v.zarr")
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", lossless=True, chunks=CHUNK)
    with pytest.raises(nvc_jax.FormatError, match="does not restore every value exactly"):
        nvc_jax.verify(other, tmp_path / "v.zarr")


def test_ranges_beyond_float64_have_absolute_bounds(tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float64)
    volume[0, 0, :2] = [-1.7e308, 1.7e308]
    for relative, values in ((1e-3, volume), (10.0, volume / 4)):
        with pytest.raises(ValueError, match=r"`relative_error` .* beyond float64's: give a `max_error`"):
            nvc_jax.compress(values, tmp_path / "v.zarr", relative_error=relative)
    for target in ({"lossless": True}, {"max_error": 1.0}):
        nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, **target)
        nvc_jax.verify(volume, tmp_path / "v.zarr")


@pytest.mark.parametrize("stems_from_integers", [False, True])
def test_a_tighter_bound_takes_as_many_bytes_or_more(tmp_path: Path, stems_from_integers: bool) -> None:
    """Floats that stem from integers may take the fewest bytes without loss; no bound takes more."""
    fractions = 0 if stems_from_integers else np.random.default_rng(0).random(VOLUME.shape)
    volume = (VOLUME + fractions).astype(np.float32)
    sizes = []
    for relative_error in (1e-1, 1e-2, 1e-3, 1e-4):
        nvc_jax.compress(volume, tmp_path / "v.zarr", relative_error=relative_error, chunks=CHUNK)
        sizes.append(nvc_jax.info(tmp_path / "v.zarr")["stored_bytes"])
    assert sizes == sorted(sizes)
