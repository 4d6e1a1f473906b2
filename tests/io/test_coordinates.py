import numpy as np
import pytest

from nvc_jax.io.coordinates import (
    AXIS_COORDINATES,
    Coordinates,
    crop_coordinates,
    describe_coordinates,
    read_coordinates,
    state_coordinates,
)

NAMES = ("time", "lat", "lon")
SHAPE = (3, 4, 5)
AXES = [
    describe_coordinates(np.array(["2001-01-01", "2001-02-01", "2001-03-01"], "M8[D]"), {"axis": "T"}),
    describe_coordinates(np.linspace(60, -30, 4).astype(np.float32), {"units": "degrees_north"}),
    describe_coordinates(np.arange(5.0) / 3, {}),
]


def check_equal(read: Coordinates, expected: Coordinates | None) -> None:
    assert expected is not None
    np.testing.assert_array_equal(read.values, expected.values, strict=True)
    assert read.attributes == expected.attributes


def test_coordinates_come_back_with_their_dtypes() -> None:
    stated = state_coordinates(NAMES, AXES)
    for read, expected in zip(read_coordinates(stated, NAMES, SHAPE), AXES, strict=True):
        check_equal(read, expected)
    time = read_coordinates(stated, NAMES, SHAPE)[0]
    assert time.attributes["units"] == "days since 1970-01-01"


def test_origin_and_spacing_are_enough_for_even_axes() -> None:
    plain = [describe_coordinates(7 + 0.5 * np.arange(n), {"units": "m"}) for n in SHAPE]
    assert state_coordinates(NAMES, plain) == {}
    assert state_coordinates(NAMES, [None, None, None]) == {}
    for values, attributes in (
        (np.arange(4.0), {"axis": "Y"}),
        (np.arange(4), {}),
        (np.arange(4.0)[::-1], {}),
    ):
        axis = describe_coordinates(values, attributes)
        assert state_coordinates(NAMES, [plain[0], axis, None])[AXIS_COORDINATES].keys() == {"time", "lat"}


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.array(["a"]), np.array(["NaT"], "M8[s]"), None])
def test_other_coordinates_are_left_out(values: object) -> None:
    assert describe_coordinates(values, {}) is None


@pytest.mark.parametrize("stated", [7, {}, {"lat": 7}, {"lat": {"dtype": "U3", "values": ["a"] * 4}}])
def test_damaged_attributes_are_left_out(stated: object) -> None:
    assert read_coordinates({AXIS_COORDINATES: stated}, NAMES, SHAPE) == [None] * 3
    assert crop_coordinates({AXIS_COORDINATES: stated}, NAMES, (0, 0, 0), SHAPE, (1, 1, 1)).keys() == {
        AXIS_COORDINATES
    }


def test_values_that_are_not_finite_come_back() -> None:
    axis = Coordinates(np.array([np.nan, -np.inf, 0.1, 1e300]), {})
    check_equal(read_coordinates(state_coordinates(["lat"], [axis]), ["lat"], [4])[0], axis)


def test_a_region_has_its_own_coordinates() -> None:
    stated = state_coordinates(NAMES, AXES) | {"units": "K"}
    cropped = crop_coordinates(stated, NAMES, (1, 2, 0), (2, 2, 5), (1, 1, 1))
    assert cropped["units"] == "K"
    time, lat, lon = read_coordinates(cropped, NAMES, (2, 2, 5))
    np.testing.assert_array_equal(lat.values, [0, -30])
    assert (time.values.size, lon.values.size) == (2, 5)
    means = crop_coordinates(stated, NAMES, (0, 0, 0), (1, 1, 1), (8, 8, 8))
    np.testing.assert_array_equal(read_coordinates(means, NAMES, (1, 1, 1))[1].values, [15])
