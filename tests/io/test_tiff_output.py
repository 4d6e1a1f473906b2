from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from volume_files import FILE_VOLUME as VOLUME

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import read_metadata, read_volume
from nvc_jax.io.writers import write_volume

METADATA = VolumeMetadata(
    ("z", "y", "x"), (3.0, 0.3, 0.5), (9.0, -7.0, 5.0), ("micrometer",) * 3, {"scale_factor": 0.25}, (-999.0,)
)
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tifffile_reads_what_is_written(dtype: str, tmp_path: Path) -> None:
    values = (VOLUME % 100).astype(dtype)
    write_volume(tmp_path / "v.tif", values)
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert file.is_imagej == (dtype in ("uint8", "uint16", "float32"))
        assert file.is_ome != file.is_imagej
        assert file.series[0].axes == "ZYX"
        assert len(file.pages) == 5
        np.testing.assert_array_equal(file.asarray(), values, strict=True)
    np.testing.assert_array_equal(read_volume(tmp_path / "v.tif"), values, strict=True)


@pytest.mark.parametrize(("dtype", "unit"), [("float32", "um"), ("int16", "µm")])
def test_spacing_units_missing_values_and_attributes_are_kept(dtype: str, unit: str, tmp_path: Path) -> None:
    write_volume(tmp_path / "v.tif", VOLUME.astype(dtype), metadata=METADATA)
    kept = read_metadata(tmp_path / "v.tif")
    assert kept.spacing == pytest.approx(METADATA.spacing, rel=1e-7)
    assert kept.units == (unit,) * 3
    assert kept.missing_values == (-999,)
    for text in ("scale_factor", "0.25", "origin", "9.0"):
        assert text in str(kept.attributes)
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        assert file.pages.first.tags["GDAL_NODATA"].value == "-999"


@pytest.mark.parametrize("spacing", [1e-12, 1 / 3, 1.0, 12345.678, 1e12])
def test_spacings_of_any_size_are_kept(spacing: float, tmp_path: Path) -> None:
    metadata = VolumeMetadata(spacing=(spacing,) * 3)
    write_volume(tmp_path / "v.tif", VOLUME.astype(np.float32), metadata=metadata)
    assert read_metadata(tmp_path / "v.tif").spacing == pytest.approx((spacing,) * 3, rel=1e-7)


def test_dtypes_that_it_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="TIFF cannot hold float16; it holds uint8, "):
        write_volume(tmp_path / "v.tif", VOLUME.astype(np.float16))


@pytest.mark.parametrize(
    ("name", "units"), [("v.ome.tif", ("um",) * 3), ("v.OME.TIFF", None), ("v.tif", ("mm", "um", "um"))]
)
def test_omes_form_is_written_where_it_is_asked_for_or_needed(name: str, units: Any, tmp_path: Path) -> None:
    metadata = VolumeMetadata(spacing=(3.0, 0.5, 0.25), units=units)
    write_volume(tmp_path / name, VOLUME.astype(np.uint16), metadata=metadata)
    with tifffile.TiffFile(tmp_path / name) as file:
        assert file.is_ome
    kept = read_metadata(tmp_path / name)
    assert kept.spacing == metadata.spacing
    if units is not None:
        assert kept.units == tuple(unit.replace("um", "µm") for unit in units)
