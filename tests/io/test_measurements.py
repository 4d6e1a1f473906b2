from pathlib import Path

import numpy as np
import pytest
import zarr

from nvc_jax.io.measurements import open_measurements
from nvc_jax.io.volumes import open_steps

VALUES = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


def stored(path: Path, values: np.ndarray, **attributes: object) -> Path:
    array = zarr.create_array(path, data=values, dimension_names=["time", "z", "y", "x"])
    array.attrs.update(attributes)
    return path


def test_volumes_that_declare_nothing_stay_as_they_are(tmp_path: Path) -> None:
    first, second = open_measurements(stored(tmp_path / "v.zarr", VALUES.astype(np.int16)))
    assert first.dtype.numpy_dtype == np.int16
    np.testing.assert_array_equal(second.read().result(), VALUES[1])


@pytest.mark.parametrize(
    ("attributes", "is_valid"),
    [
        ({"_FillValue": 7}, VALUES != 7),
        ({"missing_value": [7, 63]}, (VALUES != 7) & (VALUES != 63)),
        ({"valid_range": [10, 90]}, (VALUES >= 10) & (VALUES <= 90)),
    ],
    ids=["fill", "missing", "range"],
)
@pytest.mark.parametrize("dtype", ["int16", "float64"])
def test_values_that_are_no_measurements_are_nan(
    tmp_path: Path, attributes: dict[str, object], is_valid: np.ndarray, dtype: str
) -> None:
    stores = open_measurements(stored(tmp_path / "v.zarr", VALUES.astype(dtype), **attributes))
    for store, values, valid in zip(stores, VALUES, is_valid, strict=True):
        floats = np.result_type(dtype, np.float32)  # which hold all values of the dtype
        assert store.dtype.numpy_dtype == floats
        expected = np.where(valid, values, np.nan).astype(floats)
        np.testing.assert_array_equal(store.read().result(), expected)
        np.testing.assert_array_equal(store[1:2, 2:4].read().result(), expected[1:2, 2:4])


def test_axes_of_length_one_stay(tmp_path: Path) -> None:
    values = VALUES[:, :1, :, :1].astype(np.float32)
    path = stored(tmp_path / "v.zarr", values, _FillValue=0)
    for store, step in zip(open_measurements(path), open_steps(path), strict=True):
        assert store.shape == step.shape
        expected = step.read().result()
        np.testing.assert_array_equal(store.read().result(), np.where(expected == 0, np.nan, expected))
