import threading

import numpy as np
import pytest

from nvc_jax.viewer.slices import SliceQuery, find_contrast, read_slice, read_value, subtract
from nvc_jax.viewer.volumes import ViewedVolume, open_viewed

STOPPING = threading.Event()
SERIES = np.random.default_rng(0).normal(size=(2, 3, 5, 6, 7)).astype(np.float32)


def query(shape: tuple[int, ...], rows: int, columns: int, **changes: object) -> SliceQuery:
    window = ((0, shape[rows]), (0, shape[columns]))
    fields = {"volumes": (0,), "level": "full", "index": (0,) * len(shape), "window": window, "most": 100}
    return SliceQuery(rows=rows, columns=columns, **(fields | changes))


@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (4, 3), (2, 4), (0, 4), (2, 3)])
def test_a_slice_is_that_of_the_array(rows: int, columns: int) -> None:
    index = (1, 2, 3, 4, 5)
    shown = read_slice([open_viewed(SERIES)], query(SERIES.shape, rows, columns, index=index), STOPPING)
    expected = SERIES[tuple(slice(None) if axis in (rows, columns) else i for axis, i in enumerate(index))]
    np.testing.assert_array_equal(shown.values, expected if rows < columns else expected.T)
    assert (shown.origin, shown.pixel, shown.is_exact) == ((0, 0), (1, 1), True)


def test_a_window_is_reduced_to_the_pixels_of_the_screen() -> None:
    plane = np.arange(20.0 * 30).reshape(20, 30)
    wanted = query(plane.shape, 0, 1, window=((4, 12), (10, 30)), most=10)
    shown = read_slice([open_viewed(plane)], wanted, STOPPING)
    assert (shown.origin, shown.pixel, shown.is_exact) == ((4, 10), (2, 2), False)
    np.testing.assert_array_equal(
        shown.values, plane[4:12, 10:30].reshape(4, 2, 10, 2).mean((1, 3)).astype(np.float32)
    )


def test_uint8_stays_so_and_missing_values_are_marked() -> None:
    plane = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert read_slice([open_viewed(plane)], query(plane.shape, 0, 1), STOPPING).values.dtype == np.uint8
    masked = np.ma.masked_equal(plane, 5)
    masked.set_fill_value(5)
    shown = read_slice([open_viewed(masked)], query(plane.shape, 0, 1), STOPPING)
    np.testing.assert_array_equal(np.isnan(shown.values), plane == 5)


def test_differences_are_exact_beyond_floats() -> None:
    first, second = np.array([[2**62 + 3, 5]], np.int64), np.array([[2**62, -7]], np.int64)
    np.testing.assert_array_equal(subtract(first, second), [[3, 12]])
    np.testing.assert_array_equal(subtract(np.uint8([[3]]), np.uint8([[9]])), [[-6]])
    volumes = [open_viewed(first), open_viewed(second)]
    assert read_value(volumes, (0, 1), (0, 0), STOPPING) == ("3", True)
    shown = read_slice(volumes, query(first.shape, 0, 1, volumes=(0, 1)), STOPPING)
    np.testing.assert_array_equal(shown.values, np.float32([[3, 12]]))


def test_labels_are_not_averaged() -> None:
    labels = np.indices((8, 8)).sum(0) % 2 == 1
    shown = read_slice([open_viewed(labels)], query(labels.shape, 0, 1, most=4), STOPPING)
    assert set(np.unique(shown.values)) <= {0, 1}


def contrast_of(volume: ViewedVolume) -> tuple[float, float]:
    found = find_contrast(volume, STOPPING)
    return found["low"], found["high"]


def test_contrast_leaves_out_what_is_rare_and_missing() -> None:
    values = np.random.default_rng(1).uniform(10, 20, (9, 40, 50)).astype(np.float32)
    values[4, 0, 0], values[:, 1] = 1e6, np.nan
    low, high = contrast_of(open_viewed(values))
    assert 10 <= low < 11
    assert 19 < high <= 20
    assert contrast_of(open_viewed(np.full((3, 4, 5), np.nan))) == (0.0, 1.0)
