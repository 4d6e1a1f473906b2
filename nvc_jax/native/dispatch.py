"""Calls of kernels within compiled programs."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from nvc_jax.native.library import load_kernels

_Form = Callable[..., Any]


def on_cpu(kernel: _Form, reference: _Form, *arguments: Any) -> Any:
    """Run a kernel on CPUs and its reference on other devices, or everywhere if there are no kernels.

    Args:
        kernel: calls a native kernel.
        reference: the ``jax.numpy`` form, which returns the same arrays. It is traced only where a program
            is compiled for another device, so it must not use traced arrays other than its arguments.
        *arguments: of both; trees of arrays.
    """
    if load_kernels() is not None:
        return reference(*arguments)
    leaves, tree = jax.tree.flatten(arguments)
    axes = frozenset().union(*map(_varying_axes, leaves))
    if axes:
        return _either(_varying(kernel, axes), _varying(reference, axes), arguments)
    results = jax.eval_shape(kernel, *arguments)
    shapes, results_tree = jax.tree.flatten(results)

    def flat(form: _Form) -> _Form:
        return lambda *leaves: jax.tree.leaves(form(*jax.tree.unflatten(tree, leaves)))

    avals = tuple(jax.core.ShapedArray(shape.shape, shape.dtype) for shape in shapes)
    outputs = _on_cpu_p.bind(*leaves, kernel=flat(kernel), reference=flat(reference), avals=avals)
    return jax.tree.unflatten(results_tree, outputs)


def _either(kernel: _Form, reference: _Form, arguments: Sequence[Any]) -> Any:
    """Trace both forms, of which programs contain the one for their device."""
    return lax.platform_dependent(*arguments, cpu=kernel, default=reference)


_on_cpu_p = Primitive("nvc_on_cpu")
"""An operation that becomes one of two forms when a program is compiled: tracing both takes twice as long."""
_on_cpu_p.multiple_results = True


@_on_cpu_p.def_abstract_eval
def _result_types(*_: Any, avals: tuple[Any, ...], **__: Any) -> tuple[Any, ...]:
    return avals


@_on_cpu_p.def_impl
def _run(*leaves: Any, kernel: _Form, reference: _Form, **_: Any) -> Any:
    return _either(kernel, reference, leaves)


def _batch(
    leaves: Sequence[Any], axes: Sequence[Any], *, kernel: _Form, reference: _Form, **_: Any
) -> tuple[Any, Any]:
    """Trace both forms of a batch, as ``jax.vmap`` transforms them."""
    outputs = jax.vmap(lambda *leaves: _either(kernel, reference, leaves), in_axes=tuple(axes))(*leaves)
    return outputs, [0] * len(outputs)


def _lower(form: str) -> Callable[..., Any]:
    """Make the rule that replaces the operation by its form ``kernel`` or ``reference``."""

    def lower(context: Any, *leaves: Any, **parameters: Any) -> Any:
        return mlir.lower_fun(parameters[form], multiple_results=True)(context, *leaves)

    return lower


batching.primitive_batchers[_on_cpu_p] = _batch
mlir.register_lowering(_on_cpu_p, _lower("reference"))
mlir.register_lowering(_on_cpu_p, _lower("kernel"), platform="cpu")


def _varying_axes(leaf: Any) -> frozenset:
    """Get the axes of a ``shard_map`` over which an array varies; releases of JAX name them differently."""
    kind: Any = jax.typeof(leaf)
    return kind.manual_axis_type.varying if hasattr(kind, "manual_axis_type") else kind.vma


def _varying(form: Callable[..., Any], axes: frozenset) -> Callable[..., Any]:
    """Mark results as varying over all devices of a ``shard_map`` over which arguments vary.

    Both forms must return arrays of the same type.
    """

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
