"""Parameters of models as nested dictionaries, and Flax modules bound to them."""

from typing import Any

import jax

Params = Any
"""A nested dict of arrays, as a checkpoint stores it and an optimiser updates it."""


def merge_params(abstract: tuple[Any, Any], params: Params) -> Any:
    """Bind a Flax module to parameters.

    Args:
        abstract: graph and state of the module, from ``nnx.split``; they are not changed.
        params: its parameters, a nested dict.

    Returns:
        The module.
    """
    from flax import nnx  # takes long to import, and only block autoencoders need it

    graph, state = abstract
    # Replacement happens in place: in a copy.
    state = jax.tree.map(lambda leaf: leaf, state)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(graph, state)
