import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.systematic_sampling import draw_systematic
from nvc_jax.spectral import block_sample
from nvc_jax.transform.block_layout import N_COEFFICIENTS

draw = jax.jit(draw_systematic, static_argnums=2)
draw_blocks = jax.jit(block_sample.draw_blocks, static_argnames="single_steps")


def make_blocks(n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    sizes = rng.choice([0, 0.1, 1, 10], (n, 1))
    return (rng.laplace(0, 1, (n, N_COEFFICIENTS)) * sizes).astype(np.float32)


@pytest.mark.parametrize("n", [5, 700])
def test_blocks_are_drawn_by_their_energy_without_dc(n: int) -> None:
    values = make_blocks(n)
    values[:, 0] = 1e6
    inside = np.arange(n) % 3 > 0
    drawn, weights = draw_blocks(jnp.asarray(values), jnp.asarray(inside), single_steps=1.35)
    energy = np.minimum(np.abs(values[:, 1:] * 1.35), 2).sum(axis=1)
    n_drawn = min(n, 128)
    expected, of_expected = draw(energy, inside, n_drawn)
    assert drawn.shape == weights.shape == (n_drawn,)
    assert inside[np.asarray(drawn)].all()
    # Sums of floats may be rounded otherwise, so that a neighbour is drawn.
    same = np.asarray(drawn) == np.asarray(expected)
    assert same.mean() > 0.9
    np.testing.assert_allclose(np.asarray(weights)[same], np.asarray(of_expected)[same], rtol=1e-4)


def test_a_block_of_most_energy_is_drawn_most_often() -> None:
    values = np.zeros((300, N_COEFFICIENTS), np.float32)
    values[17] = 5
    drawn, weights = draw_blocks(jnp.asarray(values), jnp.ones(300, bool), single_steps=1.0)
    assert (np.asarray(drawn) == 17).sum() > 64
    assert float(np.asarray(weights).sum()) == pytest.approx(300, rel=0.1)
