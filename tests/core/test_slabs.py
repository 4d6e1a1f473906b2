import numpy as np
import pytest

from nvc_jax.core.slabs import map_slabs, slabs


@pytest.mark.parametrize("shape", [(300, 40, 50), (3, 400, 500), (1,), (400_000,), (0, 5), (5, 0)])
def test_slabs_cover_an_array_once_and_are_small(shape: tuple[int, ...]) -> None:
    counts = np.zeros(shape, int)
    for slab in slabs(shape):
        counts[slab] += 1
        assert counts[slab].size <= max(1 << 17, counts[:1].size)
    assert (counts == 1).all()


def test_results_are_those_of_the_whole_arrays() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 90, 50, 60))
    found = map_slabs(lambda x, y: np.floor(x / y), a, b, dtype=np.float32)
    np.testing.assert_array_equal(found, np.floor(a / b).astype(np.float32))
    assert found.dtype == np.float32
    assert map_slabs(np.abs, np.zeros((0, 3)), dtype=int).shape == (0, 3)
