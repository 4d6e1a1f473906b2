"""The division of an axis into segments, as plain Python."""


def expected_segments(valid: int, length: int) -> list[tuple[int, int]]:
    """First voxel and length of each segment: the last one takes the rest of the axis."""
    starts = [0]
    while valid - starts[-1] >= 1.5 * length:
        starts.append(starts[-1] + length)
    return [(start, end - start) for start, end in zip(starts, [*starts[1:], valid], strict=True)]
