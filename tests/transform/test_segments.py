import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from segment_reference import expected_segments

from nvc_jax.transform import segments
from nvc_jax.transform.segments import SEGMENT_LENGTHS

SIDES = (8, 64, 200)

compiled = jax.jit(segments.divide_axis, static_argnums=0)


def divide_axis(side: int, valid: int, index: int) -> segments.Segments:
    """Segments of an axis, in arrays of NumPy."""
    return jax.device_get(compiled(side, np.int32(valid), np.int32(index)))


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int]:
    """A padded side, its valid voxels, and the index of a length."""
    side = draw(st.sampled_from(SIDES))
    return side, draw(st.integers(1, side)), draw(st.integers(0, len(SEGMENT_LENGTHS) - 1))


@given(axes())
def test_segments_have_their_length_and_the_last_one_takes_the_rest(axis: tuple[int, int, int]) -> None:
    side, valid, index = axis
    divided = divide_axis(side, valid, index)
    expected = expected_segments(valid, SEGMENT_LENGTHS[index])
    lengths = [length for _, length in expected]
    start = np.repeat([start for start, _ in expected], lengths)
    np.testing.assert_array_equal(divided.start[:valid], start)
    np.testing.assert_array_equal(divided.length[:valid], np.repeat(lengths, lengths))
    np.testing.assert_array_equal(divided.is_last[:valid], start == expected[-1][0])
    assert int(divided.valid) == valid


@given(axes())
def test_each_frequency_of_each_segment_has_one_place(axis: tuple[int, int, int]) -> None:
    side, valid, index = axis
    divided = divide_axis(side, valid, index)
    places = np.stack([divided.coefficient_start, divided.frequency], axis=1)[:valid]
    expected = [
        (start, frequency)
        for start, length in expected_segments(valid, SEGMENT_LENGTHS[index])
        for frequency in range(length)
    ]
    np.testing.assert_array_equal(sorted(map(tuple, places.tolist())), expected)
    np.testing.assert_array_equal(divided.coefficient_start[:valid], divided.start[:valid])
    np.testing.assert_array_equal(divided.coefficient_length[:valid], divided.length[:valid])


@given(axes())
def test_frequencies_rise_within_a_block_and_from_block_to_block(axis: tuple[int, int, int]) -> None:
    side, valid, index = axis
    divided = divide_axis(side, valid, index)
    frequency, start = np.asarray(divided.frequency), np.asarray(divided.coefficient_start)
    for first in range(0, valid, 8):
        in_block = frequency[first : min(first + 8, valid)]
        assert (np.diff(in_block) > 0).all()
        assert in_block[0] == (first - start[first]) // 8


@pytest.mark.parametrize(
    ("valid", "index", "expected"),
    [
        (8, 0, [0, 1, 2, 3, 4, 5, 6, 7]),
        (16, 1, [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]),
        # One segment of 11 voxels: the partial block has three frequencies, and the first one takes the rest.
        (11, 0, [0, 2, 4, 6, 7, 8, 9, 10, 1, 3, 5]),
    ],
)
def test_blocks_take_turns(valid: int, index: int, expected: list[int]) -> None:
    divided = divide_axis(64, valid, index)
    np.testing.assert_array_equal(divided.frequency[:valid], expected)
