import dataclasses

import numpy as np

from nvc_jax.reporting.planes import draw_plane, error_scale, place_of, planes_of, value_scale


def test_three_planes_have_names_and_places(stored) -> None:
    assert planes_of(stored.excerpt) == [(0, "xy"), (1, "xz"), (2, "yz")]
    assert [place_of(stored.excerpt, axis) for axis in range(3)] == ["z = 10", "y = 15", "x = 36"]
    named = dataclasses.replace(stored.excerpt, axes=("depth", "lat", "lon"))
    assert planes_of(named)[0] == (0, "lon × lat")


def test_a_plane_alone_is_one_picture(stored) -> None:
    plane = dataclasses.replace(stored.excerpt, axes=("", "y", "x"), original=stored.excerpt.original[:1])
    assert planes_of(plane) == [(0, "xy")]
    assert place_of(plane, 0) == ""


def test_axes_have_names_and_units(stored) -> None:
    excerpt = dataclasses.replace(
        stored.excerpt, units=("mm", "mm", ""), spacing=(2.0, 0.5, 1.0), starts=(0, 100, 0), value_unit="K"
    )
    original, _ = excerpt.floats
    picture = draw_plane(excerpt, original, 2, value_scale(original), "label")
    assert "y (voxels of 0.5 mm)" in picture.svg
    assert "z (voxels of 2 mm)" in picture.svg
    assert "value (K)" in picture.svg
    assert ">110<" in picture.svg
    left, top, width, height = picture.box
    assert 0 < left < left + width < 1
    assert 0 < top < top + height < 1


def test_scales_leave_outliers_beyond() -> None:
    values = np.arange(10_000.0).reshape(10, 10, 100)
    values[0, 0, 0] = 1e9
    scale = value_scale(values)
    assert scale.extend == "both"
    assert scale.high < 10_000
    assert value_scale(np.full((2, 2, 2), 3.0))[:2] == (3, 4)
    assert value_scale(np.full((2, 2, 2), np.nan))[:2] == (0, 1)
    assert error_scale(1.0, 2.0).extend == "both"
    assert error_scale(1.0, 1.0).extend == "neither"
