"""Calls of kernels within compiled programs."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from nvc_jax.native.library import load_kernels


def on_cpu(kernel: Callable[..., Any], reference: Callable[..., Any], *arguments: Any) -> Any:
    """Run a kernel on CPUs and its reference on other devices, or everywhere if there are no kernels.

    Args:
        kernel: calls a native kernel.
        reference: the ``jax.numpy`` form, which returns the same arrays.
        *arguments: of both; trees of arrays.
    """
    if load_kernels() is not None:
        return reference(*arguments)
    axes = frozenset().union(*map(_varying_axes, jax.tree.leaves(arguments)))
    forms = {"cpu": _varying(kernel, axes), "default": _varying(reference, axes)}
    return lax.platform_dependent(*arguments, **forms)


def _varying_axes(leaf: Any) -> frozenset:
    """Get the axes of a ``shard_map`` over which an array varies; releases of JAX name them differently."""
    kind: Any = jax.typeof(leaf)
    return kind.manual_axis_type.varying if hasattr(kind, "manual_axis_type") else kind.vma


def _varying(form: Callable[..., Any], axes: frozenset) -> Callable[..., Any]:
    """Mark results as varying over all devices of a ``shard_map`` over which arguments vary.

    Both forms must return arrays of the same type.
    """
    if not axes:
        return form

    def mark(leaf: jax.Array) -> jax.Array:
        missing = tuple(sorted(axes - _varying_axes(leaf)))
        return lax.pcast(leaf, missing, to="varying") if missing else leaf

    return lambda *arguments: jax.tree.map(mark, form(*arguments))


def runs_kernels() -> bool:
    """Tell whether programs on JAX's default device run the kernels."""
    return jax.default_backend() == "cpu" and load_kernels() is None


def call(name: str, results: Any, *arguments: jax.Array, **attributes: Any) -> Any:
    """Call a kernel.

    Args:
        name: of the kernel.
        results: tree of ``jax.ShapeDtypeStruct``, shapes and dtypes of the results.
        *arguments: arrays of the dtypes that the kernel takes.
        **attributes: static arguments: booleans, or NumPy integers.
    """
    # A batch of chunks goes through the kernel one by one, on one core.
    return jax.ffi.ffi_call(name, results, vmap_method="sequential")(*arguments, **attributes)
