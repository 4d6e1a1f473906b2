import copy
import functools
import pickle
from collections.abc import Callable

import dask.array as da
import numpy as np
import pytest
import tensorstore as ts

from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volume_view import OpenVolume, VolumeView
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume

VALUES = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
METADATA = VolumeMetadata(("a", "b", "c"), (1.0, 2.0, 3.0), attributes={"_FillValue": -9.0})


def open_values(values: np.ndarray) -> OpenVolume:
    return OpenVolume(lambda: ts.array(values), lambda: METADATA)


VIEW = VolumeView(functools.partial(open_values, VALUES))


def test_a_view_has_what_a_tensorstore_has() -> None:
    assert VIEW.shape == VALUES.shape
    assert (VIEW.ndim, VIEW.size, len(VIEW)) == (3, 60, 3)
    np.testing.assert_array_equal(VIEW[1:, 2].read().result(), VALUES[1:, 2])
    np.testing.assert_array_equal(np.asarray(VIEW[..., ::2]), VALUES[..., ::2])
    assert np.asarray(VIEW, np.float64).dtype == np.float64
    assert repr(VIEW) == "VolumeView(shape=(3, 4, 5), dtype=float32)"
    with pytest.raises(AttributeError, match="nothing"):
        _ = VIEW.nothing


def test_a_whole_view_is_read_by_the_way_that_its_volume_knows() -> None:
    def read_all() -> ts.Future:
        promise, future = ts.Promise.new()
        promise.set_result(VALUES + 1)
        return future

    view = VolumeView(lambda: open_values(VALUES)._replace(read_all=read_all))
    for values in (view.read().result(), np.asarray(view)):
        np.testing.assert_array_equal(values, VALUES + 1)
    np.testing.assert_array_equal(view[1:].read().result(), VALUES[1:])
    in_other_order = view.read(order="F").result()
    np.testing.assert_array_equal(in_other_order, VALUES)
    assert in_other_order.flags.f_contiguous


def test_metadata_are_read_when_they_are_asked_for() -> None:
    asked: list[int] = []

    def read_metadata_later() -> VolumeMetadata:
        asked.append(1)
        return METADATA

    view = VolumeView(lambda: open_values(VALUES)._replace(metadata=read_metadata_later))
    assert not asked
    assert view.metadata is view.metadata is METADATA
    assert view[1:].metadata == METADATA.without_coordinates()
    assert asked == [1, 1]


def test_its_dtype_is_one_of_numpy_and_of_tensorstore() -> None:
    assert np.dtype(VIEW.dtype) == VIEW.dtype.numpy_dtype == VALUES.dtype
    assert VIEW.dtype == np.float32
    assert VIEW.dtype == ts.float32
    assert (VIEW.dtype.kind, VIEW.dtype.itemsize, repr(VIEW.dtype)) == ("f", 4, "dtype('float32')")
    assert hash(VIEW.dtype) == hash(np.dtype(np.float32))


@pytest.mark.parametrize(
    "duplicate", [lambda view: pickle.loads(pickle.dumps(view)), copy.copy, copy.deepcopy]
)
def test_views_and_their_parts_are_pickled_and_copied(duplicate: Callable[[VolumeView], VolumeView]) -> None:
    np.testing.assert_array_equal(np.asarray(duplicate(VIEW)), VALUES)
    part = VIEW[1:][:, 2]
    np.testing.assert_array_equal(np.asarray(duplicate(part)), np.asarray(part))


def test_dask_takes_views() -> None:
    lazy = da.from_array(VIEW, chunks=2)
    assert lazy.dtype == np.float32
    np.testing.assert_array_equal(lazy.compute(scheduler="threads"), VALUES)
    assert float(lazy[1:, :, 2].sum().compute()) == VALUES[1:, :, 2].sum()


def test_views_are_volumes() -> None:
    np.testing.assert_array_equal(read_volume(VIEW), VALUES, strict=True)
    assert isinstance(open_volume(VIEW), ts.TensorStore)
    assert read_metadata(VIEW) == METADATA
    assert read_metadata(VIEW[1:]) == VolumeMetadata(attributes={"_FillValue": -9.0})
