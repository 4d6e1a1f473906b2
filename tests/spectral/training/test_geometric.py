import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy import frequency_tables, tokens
from nvc_jax.spectral.training import geometric


def test_token_probabilities_are_those_of_their_integers() -> None:
    p_nonzero, decay = np.array([0.0, 0.3, 0.9]), np.array([0.01, 0.5, 0.98])
    integers = np.arange(1, 5000)
    token = np.asarray(tokens.to_token(jnp.asarray(integers, jnp.int32))[0])
    rows = geometric.token_probabilities(p_nonzero, decay)
    for p, rate, row in zip(p_nonzero, decay, rows, strict=True):
        each = p / 2 * (1 - rate) * rate ** (integers - 1.0)
        positive = np.bincount(token, each, tokens.N_TOKENS)[2::2]
        np.testing.assert_allclose(row[2::2], positive, atol=1e-15)
        np.testing.assert_array_equal(row[1:-2:2], row[2::2])
        np.testing.assert_allclose(row[0], 1 - p)
        assert row[-1] == 0


def test_distributions_are_found_from_their_integers() -> None:
    rng = np.random.default_rng(0)
    magnitudes = rng.geometric(0.4, 100_000) * (rng.random(100_000) < 0.3)
    p_nonzero, decay = geometric.fit_distributions(
        np.array(len(magnitudes)), np.array((magnitudes > 0).sum()), np.array(magnitudes.sum())
    )
    np.testing.assert_allclose([p_nonzero, decay], [0.3, 0.6], atol=0.01)


def test_bits_are_those_of_the_token_probabilities() -> None:
    p_nonzero, decay = np.array([0.3]), np.array([0.5])
    zero, one, further = geometric.distribution_bits(p_nonzero, decay)[0]
    bits = -np.log2(geometric.token_probabilities(p_nonzero, decay)[0, :5])
    np.testing.assert_allclose(bits, [zero, one, one, one + further, one + further], rtol=1e-6)


def test_rare_tokens_are_left_to_the_escape() -> None:
    rows = geometric.leave_rare_to_escape(geometric.token_probabilities(np.array([0.1]), np.array([0.2])))
    assert (rows[0, :3] > 0).all()
    assert not rows[0, 20:-1].any()
    assert rows[0, tokens.ESCAPE] >= 2.0**-frequency_tables.PRECISION


def test_rows_without_counts_take_what_all_rows_have_in_common() -> None:
    counts = np.zeros((2, tokens.N_TOKENS))
    counts[0, :2] = 3000, 1000
    smoothed = geometric.smooth_counts(counts, 20, 3)
    np.testing.assert_allclose(smoothed[1, :2] / smoothed[1].sum(), [0.75, 0.25], atol=0.01)
    np.testing.assert_allclose(smoothed[0, 0] / smoothed[0, 1], 3, rtol=0.01)
    assert (smoothed[:, :3] > 0).all()
    assert not smoothed[:, 3:].any()
