import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.core.systematic_sampling import (
    draw_by_kernel,
    draw_reference,
    draw_systematic,
    scatter,
    shuffle,
)

draw = jax.jit(draw_systematic, static_argnums=2)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 7, 40]), st.sampled_from([1, 3, 20]))
def test_only_items_that_exist_are_drawn(seed: int, n: int, n_drawn: int) -> None:
    rng = np.random.default_rng(seed)
    exists = rng.random(n) < 0.7
    exists[rng.integers(n)] = True
    sizes = (rng.exponential(size=n) * rng.choice([0.0, 1e-3, 1e3])).astype(np.float32)
    drawn, weights = (np.asarray(x) for x in draw(jnp.asarray(sizes), jnp.asarray(exists), n_drawn))
    assert exists[drawn].all()
    assert (weights > 0).all()


def test_sums_over_all_are_about_those_of_what_was_drawn() -> None:
    rng = np.random.default_rng(0)
    sizes = np.where(rng.random(5000) < 0.02, rng.uniform(50, 150, 5000), 0.01).astype(np.float32)
    costs = sizes * rng.uniform(0.5, 2, 5000)
    drawn, weights = draw(jnp.asarray(sizes), jnp.ones(5000, bool), 64)
    assert np.sum(costs[drawn] * weights) == pytest.approx(costs.sum(), rel=0.2)
    assert (sizes[drawn] > 1).mean() > 0.7  # those are 2 % of all


def test_items_that_are_alike_are_drawn_once_and_in_no_column() -> None:
    for sizes in (np.zeros(60, np.float32), np.ones(60, np.float32)):
        drawn, weights = draw(sizes, np.ones(60, bool), 6)
        assert len(np.unique(drawn)) == 6
        np.testing.assert_allclose(weights, 10, rtol=1e-4)
        for side in (2, 3, 5):
            assert len(np.unique(np.asarray(drawn) % side)) > 1


def test_draws_among_no_items_have_finite_weights() -> None:
    drawn, weights = draw(np.ones(5, np.float32), np.zeros(5, bool), 3)
    assert ((np.asarray(drawn) >= 0) & (np.asarray(drawn) < 5)).all()
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("size", [1, 7, 1000, 64**3, 128**3, 2_000_003])
def test_places_are_spread_over_all_rows_and_columns(size: int) -> None:
    places = scatter(size, 1000)
    assert len(places) == min(size, 1000)
    assert len(np.unique(places)) > 0.99 * len(places)
    assert 0 <= places.min() <= places.max() < size
    if size > 1000:
        for period in (64, 128, 4096):
            counts = np.bincount(places % period * 8 // period, minlength=8)
            assert counts.min() > 90
        assert np.bincount(places * 8 // size, minlength=8).min() > 110


@pytest.mark.parametrize("n", [1, 64, 2100])
def test_the_kernel_draws_as_the_specification(n: int) -> None:
    rng = np.random.default_rng(n)
    exists, sizes = rng.random(n) < 0.7, rng.exponential(size=n)
    exists[0] = True
    arguments = (jnp.asarray(shuffle(n)), jnp.asarray(sizes, jnp.float32), jnp.asarray(exists))
    drawn, weights = draw_by_kernel(*arguments, n_drawn=40, interpret=True)
    expected, of_expected = jax.jit(draw_reference, static_argnames="n_drawn")(*arguments, n_drawn=40)
    # Sums of floats may be rounded otherwise, so that a neighbour is drawn.
    same = np.asarray(drawn) == np.asarray(expected)
    assert same.mean() > 0.9
    np.testing.assert_allclose(np.asarray(weights)[same], np.asarray(of_expected)[same], rtol=1e-5)
    assert exists[np.asarray(drawn)].all()
