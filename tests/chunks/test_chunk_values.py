import numpy as np

from nvc_jax.chunks.chunk_values import ChunkValues


def test_valid_values_and_their_range_are_found() -> None:
    values = np.array([[[1.0, np.nan, -9.0, 4.0]]], np.float32)
    chunk = ChunkValues.examine(values, (-9.0,))
    assert chunk.values is values
    assert chunk.valid.tolist() == [[[True, False, False, True]]]
    assert (chunk.low, chunk.high) == (1.0, 4.0)
    empty = ChunkValues.examine(np.full((2, 2, 2), np.nan), ())
    assert not empty.valid.any()
    assert (empty.low, empty.high) == (0.0, 0.0)
