from pathlib import Path

import h5py
import numpy as np
import pytest

from nvc_jax.io.hdf5_types import check_virtual_sources, enum_attributes
from nvc_jax.io.volumes import read_metadata, read_volume

VOLUME = np.arange(4 * 5 * 6).reshape(4, 5, 6)


def save_virtual(path: Path, n_files: int = 2) -> None:
    layout = h5py.VirtualLayout((3, *VOLUME.shape), "i4")
    for number in range(2):
        layout[number] = h5py.VirtualSource(f"part{number}.h5", "v", VOLUME.shape)
    for number in range(n_files):
        with h5py.File(path / f"part{number}.h5", "w") as file:
            file["v"] = VOLUME + number
    with h5py.File(path / "v.h5", "w") as file:
        file.create_virtual_dataset("v", layout, fillvalue=-1)


def test_voxels_of_other_files_are_read(tmp_path: Path) -> None:
    save_virtual(tmp_path)
    volume = read_volume(tmp_path / "v.h5")
    np.testing.assert_array_equal(volume[1], VOLUME + 1)
    assert (volume[2] == -1).all()


def test_files_that_hold_voxels_must_be_there(tmp_path: Path) -> None:
    save_virtual(tmp_path, n_files=1)
    with pytest.raises(FileNotFoundError, match=r"takes voxels from 1 files .* such as `part1.h5`"):
        read_volume(tmp_path / "v.h5")
    with h5py.File(tmp_path / "v.h5") as file, pytest.raises(FileNotFoundError, match="`v` takes voxels"):
        check_virtual_sources(file["v"], tmp_path / "v.h5", "v")


def test_names_of_integers_are_flags(tmp_path: Path) -> None:
    tissues = h5py.enum_dtype({"white matter": 2, "air": 0, "bone": 1}, "u1")
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("v", data=VOLUME % 3, dtype=tissues)
        file.create_dataset("w", data=VOLUME)
    attributes = read_metadata(f"{tmp_path}/v.h5::v").attributes
    assert attributes == {"flag_values": [0, 1, 2], "flag_meanings": "air bone white_matter"}
    with h5py.File(tmp_path / "v.h5") as file:
        assert enum_attributes(file["w"]) == {}
        assert enum_attributes(file["v"]) == attributes
