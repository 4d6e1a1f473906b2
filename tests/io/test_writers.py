from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume
from nvc_jax.io.writers import write_volume, writing

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


@pytest.mark.parametrize("name", ["v.npy", "v.npz", "v_4x3x2_uint16.raw", "v.zarr"])
def test_files_round_trip_and_replace(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_volume(path, VOLUME + 1)
    with pytest.raises(FileExistsError, match=r"is an existing .*`--overwrite`"):
        write_volume(path, VOLUME)
    np.testing.assert_array_equal(read_volume(path), VOLUME + 1)
    write_volume(path, VOLUME, overwrite=True)
    np.testing.assert_array_equal(read_volume(path), VOLUME)
    np.testing.assert_array_equal(open_volume(str(path))[1, 1:, 2].read().result(), VOLUME[1, 1:, 2])
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_unknown_suffixes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="suffix must be one of"):
        write_volume(tmp_path / "v.txt", VOLUME)


@pytest.mark.parametrize("name", ["v.npy", "v_4x3x2_uint16.raw", "v.zarr"])
def test_volumes_of_another_rank_or_dtype_are_not_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 to 5 axes"):
        write_volume(tmp_path / name, VOLUME[0, 0])
    with pytest.raises(TypeError, match="complex64"):
        write_volume(tmp_path / name, VOLUME.astype(np.complex64))
    assert not list(tmp_path.iterdir())


def test_only_zarr_directories_are_replaced(tmp_path: Path) -> None:
    directory = tmp_path / "v.zarr"
    directory.mkdir()
    (directory / "thesis.txt").write_text("the only copy")
    with pytest.raises(FileExistsError, match="no Zarr store"):
        write_volume(directory, VOLUME)
    assert (directory / "thesis.txt").read_text() == "the only copy"


NAMES = [
    "v.npy",
    "v.npz",
    "v_7x6x5_float32.raw",
    "v.nii",
    "v.nii.gz",
    "v.nrrd",
    "v.mrc",
    "v.tif",
    "v.h5",
    "v.zarr",
]
RANDOM = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chunk", [None, (2, 6, 7), (3, 4, 5)])
def test_regions_are_written_by_several_threads(
    name: str, chunk: tuple[int, int, int] | None, tmp_path: Path
) -> None:
    path = tmp_path / name
    regions = [np.s_[z, y : y + 2, :] for z in range(5) for y in (0, 2, 4)]
    with writing(path, RANDOM.shape, "float32", chunk=chunk) as store, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda region: store[region].write(RANDOM[region]).result(), regions))
        assert not path.exists()
        np.testing.assert_array_equal(store[4, 5].read().result(), RANDOM[4, 5])
    np.testing.assert_array_equal(read_volume(path), RANDOM, strict=True)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_voxels_that_are_not_written_are_zero(name: str, tmp_path: Path) -> None:
    with writing(tmp_path / name, (5, 6, 7), "float32") as store:
        store[4, 5, 6].write(3).result()
    expected = np.zeros((5, 6, 7), np.float32)
    expected[4, 5, 6] = 3
    np.testing.assert_array_equal(read_volume(tmp_path / name), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_block_that_fails_keeps_the_old_volume(name: str, tmp_path: Path) -> None:
    write_volume(tmp_path / name, RANDOM)

    def fail(store: ts.TensorStore) -> None:
        store[0].write(1).result()
        raise OSError("broken")

    with (
        pytest.raises(OSError, match="broken"),
        writing(tmp_path / name, (5, 6, 7), "float32", overwrite=True) as store,
    ):
        fail(store)
    np.testing.assert_array_equal(read_volume(tmp_path / name), RANDOM)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_numpy_reads_the_files(tmp_path: Path) -> None:
    for name in NAMES[:3]:
        write_volume(tmp_path / name, RANDOM)
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), RANDOM, strict=True)
    np.testing.assert_array_equal(np.load(tmp_path / "v.npz")["volume"], RANDOM, strict=True)
    np.testing.assert_array_equal(np.fromfile(tmp_path / NAMES[2], "<f4"), RANDOM.ravel())


def test_a_file_does_not_stay_mapped(tmp_path: Path) -> None:
    with writing(tmp_path / "v.npy", (5, 6, 7), "float32") as store:
        store.write(RANDOM).result()
        assert "v.npy" not in Path("/proc/self/maps").read_text()


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match=rf"^`{tmp_path}/v.npy` cannot be written: "),
        writing(tmp_path / "v.npy", (1 << 20, 1 << 20, 1 << 20), "uint8"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_zarr_keeps_chunks_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    write_volume(path, RANDOM)
    assert read_metadata(path).dimension_names == ("z", "y", "x")
    assert open_volume(path).chunk_layout.read_chunk.shape == (5, 6, 7)
    metadata = VolumeMetadata(
        ("depth", "lat", "lon"), (3.0, 0.5, 0.25), (1.0, 2.0, 3.0), ("m", "deg", "deg"), {"a": [1, None]}
    )
    write_volume(path, RANDOM, chunk=(2, 128, 3), metadata=metadata, overwrite=True)
    assert open_volume(path).chunk_layout.read_chunk.shape == (2, 6, 3)
    kept = read_metadata(path)
    assert kept.attributes.items() >= {"a": [1, None], "spacing": [3.0, 0.5, 0.25]}.items()
    write_volume(path, RANDOM, metadata=kept, overwrite=True)
    assert read_metadata(path) == kept
    assert (kept.dimension_names, kept.spacing) == (metadata.dimension_names, metadata.spacing)
    assert (kept.origin, kept.units) == (metadata.origin, metadata.units)
    with pytest.raises(ValueError, match="`chunk`"):
        write_volume(path, RANDOM, chunk=(2, 0, 3), overwrite=True)
