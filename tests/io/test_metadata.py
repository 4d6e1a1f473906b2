import json

import numpy as np
import pytest

from nvc_jax.io.metadata import (
    VolumeMetadata,
    as_json,
    attributes_as_json,
    axis_aligned_origin,
    even_spacing,
    kept_axes,
    parse_names,
    parse_spacing,
)


def test_metadata_return_from_their_attributes() -> None:
    metadata = VolumeMetadata(("z", "y", "x"), (3.0, 2.0, 1.0), (0.0, 1.0, 2.0), ("m", "m", "m"), {"a": 1})
    attributes = json.loads(json.dumps(metadata.as_attributes(np.dtype(np.int16))))
    copy = VolumeMetadata.from_attributes(["z", "y", "x"], attributes)
    assert (copy.dimension_names, copy.spacing) == (metadata.dimension_names, metadata.spacing)
    assert (copy.origin, copy.units) == (metadata.origin, metadata.units)
    assert copy.as_attributes(np.dtype(np.int16)) == attributes


def test_malformed_attributes_are_left_out() -> None:
    attributes = {"spacing": [1, 0, 1], "origin": "here", "axis_units": ["m", 3, "m"]}
    assert VolumeMetadata.from_attributes(7, attributes) == VolumeMetadata(attributes=attributes)


def test_three_values_or_none_are_parsed() -> None:
    assert parse_names("mm") == ("mm", "mm", "mm")
    assert parse_names(["z", "y"]) is None
    assert parse_spacing(["1", 2, 3.5]) == (1.0, 2.0, 3.5)
    for values in (None, [1, 2], [1, 2, np.nan], [1, 2, -3], [1, 2, None]):
        assert parse_spacing(values) is None


def test_coordinates_stored_as_float32_are_even() -> None:
    values = (1000 + 0.1 * np.arange(500)).astype(np.float32)
    origin, spacing = even_spacing(values) or (0, 0)
    assert origin == 1000
    assert spacing == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("values", [[1], [0, 1, 3], [2, 1, 0], [0, 0], [0, np.nan], [[0, 1], [2, 3]]])
def test_other_coordinates_have_no_spacing(values: list[float]) -> None:
    assert even_spacing(values) is None


def test_the_origin_is_known_for_aligned_axes_only() -> None:
    assert axis_aligned_origin(np.diag([1, 2, 3]), [10, 20, 30]) == (30.0, 20.0, 10.0)
    for matrix in (np.diag([1, -2, 3]), np.eye(3)[::-1], np.eye(2)):
        assert axis_aligned_origin(matrix, [10, 20, 30]) is None


def test_axes_of_length_1_are_dropped_until_few_enough_are_left() -> None:
    assert kept_axes((5, 6, 7)) == [0, 1, 2]
    assert kept_axes((1, 1, 5, 6, 7)) == [0, 1, 2, 3, 4]
    assert kept_axes((1, 1, 5, 6, 7), rank=3) == [2, 3, 4]
    assert kept_axes((1, 1, 6, 7), rank=3) == [1, 2, 3]
    assert kept_axes((1, 6, 7, 1), ["z", "y", "x", "Channel"], rank=3) == [0, 1, 2]
    assert kept_axes((2, 1, 5, 6, 7), rank=3) == [0, 2, 3, 4]


def test_values_have_a_form_that_json_can_hold() -> None:
    values = [None, True, 3, 2.5, np.nan, np.inf, -np.inf, np.float32(0.5), np.arange(2), b"text\0", b"\xff"]
    expected = [None, True, 3, 2.5, "NaN", "Infinity", "-Infinity", 0.5, [0, 1], "text", "/w=="]
    assert as_json(values) == expected
    with pytest.raises(TypeError, match="object has no JSON form"):
        as_json(object())
    assert attributes_as_json({"a": 1, 2: (3,), "odd": object(), "no": 4}, without=["no"]) == {
        "a": 1,
        "2": [3],
    }


def test_attributes_of_the_source_with_another_meaning_stay() -> None:
    own = {"units": "K", "spacing": "even", "origin": "a model"}
    metadata = VolumeMetadata(None, (3.0, 2.0, 1.0), (0.0, 1.0, 2.0), ("m", "m", "m"), own)
    attributes = metadata.as_attributes(np.dtype(np.float32))
    assert attributes == {**own, "axis_units": ["m", "m", "m"]}
    placed = VolumeMetadata(None, (3.0, 2.0, 1.0), attributes={"spacing": [1, 1, 1], "a": 1})
    assert placed.as_attributes(np.dtype(np.float32)) == {"spacing": [3.0, 2.0, 1.0], "a": 1}
    assert placed.without_coordinates() == VolumeMetadata(attributes={"a": 1})
