from types import SimpleNamespace
from typing import Any, ClassVar

import jax.numpy as jnp
import nibabel
import numpy as np
import pytest
import scipy.sparse
import xarray

from nvc_jax.io.lazy import read_region, view_region
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def test_arrays_are_volumes() -> None:
    np.testing.assert_array_equal(read_volume(VOLUME), VOLUME)
    for volume in (VOLUME[0], VOLUME[None], VOLUME[None, ..., None]):
        np.testing.assert_array_equal(read_volume(volume.astype(">u2")), volume, strict=True)
    np.testing.assert_array_equal(read_volume(VOLUME[None, None, None]), VOLUME[None, None])


@pytest.mark.parametrize(
    "source",
    [
        nibabel.Nifti1Image(VOLUME.astype(np.int16), np.eye(4)),
        xarray.Dataset({"v": (("z", "y", "x"), VOLUME)}),
        scipy.sparse.csr_matrix(VOLUME[0]),
    ],
    ids=lambda source: type(source).__name__,
)
def test_objects_that_hold_an_array_are_named(source: Any) -> None:
    with pytest.raises(TypeError, match=f"must be an array, .* not {type(source).__name__}"):
        open_volume(source)


def test_arrays_of_another_rank_or_dtype_are_errors() -> None:
    with pytest.raises(ValueError, match="2 to 5 axes: add axes of length 1"):
        open_volume(VOLUME[0, 0])
    with pytest.raises(ValueError, match=r"2 to 5 axes: take a part of it, such as `volume\[0\]`"):
        open_volume(np.zeros((2,) * 6))
    with pytest.raises(TypeError, match="complex64"):
        open_volume(VOLUME.astype(np.complex64))


@pytest.mark.parametrize(
    "volume", [VOLUME, VOLUME.T, VOLUME[None, ..., ::-1], VOLUME > 3, VOLUME.astype(">u2")]
)
def test_regions_of_arrays_are_those_that_are_read(volume: np.ndarray) -> None:
    store = open_volume(volume)
    region = tuple(slice(side // 2, side) for side in store.shape)
    for source in (store, store.T.T):
        np.testing.assert_array_equal(view_region(source, region), read_region(store, region), strict=True)


def test_regions_of_arrays_are_not_copied() -> None:
    store, region = open_volume(VOLUME), (slice(0, 2), slice(1, 2), slice(1, 4))
    assert np.shares_memory(view_region(store, region), VOLUME)


def test_every_true_of_regions_is_the_byte_1() -> None:
    store = open_volume(np.full((2, 3), 2, np.uint8).view(bool))
    assert (view_region(store, (slice(0, 2), slice(0, 3))).view(np.uint8) == 1).all()


def test_arrays_have_no_metadata() -> None:
    for source in (VOLUME, VOLUME.tolist()):
        assert read_metadata(source) == VolumeMetadata()


class _Labelled:
    """Like an ``xarray.DataArray``."""

    dims = ("time", "depth", "lat", "lon")
    shape = (1, 2, 3, 4)
    attrs: ClassVar = {"long_name": "salinity", "valid_range": np.float32([0, 40]), "odd": object()}

    def __init__(self, coordinates: dict[str, list[float]]) -> None:
        self.coords = {
            name: SimpleNamespace(values=np.array(values), attrs={"units": f"{name} units"})
            for name, values in coordinates.items()
        }

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return VOLUME[None]


def test_labelled_arrays_have_names_spacing_origin_and_units() -> None:
    array = _Labelled({"depth": [0.0, 10.0], "lat": [-1, -0.5, 0], "lon": [3, 3.25, 3.5, 3.75]})
    np.testing.assert_array_equal(read_volume(array), VOLUME[None])
    assert read_metadata(array) == VolumeMetadata(
        ("time", "depth", "lat", "lon"),
        (None, 10.0, 0.5, 0.25),
        (None, 0.0, -1.0, 3.0),
        (None, "depth units", "lat units", "lon units"),
        {"long_name": "salinity", "valid_range": [0.0, 40.0]},
    )


def test_uneven_or_falling_coordinates_give_no_spacing() -> None:
    uneven = read_metadata(_Labelled({"depth": [0, 10], "lat": [-1, -0.5, 7], "lon": [3, 2, 1, 0]}))
    assert uneven.dimension_names == ("time", "depth", "lat", "lon")
    assert (uneven.spacing, uneven.origin) == ((None, 10.0, None, None), (None, 0.0, None, None))


def test_masked_voxels_have_the_fill_value() -> None:
    masked = np.ma.masked_less(VOLUME, 5)
    masked.set_fill_value(99)
    np.testing.assert_array_equal(read_volume(masked), np.where(VOLUME < 5, 99, VOLUME), strict=True)
    assert read_metadata(masked) == VolumeMetadata(missing_values=(99.0,))
    masked.set_fill_value(7)
    with pytest.raises(ValueError, match=r"fill value \(=7\) other voxels have, too; choose another one"):
        read_volume(masked)


def test_masks_of_bfloat16_are_kept() -> None:
    values = np.array([[1.5, 2.0, np.nan], [3.0, 4.0, 5.0]], jnp.bfloat16)
    masked = np.ma.array(
        values, mask=[[True, False, False], [False, True, False]], fill_value=jnp.bfloat16(-7)
    )
    assert read_metadata(masked).missing_values == (-7.0,)
    expected = np.array([[-7.0, 2.0, np.nan], [3.0, -7.0, 5.0]])
    np.testing.assert_array_equal(read_volume(masked).astype(np.float64), expected)
