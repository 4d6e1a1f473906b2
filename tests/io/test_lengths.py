import dataclasses
from pathlib import Path

import numpy as np
import pytest
from volume_files import FILE_VOLUME as VOLUME

from nvc_jax.io.geometry import ras_affine
from nvc_jax.io.lengths import is_shorter, lengths_in, unit_of_length, units_of_lengths
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import read_metadata
from nvc_jax.io.writers import write_volume

METRES = {
    **{"km": 1e3, "m": 1.0, "in": 0.0254, "cm": 1e-2, "mm": 1e-3, "µm": 1e-6, "nm": 1e-9},
    **{"angstrom": 1e-10, "pm": 1e-12},
}
FORMATS = ("v.nii", "v.mgh", "v.mha", "v.mrc", "v.nrrd", "v.tif", "v.ome.tif", "v.ome.zarr", "v.nc", "v.zarr")


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        *(("um", "µm"), ("μm", "µm"), ("Microns", "µm"), ("micrometers", "µm"), ("MILLIMETRE", "mm")),
        *(("Å", "angstrom"), ("A", "angstrom"), ("Angstroms", "angstrom"), ("inches", "in"), ("meters", "m")),
        *(
            ("Mm", None),
            ("M", None),
            ("s", None),
            ("degrees_north", None),
            ("", None),
            (None, None),
            (3, None),
        ),
    ],
)
def test_units_have_one_name(name: str | None, unit: str | None) -> None:
    assert unit_of_length(name) == unit


def test_units_are_ordered_and_known_together() -> None:
    assert is_shorter("nm", "µm")
    assert not is_shorter("mm", "mm")
    assert units_of_lengths(VolumeMetadata(units=("mm", "um", "micron"))) == ("mm", "µm", "µm")
    assert units_of_lengths(VolumeMetadata(units=("s", "um", "micron"))) is None
    assert units_of_lengths(VolumeMetadata()) is None


def test_positions_in_another_unit_are_the_same() -> None:
    matrix = np.array([[0.0, 2, 0, 5], [-3, 0, 0, 7], [0, 0, 4, 9], [0, 0, 0, 1]])
    directions = {"space directions": matrix[:3, :3].T.tolist(), "space origin": matrix[:3, 3].tolist()}
    for attributes in ({"affine": matrix.tolist()}, directions):
        metadata = VolumeMetadata(None, (4.0, 2.0, 3.0), None, ("mm",) * 3, attributes)
        moved = ras_affine(lengths_in(metadata, "µm"))
        np.testing.assert_array_equal(moved, matrix * [[1000], [1000], [1000], [1]])
        assert lengths_in(metadata, "mm") == metadata
    mixed = VolumeMetadata(None, (4.0, 2.0, 3.0), (1.0, 2.0, 3.0), ("mm", "s", "nm"))
    moved = lengths_in(mixed, "µm")
    assert (moved.spacing, moved.origin) == ((4000.0, 2.0, 0.003), (1000.0, 2.0, 0.003))
    for unknown in (VolumeMetadata(), dataclasses.replace(mixed, units=None)):
        assert lengths_in(unknown, "mm") == unknown


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "units",
    [
        *(("m",) * 3, ("centimeters",) * 3, ("mm",) * 3, ("um",) * 3, ("nm",) * 3, ("Å",) * 3, ("km",) * 3),
        *(("µm", "nm", "nm"), ("mm", "µm", "µm"), ("inch",) * 3),
    ],
)
def test_voxels_keep_their_size_in_every_format(
    units: tuple[str, str, str], name: str, tmp_path: Path
) -> None:
    metadata = VolumeMetadata(None, (2.0, 3.0, 4.0), (10.0, -20.0, 30.0), units)
    write_volume(tmp_path / name, VOLUME, metadata=metadata)
    kept = read_metadata(tmp_path / name)
    factors, kept_factors = (
        [METRES[unit_of_length(unit) or ""] for unit in one.units or ()] for one in (metadata, kept)
    )
    assert np.multiply(kept.spacing, kept_factors) == pytest.approx(np.multiply(metadata.spacing, factors))
    if ".tif" not in name:  # which has no place for an origin
        assert np.multiply(kept.origin, kept_factors) == pytest.approx(np.multiply(metadata.origin, factors))


@pytest.mark.parametrize("name", ["v.nii", "v.mgh", "v.mha", "v.mrc"])
def test_units_that_are_none_of_length_leave_numbers_as_they_are(name: str, tmp_path: Path) -> None:
    metadata = VolumeMetadata(None, (2.0, 3.0, 4.0), (10.0, -20.0, 30.0), ("degrees",) * 3)
    write_volume(tmp_path / name, VOLUME, metadata=metadata)
    kept = read_metadata(tmp_path / name)
    assert (kept.spacing, kept.origin) == (metadata.spacing, metadata.origin)
