"""Parameters of models as nested dictionaries, and Flax modules bound to them."""

from typing import Any

import jax
from flax import nnx

Params = Any
"""A nested dict of arrays: what a checkpoint stores and an optimiser updates."""


def merge_params(abstract: tuple[Any, Any], params: Params) -> Any:
    """The module that ``nnx.split`` took apart, with ``params``; leaves what it is given as it is."""
    graph, state = abstract
    state = jax.tree.map(lambda leaf: leaf, state)
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(graph, state)
