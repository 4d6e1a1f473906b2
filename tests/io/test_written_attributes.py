import math
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.writers import write_volume
from nvc_jax.io.written_attributes import as_ascii, missing_values_of, plain_attributes


@pytest.mark.parametrize(("dtype", "missing"), [("int16", -999), ("float32", -999.0)])
def test_missing_values_are_numbers(dtype: str, missing: float) -> None:
    metadata = VolumeMetadata(
        spacing=(1.0, 1.0, 1.0), attributes={"a": [1], "spacing": [1, 1, 1]}, missing_values=(-999.0,)
    )
    attributes = plain_attributes(metadata, np.dtype(dtype))
    assert attributes == {"a": [1], "_FillValue": missing}
    assert isinstance(attributes["_FillValue"], type(missing))
    assert missing_values_of(metadata, np.dtype(dtype)) == (-999,)


def test_values_that_are_not_finite_stay_so() -> None:
    attributes = plain_attributes(VolumeMetadata(missing_values=(math.nan,)), np.dtype("float32"))
    assert math.isnan(attributes["_FillValue"])


def test_units_become_ascii() -> None:
    assert [as_ascii(text) for text in ("mm", "µm", "μm", "Å", "°")] == [
        "mm",
        "um",
        "um",
        "Angstrom",
        r"\xb0",
    ]


@pytest.mark.parametrize("name", ["v.nii", "v.mgh", "v.mrc", "v.mha", "v.npy", "v.npz", "v_4x3x2_int16.raw"])
def test_formats_without_missing_values_say_so(name: str, tmp_path: Path) -> None:
    metadata = VolumeMetadata(attributes={"_FillValue": -999, "scale_factor": 0.5})
    lost = "the missing value -999" if name == "v.nii" else "the missing value -999, `scale_factor`"
    with pytest.warns(
        UserWarning, match=f"has no place for {lost}; the stored values are written as they are"
    ):
        write_volume(tmp_path / name, np.ones((2, 3, 4), np.int16), metadata=metadata)
