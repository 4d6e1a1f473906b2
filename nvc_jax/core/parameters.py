"""Parameters of models as nested dictionaries, and Flax modules bound to them."""

from typing import Any

import jax
import numpy as np

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


def check_params(params: Params, abstract: Params) -> None:
    """Check parameters that come from a file anyone may have written.

    Args:
        params: nested dict of arrays.
        abstract: nested dict of the shapes and dtypes that they must have; a float may be of any size.

    Raises:
        ValueError: they have another structure, shape or dtype.
    """
    if str(jax.tree.structure(params)) != str(jax.tree.structure(abstract)):
        raise ValueError("the parameters have other names than those of the model's configuration")
    for (path, expected), leaf in zip(
        jax.tree.leaves_with_path(abstract), jax.tree.leaves(params), strict=True
    ):
        name, dtype = jax.tree_util.keystr(path), getattr(leaf, "dtype", None)
        is_float = dtype is not None and np.dtype(dtype).kind == np.dtype(expected.dtype).kind == "f"
        if np.shape(leaf) != expected.shape or not (is_float or dtype == expected.dtype):
            raise ValueError(
                f"the parameter {name} is {dtype} {np.shape(leaf)}, not {expected.dtype} {expected.shape}"
            )
