"""One step of an Optax optimiser, and the state that it changes."""

from typing import NamedTuple

import jax
import numpy as np
import optax

from nvc_jax.core.parameters import Params


class TrainingState(NamedTuple):
    """State of a training run: all that resuming needs.

    Attributes:
        params: parameters that are trained.
        optimizer: state of the optimiser, or of any other method.
        step: int32, steps done.
    """

    params: Params
    optimizer: optax.OptState
    step: jax.Array | np.ndarray


def update_params(
    optimizer: optax.GradientTransformation,
    gradients: Params,
    optimizer_state: optax.OptState,
    params: Params,
    learning_rate: jax.Array,
) -> tuple[Params, optax.OptState]:
    """Take one optimiser step.

    Args:
        optimizer: direction of the step, such as ``optax.scale_by_adam``.
        gradients: of the loss, a tree like ``params``.
        optimizer_state: state of ``optimizer``.
        params: parameters to update.
        learning_rate: float32, factor of the step.

    Returns:
        The new parameters and the optimiser's new state.
    """
    # Optax mixes dtypes. Standard promotion lets the caller's own code run under strict promotion.
    with jax.numpy_dtype_promotion("standard"):
        updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
    steps = jax.tree.map(lambda update: -learning_rate * update, updates)
    return optax.apply_updates(params, steps), optimizer_state
