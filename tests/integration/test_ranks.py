"""Arrays of two, four and five axes, and channels: every way of compressing, reading and writing them."""

import itertools
import pickle
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from interruption import Interrupted, interrupt_after

import nvc_jax
from nvc_jax.io.volumes import read_metadata, read_volume
from nvc_jax.io.writers import write_volume


def smooth(shape: tuple[int, ...]) -> np.ndarray:
    """Waves along all axes, of which no two steps are alike."""
    grids = np.indices(shape)
    return sum(np.sin(grid / (2 + axis)) for axis, grid in enumerate(grids)).astype(np.float32)


ARRAYS: dict[str, tuple[np.ndarray, tuple[str, ...], tuple[int, ...]]] = {
    "plane": (smooth((14, 20)), ("y", "x"), (16, 24)),
    "series": (smooth((3, 11, 14, 20)), ("time", "z", "y", "x"), (1, 16, 16, 24)),
    "hyperstack": (smooth((2, 3, 11, 14, 20)), ("t", "c", "z", "y", "x"), (1, 1, 16, 16, 24)),
    "channels last": (smooth((11, 14, 20, 3)), ("z", "y", "x", "c"), (16, 16, 24, 1)),
    "colours": (smooth((14, 20, 3)), ("y", "x", "band"), (16, 24, 1)),
    "hyperstack of planes": (smooth((2, 3, 14, 20)), ("t", "c", "y", "x"), (1, 1, 16, 24)),
    "no names": (smooth((2, 11, 14, 20)), (), (1, 16, 16, 24)),
}
"""Arrays, the names of their axes, and the chunks that they have by default."""
MAX_ERROR = 0.01


@pytest.fixture(scope="module", params=ARRAYS)
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, np.ndarray]:
    """Name of an array, its container, and the array."""
    values, names, _ = ARRAYS[request.param]
    path = tmp_path_factory.mktemp("rank") / "v.zarr"
    source: Any = xr.DataArray(values, dims=names) if names else values
    nvc_jax.compress(source, path, max_error=MAX_ERROR)
    return request.param, path, values


def test_a_container_has_the_axes_of_its_source(stored: tuple[str, Path, np.ndarray]) -> None:
    name, path, values = stored
    described = nvc_jax.info(path)
    assert described["shape"] == list(values.shape)
    assert described["chunk"] == list(ARRAYS[name][2])
    assert nvc_jax.verify(values, path)["measured_max_error"] <= MAX_ERROR
    measured = nvc_jax.evaluate(values, path)
    assert measured["max_error"] <= MAX_ERROR
    assert measured["ssim"] > 0.99


def test_every_reader_gives_the_same_array(stored: tuple[str, Path, np.ndarray]) -> None:
    name, path, values = stored
    view = nvc_jax.open(path)
    decoded = view.read().result()
    assert np.abs(decoded - values).max() <= MAX_ERROR
    np.testing.assert_array_equal(zarr.open_array(path)[...], decoded)
    np.testing.assert_array_equal(da.from_array(view).compute(), decoded)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(view))[..., 1:3].read().result(), decoded[..., 1:3]
    )
    assert zarr.open_array(path).metadata.dimension_names == (ARRAYS[name][1] or ("dim_0", "z", "y", "x"))
    preview = nvc_jax.preview(path)
    chunk = ARRAYS[name][2]
    assert preview.shape == tuple(-(-side // min(n, 8)) for side, n in zip(values.shape, chunk, strict=True))


def test_a_region_is_written_with_the_axes(stored: tuple[str, Path, np.ndarray], tmp_path: Path) -> None:
    _, path, values = stored
    region = tuple(slice(side // 3, side) for side in values.shape)
    nvc_jax.decompress(path, tmp_path / "part.npy", region=region)
    part = np.load(tmp_path / "part.npy")
    np.testing.assert_array_equal(part, nvc_jax.open(path)[region].read().result())


@pytest.mark.parametrize(
    "target", [{"psnr": 50.0}, {"step": 0.02}, {"lossless": True}, {"relative_error": 1e-3}]
)
def test_targets_are_those_of_the_whole_array(target: dict[str, Any], tmp_path: Path) -> None:
    volume = smooth((3, 11, 14, 20))
    volume[2] *= 10  # the range of one step is not that of all
    nvc_jax.compress(volume, tmp_path / "v.zarr", **target)
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    width = float(volume.max()) - float(volume.min())
    described = nvc_jax.info(tmp_path / "v.zarr")
    assert (described["minimum"], described["maximum"]) == (volume.min(), volume.max())
    if "psnr" in target:
        assert nvc_jax.evaluate(volume, tmp_path / "v.zarr")["psnr_db"] >= 49.9
    if "relative_error" in target:
        assert np.abs(decoded - volume).max() <= 1e-3 * width
    if "lossless" in target:
        np.testing.assert_array_equal(decoded, volume)
    nvc_jax.verify(volume, tmp_path / "v.zarr")


def test_chunks_may_be_chosen_along_any_axes(tmp_path: Path) -> None:
    volume = smooth((3, 2, 10, 12))
    for number, chunks in enumerate([(8, 1, 8, 8), (1, 1, 8, 8), (8, 8, 8, 1), (1, 1, 1, 8), (2, 8, 8, 8)]):
        path = tmp_path / f"{number}.zarr"
        nvc_jax.compress(volume, path, lossless=True, chunks=chunks)
        np.testing.assert_array_equal(nvc_jax.open(path).read().result(), volume)
        assert nvc_jax.info(path)["chunk"] == list(chunks)
    with pytest.raises(ValueError, match="must be 4 positive multiples of the model's block size"):
        nvc_jax.compress(volume, tmp_path / "w.zarr", lossless=True, chunks=(8, 2, 1, 8))
    with pytest.raises(ValueError, match="at most 4 sides above 1; make those of other axes 1"):
        nvc_jax.compress(volume[None], tmp_path / "w.zarr", lossless=True, chunks=(8, 8, 8, 8, 8))
    with pytest.raises(ValueError, match=r"`chunks` .* at most 3 sides above 1 with this model.* axis 0 1"):
        nvc_jax.compress(volume, tmp_path / "w.zarr", model="zero-margin", chunks=(2, 8, 8, 8))


@pytest.mark.parametrize("shards", [None, (2, 16, 16, 24)])
def test_runs_resume_and_share_the_work(shards: Any, tmp_path: Path) -> None:
    volume = ARRAYS["series"][0]
    options: dict[str, Any] = {"max_error": MAX_ERROR, "shards": shards}
    nvc_jax.compress(volume, tmp_path / "whole.zarr", **options)
    expected = nvc_jax.open(tmp_path / "whole.zarr").read().result()
    with pytest.raises(Interrupted):
        nvc_jax.compress(volume, tmp_path / "v.zarr", on_progress=interrupt_after(2), **options)
    assert nvc_jax.compress(volume, tmp_path / "v.zarr", resume=True, **options).is_complete
    for part in range(2):
        nvc_jax.compress(volume, tmp_path / "parts.zarr", part=(part, 2), **options)
    for name in ("v.zarr", "parts.zarr"):
        np.testing.assert_array_equal(nvc_jax.open(tmp_path / name).read().result(), expected)
    changed = volume.copy()
    changed[1, 2, 3, 4] += 1
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(1, 0, 0, 0\)"):
        nvc_jax.verify(changed, tmp_path / "v.zarr")


def test_a_chunk_of_another_step_is_refused(tmp_path: Path) -> None:
    nvc_jax.compress(ARRAYS["series"][0], tmp_path / "v.zarr", max_error=MAX_ERROR)
    chunks = [tmp_path / "v.zarr" / "c" / str(step) / "0/0/0" for step in range(2)]
    chunks[0].write_bytes(chunks[1].read_bytes())
    with pytest.raises(nvc_jax.FormatError, match=r"chunk of another place: its number is 1, not 0"):
        nvc_jax.open(tmp_path / "v.zarr").read().result()


def test_margins_blend_within_a_step_alone(tmp_path: Path) -> None:
    step = smooth((12, 20, 24))
    volume = np.stack([step, step[::-1]])  # of one range, by which the model scales
    paths = [tmp_path / name for name in ("series.zarr", "0.zarr", "1.zarr")]
    for source, path in zip((volume, volume[0], volume[1]), paths, strict=True):
        chunks = (8, 8, 8) if source.ndim == 3 else (1, 8, 8, 8)
        nvc_jax.compress(source, path, model="two-wide-margin", chunks=chunks)
    series, *steps = (nvc_jax.open(path).read().result() for path in paths)
    np.testing.assert_allclose(series, np.stack(steps), atol=1e-5)
    assert nvc_jax.preview(paths[0]).shape == (2, 2, 3, 3)


def test_missing_values_and_labels_have_any_rank(tmp_path: Path) -> None:
    volume = ARRAYS["series"][0].copy()
    volume[1, :, :9] = -9999
    nvc_jax.compress(volume, tmp_path / "v.zarr", relative_error=1e-3)
    decoded = nvc_jax.open(tmp_path / "v.zarr").read().result()
    np.testing.assert_array_equal(decoded == -9999, volume == -9999)
    labels = (ARRAYS["hyperstack"][0] > 1).astype(np.uint8)
    nvc_jax.compress(labels, tmp_path / "l.zarr")
    assert nvc_jax.info(tmp_path / "l.zarr")["target"] == {"lossless": True}
    np.testing.assert_array_equal(nvc_jax.open(tmp_path / "l.zarr").read().result(), labels)


@pytest.mark.parametrize("suffix", [".nii", ".tif", ".nrrd", ".h5", ".nc", ".zarr"])
def test_metadata_of_time_come_back_through_a_container(suffix: str, tmp_path: Path) -> None:
    times = {"time": 10 + 2.0 * np.arange(3)}
    space = {name: 0.5 * np.arange(side) for name, side in zip("zyx", (11, 14, 20), strict=True)}
    source = xr.DataArray(ARRAYS["series"][0], dims=("time", *"zyx"), coords=times | space)
    for name in "zyx":
        source[name].attrs["units"] = "mm"
    source["time"].attrs["units"] = "s"
    nvc_jax.compress(source, tmp_path / "v.zarr", max_error=MAX_ERROR)
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / f"w{suffix}", region=np.s_[1:3, :, 2:14, :])
    kept = read_metadata(tmp_path / f"w{suffix}")
    assert read_volume(tmp_path / f"w{suffix}").shape == (2, 11, 12, 20)
    assert kept.spacing is not None
    assert kept.spacing[1:] == (0.5, 0.5, 0.5)
    if suffix != ".nrrd":
        assert kept.spacing[0] == 2.0
    if suffix in (".nii", ".h5", ".nc", ".zarr"):
        assert kept.origin == (12.0, 0.0, 1.0, 0.0)


def test_formats_that_hold_three_axes_are_refused_before_work(tmp_path: Path) -> None:
    nvc_jax.compress(ARRAYS["series"][0], tmp_path / "v.zarr", max_error=MAX_ERROR)
    with pytest.raises(ValueError, match=r"\.mrc has 3 axes, .* such as the region 0:1,:,:,:"):
        nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "w.mrc")
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "w.mrc", region=np.s_[1:2, :, :, :])
    assert read_volume(tmp_path / "w.mrc").shape == (11, 14, 20)


def test_a_selection_is_compressed(tmp_path: Path) -> None:
    values, _, _ = ARRAYS["hyperstack"]
    write_volume(tmp_path / "v.npy", values)
    nvc_jax.compress(f"{tmp_path}/v.npy[0=1,1=0:2]", tmp_path / "v.zarr", max_error=MAX_ERROR)
    assert nvc_jax.verify(values[1, :2], tmp_path / "v.zarr")["measured_max_error"] <= MAX_ERROR
    selected = nvc_jax.Selection(tmp_path / "v.npy", "0=1,1=0:2")
    assert nvc_jax.evaluate(selected, tmp_path / "v.zarr")["max_error"] <= MAX_ERROR
    with pytest.raises(ValueError, match="is the source itself"):
        nvc_jax.compress(f"{tmp_path}/v.npy[0=1]", tmp_path / "v.npy", overwrite=True)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64"])
@pytest.mark.parametrize("shape", [(3, 9), (2, 1, 3, 9), (1, 2, 2, 3, 9)])
def test_small_arrays_of_every_dtype_come_back(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    values = (np.arange(np.prod(shape)).reshape(shape) % 5).astype(dtype)
    nvc_jax.compress(values, tmp_path / "v.zarr", lossless=True)
    np.testing.assert_array_equal(nvc_jax.open(tmp_path / "v.zarr").read().result(), values, strict=True)


def test_another_rank_is_refused_with_a_next_step(tmp_path: Path) -> None:
    for shape, step in (((9,), "add axes of length 1"), ((2,) * 6, r"such as `volume\[0\]`")):
        with pytest.raises(ValueError, match=f"2 to 5 axes: .*{step}"):
            nvc_jax.compress(np.zeros(shape), tmp_path / "v.zarr")
    assert not list(itertools.chain(tmp_path.iterdir()))
