import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy import tokens
from nvc_jax.spectral import class_decision, entropy_model
from nvc_jax.spectral.encoder_options import EncoderOptions
from nvc_jax.transform.block_layout import N_COEFFICIENTS

N_CLASSES, N_TABLES = 3, 3
DECAY = np.array([0.02, 0.3, 0.9])


def make_model() -> entropy_model.EntropyModel:
    """Classes of low energy, of high energy in the first half of coefficients, and of high energy in all."""
    zero = -np.log2((1 - DECAY) / (1 + DECAY))
    bits = np.stack([zero, zero - np.log2(DECAY), -np.log2(DECAY)], axis=1)
    tables = np.zeros((N_CLASSES, N_COEFFICIENTS), int)
    tables[1, : N_COEFFICIENTS // 2], tables[2] = 2, 2
    tables[:, 0] = N_TABLES + np.arange(N_CLASSES)
    ones = jnp.asarray(np.ones((1, tokens.N_TOKENS), np.uint16))
    return entropy_model.EntropyModel(
        frequencies=ones,
        bits=jnp.asarray(bits, jnp.float32),
        reconstruction_offsets=jnp.asarray(np.full((N_TABLES, 2), 0.05, np.float32)),
        order=jnp.asarray(np.arange(1, N_COEFFICIENTS, dtype=np.int32)),
        tables=jnp.asarray(tables, jnp.int32),
        end_frequencies=ones,
        class_frequencies=ones,
        class_bits=jnp.asarray(np.full(N_CLASSES, 2, np.float32)),
    )


MODEL = make_model()
make_decision_costs = jax.jit(class_decision.make_decision_costs, static_argnums=1)
COSTS = make_decision_costs(MODEL)
quantize = jax.jit(class_decision.quantize_independently)
reconstruct = jax.jit(entropy_model.reconstruct_coefficients)


def test_blocks_take_the_cheapest_class_and_drop_integers_that_are_not_worth_their_bits() -> None:
    zero = np.zeros(N_COEFFICIENTS, np.float32)
    high = np.full(N_COEFFICIENTS, 8.0, np.float32)
    half = np.where(np.arange(N_COEFFICIENTS) < N_COEFFICIENTS // 2, 5.0, 0).astype(np.float32)
    faint = half + np.where(np.arange(N_COEFFICIENTS) == N_COEFFICIENTS - 1, 0.8, 0).astype(np.float32)
    values = jnp.asarray(np.stack([zero, high, half, faint]))
    integers, classes, bits = quantize(COSTS, values)
    np.testing.assert_array_equal(classes, [0, 2, 1, 1])
    np.testing.assert_array_equal(integers, np.stack([zero, high, half, half]))
    assert bits[0] < bits[2] < bits[1]


def test_costs_are_those_of_the_tables() -> None:
    rng = np.random.default_rng(0)
    integers = rng.integers(-3, 4, (5, N_COEFFICIENTS))
    units = class_decision.costs_by_class(COSTS, jnp.abs(jnp.asarray(integers, jnp.int32)))
    counted = np.asarray(units) / class_decision.COST_UNITS
    magnitude = np.abs(integers)[:, 1:]
    bits = np.asarray(MODEL.bits)[np.asarray(MODEL.tables)[:, 1:]]  # (K, 511, 3)
    each = np.where(
        magnitude[None] == 0,
        bits[:, None, :, 0],
        bits[:, None, :, 1] + (magnitude[None] - 1) * bits[:, None, :, 2],
    )
    np.testing.assert_allclose(counted, each.sum(axis=2).T, rtol=1e-3)


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0, 3e4, 1e9])
@pytest.mark.parametrize(("thresholds", "single_steps"), [((77, 128, 77), 1.35), ((64, 64, 64), 1.0)])
def test_the_kernel_equals_the_reference(
    spread: float, thresholds: tuple[int, int, int], single_steps: float
) -> None:
    options = EncoderOptions(optimizes_integers=thresholds[0] > 64)
    rng = np.random.default_rng(int(spread))
    values = rng.laplace(0, spread, (300, N_COEFFICIENTS)) * 0.99 ** np.arange(N_COEFFICIENTS)
    values[:20] = np.rint(values[:20])
    values[20:40] = np.rint(values[20:40]) + 0.5
    given_values = jnp.asarray(values, jnp.float32)
    reference = jax.jit(class_decision.class_costs_reference, static_argnums=2)
    np.testing.assert_array_equal(
        jax.jit(class_decision.class_costs, static_argnums=(2, 3))(
            COSTS, given_values, options, single_steps
        ),
        reference(COSTS, given_values * np.float32(single_steps), thresholds),
    )


def test_sums_of_the_parts_of_weights_are_exact_in_float32() -> None:
    largest = (-32767, 125 << 6)
    weights = [jnp.full((512, 1), unit, jnp.int32).at[0].set(0) for unit in largest]
    costs = COSTS._replace(pairs=class_decision.pair_weights(*weights), zero_cost=jnp.zeros(1, jnp.int32))
    assert (costs.weights == jnp.concatenate(weights)).all()
    units = class_decision.costs_by_class(costs, jnp.full((1, 512), 10**6, jnp.int32))
    assert int(units[0, 0]) == 511 * (255 * (125 << 6) - 32767)


@given(st.integers(0, 2**32 - 1))
def test_integers_and_reconstructions_lie_near_their_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal((8, N_COEFFICIENTS)) * rng.choice([0.1, 1, 20])).astype(np.float32)
    integers, classes, _ = quantize(COSTS, jnp.asarray(values))
    assert np.abs(np.asarray(integers) - values).max() <= 1.3
    assert np.abs(np.asarray(integers) - values)[:, 0].max() <= 0.5
    reconstructed = np.asarray(reconstruct(MODEL, 2 * integers, classes))
    assert np.abs(reconstructed - np.asarray(integers)).max() <= 0.0501
    assert (reconstructed[:, 0] == np.asarray(integers)[:, 0]).all()
    assert (reconstructed[np.asarray(integers) == 0] == 0).all()


def test_without_optimization_integers_are_the_nearest() -> None:
    options = EncoderOptions(optimizes_integers=False)
    costs = make_decision_costs(MODEL, options)
    values = np.random.default_rng(0).normal(0, 2, (8, N_COEFFICIENTS)).astype(np.float32)
    quantize_with = jax.jit(class_decision.quantize_independently, static_argnums=2)
    integers, _, _ = quantize_with(costs, jnp.asarray(values), options)
    np.testing.assert_array_equal(integers, np.sign(values) * np.floor(np.abs(values) + 0.5))
