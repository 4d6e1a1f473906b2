import numpy as np
import pytest

import nvc_jax
from nvc_jax.container.reader import Reader
from nvc_jax.evaluation.chunk_checks import check_chunk, check_stated_error, mark_valid

INDEX = (0, 0, 0)


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    values[0] = -9999
    return values


@pytest.fixture(scope="module")
def reader(volume: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    path = tmp_path_factory.mktemp("chunk") / "v.zarr"
    nvc_jax.compress(volume, path, max_error=0.1, missing_values=[-9999], value_limits=(-10, 10))
    return Reader(path)


def test_values_are_valid_by_the_rules_of_the_container(volume: np.ndarray, reader: Reader) -> None:
    np.testing.assert_array_equal(mark_valid(volume, reader.metadata), volume != -9999)


def test_the_error_of_a_sound_chunk_is_measured(volume: np.ndarray, reader: Reader) -> None:
    decoded = reader.decode_chunk(INDEX)
    error = float(np.abs(decoded[1:].astype(np.float64) - volume[1:]).max())
    assert check_chunk(reader, INDEX, volume, decoded) == (error, 0.0)
    check_stated_error(reader, INDEX, error, error)


@pytest.mark.parametrize(
    ("value", "place", "fault"),
    [
        (1.0, (0, 0, 0), "does not restore every value exactly"),
        (-9999.0, (1, 0, 0), "turns valid values into missing ones"),
        (11.0, (1, 0, 0), "takes them beyond the limits"),
        (9.0, (1, 0, 0), "the bound is 0.1"),
    ],
)
def test_faults_are_told(value: float, place: tuple, fault: str, volume: np.ndarray, reader: Reader) -> None:
    decoded = reader.decode_chunk(INDEX).copy()
    decoded[place] = value
    with pytest.raises(nvc_jax.FormatError, match=fault):
        check_chunk(reader, INDEX, volume, decoded)


def test_another_error_than_the_stated_one_is_told(reader: Reader) -> None:
    with pytest.raises(nvc_jax.FormatError, match=r"states a largest error of 0\.05"):
        check_stated_error(reader, INDEX, 0.05, 0.08)
