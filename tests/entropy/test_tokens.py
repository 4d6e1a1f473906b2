import jax
import numpy as np

from nvc_jax.entropy import tokens
from nvc_jax.entropy.tokens import ESCAPE, ESCAPE_BITS, MAX_MAGNITUDE, token_ranges

from_token, n_extra_bits, to_token = map(jax.jit, (tokens.from_token, tokens.n_extra_bits, tokens.to_token))


def test_every_token_has_one_value_range() -> None:
    powers = [2**k + d for k in range(24) for d in range(-12, 13) if 0 <= 2**k + d <= MAX_MAGNITUDE]
    edges = [*powers, MAX_MAGNITUDE]
    values = np.unique(np.concatenate([np.arange(-5000, 5000), edges, np.negative(edges)])).astype(np.int32)
    token, extra, n_bits = (np.asarray(x) for x in to_token(values))
    assert token.max() == ESCAPE - 1
    assert (extra < 2**n_bits).all()
    np.testing.assert_array_equal(n_extra_bits(token), n_bits)
    np.testing.assert_array_equal(from_token(token, extra), values)


def test_an_escape_holds_any_integer() -> None:
    values = np.array([-MAX_MAGNITUDE, -1, 0, 1, MAX_MAGNITUDE], np.int32)
    extra = (values + (1 << ESCAPE_BITS - 1)).astype(np.uint32)
    np.testing.assert_array_equal(from_token(np.full(5, ESCAPE, np.uint32), extra), values)


def test_token_ranges_are_those_of_tokens() -> None:
    first, count = token_ranges()
    token = np.arange(ESCAPE, dtype=np.uint32)
    extra = (count - 1).astype(np.uint32)
    np.testing.assert_array_equal(np.abs(from_token(token, np.zeros_like(token))), first)
    np.testing.assert_array_equal(np.abs(from_token(token, extra)), first + count - 1)
