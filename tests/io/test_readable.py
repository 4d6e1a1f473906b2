import pytest

from nvc_jax.io.readable import readable


def test_errors_of_a_library_name_the_file() -> None:
    with (
        pytest.raises(ValueError, match=r"^`v\.x` is not a readable X file: bad magic; copy it anew if"),
        readable("v.x", "X"),
    ):
        raise OSError("bad magic")
    with (
        pytest.raises(ValueError, match=r"is not a readable X file: its header .* \(KeyError\)"),
        readable("v.x", "X"),
    ):
        raise KeyError


def test_a_missing_library_stays_its_own_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="no library"), readable("v.x", "X"):
        raise ModuleNotFoundError("no library")
