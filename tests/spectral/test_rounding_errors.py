import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import MODELS, N_CLASSES

from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.spectral.class_decision import make_decision_costs, quantize_for_classes
from nvc_jax.spectral.rounding_errors import rounding_errors
from nvc_jax.transform.block_layout import N_COEFFICIENTS

COSTS = jax.jit(make_decision_costs)(MODELS[2])
sum_errors = jax.jit(rounding_errors)


@pytest.mark.parametrize("size", [0.0, 0.3, 4.0, 3e4])
def test_errors_are_those_of_the_integers_of_all_coefficients_but_dc(size: float) -> None:
    rng = np.random.default_rng(7)
    values = (rng.laplace(0, 1, (30, N_COEFFICIENTS)) * size).astype(np.float32)
    classes = jnp.asarray(rng.integers(0, N_CLASSES, 30), jnp.int32)
    integers = np.asarray(jax.jit(quantize_for_classes)(COSTS, jnp.asarray(values), classes), np.float64)
    expected = ((values.astype(np.float64) - integers)[:, 1:] ** 2).sum(axis=1)
    errors = sum_errors(COSTS, jnp.asarray(values), classes)
    np.testing.assert_allclose(errors, expected, rtol=1e-4, atol=1e-6)


def test_an_error_beyond_the_largest_integer_counts() -> None:
    values = np.zeros((1, N_COEFFICIENTS), np.float32)
    values[0, [0, 9]] = [1e9, -(MAX_MAGNITUDE + 100.0)]
    errors = sum_errors(COSTS, jnp.asarray(values), jnp.zeros(1, jnp.int32))
    np.testing.assert_allclose(errors, [100.0**2])
