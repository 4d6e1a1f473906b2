import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.lattice import prediction
from nvc_jax.lattice.geometry import HALO, PHASES
from nvc_jax.lattice.weights import default_weights

SHAPE = (8, 4, 12)


def rules(low: int = -1000, high: int = 1000) -> prediction.Rules:
    return prediction.Rules(jnp.int32(2), jnp.int32(low), jnp.int32(high), jnp.asarray(SHAPE, jnp.int32))


def extended(values: np.ndarray) -> jnp.ndarray:
    """Phases with their halo, from a level's values and those around them."""
    phases = [values[z::2, y::2, x::2] for z in (0, 1) for y in (0, 1) for x in (0, 1)]
    return jnp.asarray(np.stack(phases))


@pytest.mark.parametrize("number", range(len(PHASES)))
def test_planes_are_predicted_exactly_and_are_quiet(number: int) -> None:
    indices = np.indices([2 * (side + 2 * HALO) for side in SHAPE], np.int32)
    plane = 12 * indices[0] - 5 * indices[1] + 7 * indices[2]
    weights = jnp.asarray(default_weights()[number])
    predict = prediction.predictor(number)
    nothing = jnp.zeros_like(extended(plane))
    predicted, context = predict(extended(plane), nothing, weights, rules())
    inside = tuple(slice(2 * HALO + p, -2 * HALO, 2) for p in PHASES[number])
    np.testing.assert_array_equal(predicted, plane[inside])

    flat = jnp.full_like(nothing, 7)
    first = prediction.PHASE_CLASSES[number] * prediction.CONTEXTS_PER_CLASS
    assert (predict(flat, nothing, weights, rules())[1] == first).all()
    assert (predict(flat, flat, weights, rules())[1] > first).all()
    assert (predict(flat, nothing, weights, rules(9, 9))[0] == 9).all()
    assert (context < prediction.CONTEXTS_PER_GROUP).all()


def test_flags_depend_on_the_range_of_their_cells() -> None:
    values = np.zeros(SHAPE, np.int32)
    values[4:, :, 8:] = np.arange(4) * 20
    context = np.array(prediction.range_context(jnp.asarray(values), rules()))
    assert (context[4:, :, 8:] == prediction.N_RANGES - 2).all()
    context[4:, :, 8:] = 0
    assert not context.any()
