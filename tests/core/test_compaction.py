import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.compaction import compact, compact_by_kernel


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 50, 1300])
def test_items_that_count_come_first_and_in_order(n: int, share: float) -> None:
    coded = np.random.default_rng(n).random(n) < share
    forms = (compact(jnp.asarray(coded)), compact_by_kernel(jnp.asarray(coded), interpret=True))
    for order, count in forms:
        assert int(count) == coded.sum()
        assert order.tolist() == [*np.flatnonzero(coded), *np.flatnonzero(~coded)]
