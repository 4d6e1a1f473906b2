import numpy as np
import pytest

from nvc_jax.core.dtypes import DEVICE_DTYPES, DTYPES, check_device_dtype, check_dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_supported_dtypes_pass(dtype: str) -> None:
    check_dtype(np.dtype(dtype))
    check_dtype(dtype)


@pytest.mark.parametrize("dtype", ["complex64", "complex128", ">f4", "U3"])
def test_other_dtypes_are_named_in_the_error(dtype: str) -> None:
    with pytest.raises(TypeError, match=f"`volume` has dtype {np.dtype(dtype)}"):
        check_dtype(np.dtype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_device_takes_dtypes_that_float32_holds_exactly(dtype: str) -> None:
    is_integer = np.dtype(dtype).kind in "iu"
    is_exact = is_integer and np.iinfo(dtype).bits < 24
    assert (dtype in DEVICE_DTYPES) == (is_exact or dtype in ("float16", "float32"))
    if dtype in DEVICE_DTYPES:
        check_device_dtype(dtype, "data")
    else:
        with pytest.raises(TypeError, match=f"`data` has dtype {dtype}"):
            check_device_dtype(dtype, "data")
