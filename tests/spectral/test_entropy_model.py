import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spectral_blocks import CONTEXT_MODELS, HEADER_MODELS, MODELS, N_CLASSES, N_TABLES

from nvc_jax.spectral.entropy_model import (
    EntropyModel,
    abstract_entropy_model,
    bits_per_squared_step,
    reconstruct_coefficients,
    steps_of_single_quantizer,
)
from nvc_jax.transform.block_layout import N_COEFFICIENTS


@pytest.mark.parametrize("n_quantizers", [1, 2])
@pytest.mark.parametrize(
    "models", [MODELS, CONTEXT_MODELS, HEADER_MODELS], ids=["plain", "contexts", "headers"]
)
def test_shapes_are_known_before_there_are_parameters(
    n_quantizers: int, models: dict[int, EntropyModel]
) -> None:
    model = models[n_quantizers]
    sizes = (N_COEFFICIENTS, N_CLASSES, N_TABLES, n_quantizers, model.n_contexts, model.n_header_contexts)
    abstract = abstract_entropy_model(*sizes)
    assert model.n_quantizers == n_quantizers
    described = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), x) for x in (model, abstract)]
    assert described[0] == described[1]


def test_errors_of_two_quantizers_are_worth_more_bits_per_step() -> None:
    assert steps_of_single_quantizer(MODELS[1]) == 1
    assert bits_per_squared_step(MODELS[1]) < bits_per_squared_step(MODELS[2])


def test_points_move_towards_zero_by_the_offset_of_their_table_and_quantizer() -> None:
    model = MODELS[2]._replace(
        reconstruction_offsets=jnp.asarray(np.arange(4 * N_TABLES, dtype=np.float32).reshape(-1, 2) / 100)
    )
    points = np.zeros((1, N_COEFFICIENTS), np.int32)
    points[0, :6] = [8, 2, -4, 1, -3, 0]
    reconstruct = jax.jit(reconstruct_coefficients)
    reconstructed = np.asarray(reconstruct(model, jnp.asarray(points), jnp.array([1], jnp.int32)))
    tables = np.asarray(model.tables)[1]
    offsets = np.asarray(model.reconstruction_offsets)
    expected = [
        4,  # the first coefficient
        1 - offsets[tables[1], 0],
        -2 + offsets[tables[2], 1],
        0.5 - offsets[tables[3] + N_TABLES, 0],
        -1.5 + offsets[tables[4] + N_TABLES, 1],
        0,
    ]
    np.testing.assert_allclose(reconstructed[0, :6], expected, rtol=1e-6)
    assert not reconstructed[0, 6:].any()
