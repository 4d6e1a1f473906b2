"""Volumes of int64, uint64 and bool keep every promise, also where float64 does not tell values apart."""

import tempfile
from pathlib import Path
from typing import Any

import h5py
import nrrd
import numpy as np
import pytest
import tifffile
import zarr
from example_chunks import exact_errors, smooth_values
from hypothesis import given, settings
from hypothesis import strategies as st

import nvc_jax
from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.io.volumes import open_volume, read_volume
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

SHAPE = CHUNK = (16, 16, 24)
LONG = ("int64", "uint64")
TARGETS: list[dict[str, Any]] = [
    *({"max_error": bound} for bound in (0, 1, 2.5, 2**53 + 2, 2**60)),
    *({"relative_error": 0.01}, {"psnr": 40}, {"step": 0.02}, {"lossless": True}),
]


def make_volume(dtype: str, width: int, at_top: bool, is_noise: bool) -> np.ndarray:
    """Make a volume that takes both ends of a range, which lies at an end of the dtype's."""
    limits = np.iinfo(dtype)
    unit = np.random.default_rng(0).random(SHAPE) if is_noise else smooth_values(SHAPE)
    offsets = [min(int(value * width), width) for value in unit.reshape(-1)]
    offsets[0], offsets[-1] = 0, width
    low = int(limits.max) - width if at_top else int(limits.min)
    return np.array([low + offset for offset in offsets], dtype).reshape(SHAPE)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(LONG),
    st.sampled_from([1, 255, 2**20, 2**33, 2**53 - 1, 2**53, 2**60 + 1, 2**64 - 1]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(TARGETS),
)
def test_every_target_is_kept_at_the_ends_of_the_dtype(
    dtype: str, width: int, at_top: bool, is_noise: bool, target: dict[str, Any]
) -> None:
    volume = make_volume(dtype, width, at_top, is_noise)
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "v.zarr"
        result = nvc_jax.compress(volume, store, chunks=CHUNK, **target)
        decoded = nvc_jax.open(store).read().result()
        report, described = nvc_jax.verify(volume, store), nvc_jax.info(store)
    assert decoded.dtype == volume.dtype
    largest = int(exact_errors(decoded, volume).max())
    if not described["fill_values"]:  # one of two values counts as missing
        assert (described["minimum"], described["maximum"]) == (int(volume.min()), int(volume.max()))
    assert largest <= result.max_error <= np.nextafter(float(largest), np.inf)
    assert report["measured_max_error"] == result.max_error
    if described["bound"] is not None:
        assert largest <= described["bound"]
    else:
        assert largest <= max(0.2 * width, 1)


def test_missing_values_limits_and_exact_values_are_exact_integers(tmp_path: Path) -> None:
    low = 2**63 + 1
    volume = np.arange(np.prod(SHAPE), dtype=np.uint64).reshape(SHAPE) + np.uint64(low)
    volume[:4, :4] = 2**64 - 1
    volume[5, 5, 5] = low - 1
    nvc_jax.compress(
        volume,
        tmp_path / "v.zarr",
        max_error=100,
        missing_values=[2**64 - 1],
        value_limits=(low - 1, None),
        exact_values=[low - 1],
        chunks=CHUNK,
    )
    nvc_jax.verify(volume, tmp_path / "v.zarr")
    described = nvc_jax.info(tmp_path / "v.zarr")
    assert described["fill_values"] == [2**64 - 1]
    assert described["value_limits"] == [low - 1, None]
    assert described["minimum"] == low - 1
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    assert decoded[5, 5, 5] == low - 1
    assert decoded.min() == low - 1
    np.testing.assert_array_equal(decoded == 2**64 - 1, volume == 2**64 - 1)


@pytest.mark.parametrize("dtype", [*LONG, "bool"])
def test_zarr_python_and_previews_show_the_values(dtype: str, tmp_path: Path) -> None:
    base = np.indices(SHAPE).sum(axis=0)
    volume = base > 20 if dtype == "bool" else base.astype(dtype) + np.array(np.iinfo(dtype).max - 99, dtype)
    nvc_jax.compress(volume, tmp_path / "v.zarr", lossless=True, chunks=CHUNK)
    np.testing.assert_array_equal(np.asarray(zarr.open_array(str(tmp_path / "v.zarr"), mode="r")[:]), volume)
    preview = nvc_jax.open(tmp_path / "v.zarr", level="preview").read().result()
    assert preview.dtype == volume.dtype
    z, y, x = np.indices(preview.shape) * 8
    assert exact_errors(preview, volume[z + 4, y + 4, x + 4]).max() <= (0.5 if dtype == "bool" else 2)


@pytest.mark.parametrize(
    "target", [{}, {"max_error": 3}, {"relative_error": 0.5}, {"psnr": 20}, {"step": 0.5}, {"lossless": True}]
)
def test_bool_is_always_lossless(target: dict[str, Any], tmp_path: Path) -> None:
    volume = smooth_values(SHAPE) > 0.6
    result = nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, **target)
    assert result.target == {"lossless": True}
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    assert decoded.dtype == np.bool_
    np.testing.assert_array_equal(decoded, volume)
    assert nvc_jax.evaluate(volume, tmp_path / "v.zarr")["max_error"] == 0
    nvc_jax.verify(volume, tmp_path / "v.zarr")


def test_every_true_of_bool_is_one_byte(tmp_path: Path) -> None:
    volume = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 5).astype(np.uint8)
    np.save(tmp_path / "v.npy", volume.view(np.bool_))
    nvc_jax.compress(tmp_path / "v.npy", tmp_path / "v.zarr", chunks=CHUNK)
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    np.testing.assert_array_equal(decoded.view(np.uint8), volume != 0)
    nvc_jax.verify(tmp_path / "v.npy", tmp_path / "v.zarr")


def test_models_of_the_paper_name_the_next_step(tmp_path: Path) -> None:
    for dtype in (*LONG, "bool"):
        with pytest.raises(TypeError, match=f"has dtype {dtype}"):
            nvc_jax.compress(np.zeros(SHAPE, dtype), tmp_path / "v.zarr", model="zero-margin")
    with pytest.raises(TypeError, match="its real and its imaginary part as two volumes"):
        nvc_jax.compress(np.zeros(SHAPE, np.complex64), tmp_path / "v.zarr")


def write_hdf5(path: Path, volume: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("v", data=volume, chunks=(2, 2, 2))


WRITERS = {
    ".npy": np.save,
    ".h5": write_hdf5,
    ".nrrd": lambda path, volume: nrrd.write(str(path), volume, index_order="C"),
    ".tif": tifffile.imwrite,
    ".zarr": lambda path, volume: zarr.save_array(str(path), volume),
}


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("dtype", [*LONG, "bool"])
def test_files_come_back(dtype: str, suffix: str, tmp_path: Path) -> None:
    if (dtype, suffix) == ("bool", ".nrrd"):
        pytest.skip("NRRD holds no bool")
    base = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    volume = base % 7 > 2 if dtype == "bool" else base.astype(dtype) + np.array(2**62 + 1, dtype)
    source = tmp_path / f"source{suffix}"
    WRITERS[suffix](source, volume)
    nvc_jax.compress(source, tmp_path / "container.zarr", lossless=True, chunks=CHUNK)
    nvc_jax.verify(source, tmp_path / "container.zarr")
    for name in ("out.npy", "out.npz", "out.zarr", f"out_24x16x16_{dtype}.raw"):
        nvc_jax.decompress(tmp_path / "container.zarr", tmp_path / name)
        decoded = read_volume(open_volume(tmp_path / name))
        assert decoded.dtype == volume.dtype
        np.testing.assert_array_equal(decoded, volume)


def test_wide_integers_take_about_the_bytes_of_narrow_ones(tmp_path: Path) -> None:
    base = (1000 * smooth_values(SHAPE)).astype(np.int32)
    for target in ({"max_error": 8}, {"step": 0.02}, {"lossless": True}):
        sizes = [
            nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, **target).stored_bytes
            for volume in (base, base.astype(np.int64) + np.iinfo(np.int64).min)
        ]
        assert sizes[1] < 1.05 * sizes[0] + 100


def test_identifiers_of_segments_take_few_bytes(tmp_path: Path) -> None:
    z, y, x = np.indices(SHAPE)
    numbers = (z // 6 * 7919 + y // 5 * 104729 + x // 7 * 15485863).astype(np.uint64)
    segments = np.uint64(720575940600000000) + numbers
    result = nvc_jax.compress(segments, tmp_path / "v.zarr", chunks=CHUNK)
    assert result.target == {"lossless": True}
    assert result.ratio > 20
    nvc_jax.verify(segments, tmp_path / "v.zarr")


def test_a_chunk_of_bool_holds_nothing_but_0_and_1() -> None:
    params = nvc_jax.load_codec("nvc-1").params
    coder = SpectralTransformCoder(params, CHUNK)
    encoder = ChunkCodec(coder, CHUNK, np.dtype(np.uint8))
    stored = encoder.encode(np.full(CHUNK, 2, np.uint8), ChunkTarget(0, None))
    with pytest.raises(ValueError, match="a chunk of bool holds the value 2"):
        ChunkCodec(coder, CHUNK, np.dtype(np.bool_)).decode(stored)


def test_bounds_beyond_float64_are_rounded_down(tmp_path: Path) -> None:
    volume = make_volume("int64", 2**60, at_top=True, is_noise=True)
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, max_error=2**53 + 3)
    assert nvc_jax.info(tmp_path / "v.zarr")["bound"] == 2**53 + 2
