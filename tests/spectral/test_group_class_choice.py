from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.spectral import class_choice, group_class_choice

by_kernel = jax.jit(partial(group_class_choice.choose_classes, units=1024, interpret=True))
by_reference = jax.jit(partial(class_choice.choose_reference, units=1024))


@pytest.mark.parametrize("n_blocks", [0, 1, 37, 150])
@pytest.mark.parametrize("n_classes", [5, 64])
@pytest.mark.parametrize("n", [1, 64, 150])
def test_the_kernel_equals_the_reference(n: int, n_classes: int, n_blocks: int) -> None:
    rng = np.random.default_rng(n + n_classes)
    costs = rng.integers(0, 12 * 1024, (n, n_classes))
    costs[::3] = costs[::3] // 4096 * 4096  # many are equal
    given_before = rng.integers(1, 9, (n_classes + 1, n_classes)).astype(np.float32)
    of_after = np.concatenate([given_before[:n_classes].T, np.zeros((1, n_classes), np.float32)])
    arguments = (
        jnp.asarray(costs, jnp.int32),
        *(jnp.full(n_classes, 2, jnp.float32), jnp.asarray(given_before), jnp.asarray(of_after)),
        *(jnp.asarray(rng.permutation(n), jnp.int32), jnp.int32(min(n_blocks, n))),
    )
    classes = by_kernel(*arguments)
    np.testing.assert_array_equal(classes, by_reference(*arguments))
    assert n == 1 or len(np.unique(classes)) > 2
