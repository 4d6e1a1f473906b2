import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy.tokens import (
    ESCAPE,
    ESCAPE_BITS,
    MAX_MAGNITUDE,
    from_token,
    n_extra_bits,
    to_token,
    token_ranges,
)


def test_every_token_has_one_value_range() -> None:
    powers = [2**k + d for k in range(24) for d in range(-12, 13) if 0 <= 2**k + d <= MAX_MAGNITUDE]
    edges = [*powers, MAX_MAGNITUDE]
    values = np.unique(np.concatenate([np.arange(-5000, 5000), edges, np.negative(edges)])).astype(np.int32)
    token, extra, n_bits = (np.asarray(x) for x in to_token(jnp.asarray(values)))
    assert token.max() == ESCAPE - 1
    assert (extra < 2**n_bits).all()
    np.testing.assert_array_equal(n_extra_bits(jnp.asarray(token)), n_bits)
    np.testing.assert_array_equal(from_token(jnp.asarray(token), jnp.asarray(extra)), values)


def test_an_escape_holds_any_integer() -> None:
    values = jnp.array([-MAX_MAGNITUDE, -1, 0, 1, MAX_MAGNITUDE], jnp.int32)
    extra = (values + (1 << ESCAPE_BITS - 1)).astype(jnp.uint32)
    np.testing.assert_array_equal(from_token(jnp.full(5, ESCAPE, jnp.uint32), extra), values)


def test_token_ranges_are_those_of_tokens() -> None:
    first, count = token_ranges()
    token = jnp.arange(ESCAPE, dtype=jnp.uint32)
    extra = jnp.asarray(count - 1, jnp.uint32)
    np.testing.assert_array_equal(jnp.abs(from_token(token, jnp.zeros_like(token))), first)
    np.testing.assert_array_equal(jnp.abs(from_token(token, extra)), first + count - 1)
