import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.core.group_kernels import GROUP_LANES, run_groups
from nvc_jax.spectral.group_integers import SplitIntegers, integer_memory

EDGES = (0, 1, -1, 32767, -32767, 32768, -32768, 32769, 2**30, -(2**31), 2**31 - 1)


def test_integers_of_any_size_are_read_as_they_were_stored() -> None:
    wanted = np.resize(EDGES, GROUP_LANES).astype(np.int32)
    lanes = np.arange(GROUP_LANES, dtype=np.int32)

    def store(integers: Any, index: Any, stored: SplitIntegers) -> None:
        stored.store((index[...],), integers[...], index[...] < GROUP_LANES - 1)

    def read(stored: SplitIntegers, index: Any, integers: Any) -> None:
        integers[...] = stored[jnp.minimum(index[...], GROUP_LANES - 2)]

    run = functools.partial(run_groups, interpret=True)
    arguments = (jnp.asarray(wanted), jnp.asarray(lanes))
    (stored,) = jax.jit(lambda *leaves: run(store, 1, [integer_memory(GROUP_LANES)], *leaves))(*arguments)
    assert [leaf.dtype.name for leaf in jax.tree.leaves(stored)] == ["int16", "int32"]
    result = jax.ShapeDtypeStruct((GROUP_LANES,), jnp.int32)
    read_back = jax.jit(lambda *leaves: run(read, 1, result, *leaves))(stored, jnp.asarray(lanes))
    np.testing.assert_array_equal(read_back[:-1], wanted[:-1])
    np.testing.assert_array_equal(jax.jit(SplitIntegers.whole)(stored)[:-1], wanted[:-1])
