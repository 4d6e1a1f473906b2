import numpy as np
import pytest

from nvc_jax.core.shapes import check_geometry, check_shape, grid_shape


def test_shapes_come_back_as_python_integers() -> None:
    shape = check_shape(tuple(np.array([3, 4, 5])))
    assert shape == (3, 4, 5)
    assert all(type(side) is int for side in shape)


@pytest.mark.parametrize(("shape", "message"), [((3, 4), "three axes"), ((3, 0, 5), "no side may be empty")])
def test_shapes_of_no_volume_are_an_error_that_names_the_argument(shape: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=f"`data` has shape .*{message}"):
        check_shape(shape, "data")


def test_grids_cover_the_volume() -> None:
    assert grid_shape((16, 16, 16), 8) == (2, 2, 2)
    assert grid_shape((1, 17, 24), 8) == (1, 3, 3)


@pytest.mark.parametrize(("block_size", "margin"), [(0, 0), (4, -1), (4, 5)])
def test_impossible_geometries_are_an_error(block_size: int, margin: int) -> None:
    check_geometry(4, 4)
    with pytest.raises(ValueError, match="must"):
        check_geometry(block_size, margin)
