import pytest

from nvc_jax.io.axes import choose_volumes, default_spatial_axes, is_spatial_name


@pytest.mark.parametrize(
    ("shape", "names", "axes"),
    [
        ((9, 9), None, [0, 1]),
        ((9, 3), "yc", [0, 1]),
        ((9, 9, 9), None, [0, 1, 2]),
        ((9, 9, 9), "tyx", [0, 1, 2]),  # a time series of planes is a volume
        ((9, 9, 3), "yxc", [0, 1]),
        ((3, 9, 9), "cyx", [1, 2]),
        ((200, 9, 9), "cyx", [0, 1, 2]),  # channels of a spectrum are like each other
        ((9, 9, 9, 9), None, [1, 2, 3]),
        ((9, 9, 9, 9), "tzyx", [1, 2, 3]),
        ((9, 9, 9, 3), "zyxc", [0, 1, 2]),
        ((9, 9, 9, 9), "tcyx", [2, 3]),
        ((9, 9, 9, 9), ["valid_time", "level", "lat", "lon"], [1, 2, 3]),
        ((9, 9, 9, 9), ["member", "time", "lat", "lon"], [2, 3]),
        ((9, 9, 9, 9), ["lat", "lon", "level", "Time"], [0, 1, 2]),
        ((9, 9, 9, 9), [None, "z", "y", "x"], [1, 2, 3]),
        ((9, 9, 9, 9, 9), "abcde", [1, 3, 4]),
        ((9, 9, 9, 9), "tcsx", [1, 2, 3]),  # names that leave too few
        ((9, 9, 9, 9), ["t"], [1, 2, 3]),
    ],
)
def test_names_tell_axes_of_space(shape: tuple[int, ...], names: list | str | None, axes: list[int]) -> None:
    assert default_spatial_axes(shape, names) == axes


def test_unknown_names_may_be_of_space() -> None:
    assert all(map(is_spatial_name, ("", None, "depth", "latitude", "row")))
    assert not any(map(is_spatial_name, ("T", "Channel", "s", "time_counter", "band")))


def test_volumes_of_a_file_are_those_of_most_axes() -> None:
    shapes = {
        "t": (9,),
        "lat_bounds": (9, 2),
        "temperature": (9, 9, 9),
        "deep": (2,) * 6,
        "long": (1,) * 4 + (9, 9),
    }
    assert choose_volumes(shapes) == ["temperature", "long"]
    assert choose_volumes({"t": (9,), "plane": (9, 9)}) == ["plane"]
