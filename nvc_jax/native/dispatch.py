"""Calls of kernels within compiled programs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir

from nvc_jax.native.group_kernels import has_group_kernels
from nvc_jax.native.library import load_kernels

_Form = Callable[..., Any]


def on_cpu(kernel: _Form, reference: _Form, *arguments: Any, gpu: _Form | None = None) -> Any:
    """Run a kernel on CPUs and its reference on other devices, or everywhere if there are no kernels.

    Args:
        kernel: calls a native kernel.
        reference: the ``jax.numpy`` form, which returns the same arrays. It is traced only where a program
            is compiled for another device, so it must not use traced arrays other than its arguments.
        *arguments: of both; trees of arrays.
        gpu: calls kernels for GPUs of NVIDIA; by default, these run the reference.
    """
    if gpu is None or not has_group_kernels():
        gpu = reference
    if load_kernels() is not None:
        kernel = reference
    if kernel is gpu:
        return reference(*arguments)
    leaves, tree = jax.tree.flatten(arguments)
    axes = frozenset().union(*map(_varying_axes, leaves))
    if axes:
        kernel, reference, gpu = (_varying(form, axes) for form in (kernel, reference, gpu))
        return lax.platform_dependent(*arguments, cpu=kernel, cuda=gpu, default=reference)
    results = jax.eval_shape(kernel, *arguments)
    shapes, results_tree = jax.tree.flatten(results)

    def flat(form: _Form) -> _Form:
        return lambda *leaves: jax.tree.leaves(form(*jax.tree.unflatten(tree, leaves)))

    avals = tuple(jax.core.ShapedArray(shape.shape, shape.dtype) for shape in shapes)
    outputs = _on_cpu_p.bind(*leaves, forms=_Forms(*map(flat, (kernel, reference, gpu))), avals=avals)
    return jax.tree.unflatten(results_tree, outputs)


class _Forms(NamedTuple):
    """Forms of an operation, from arrays to a list of arrays, of which a program contains one.

    Attributes:
        cpu: calls a native kernel.
        default: the ``jax.numpy`` form.
        cuda: calls kernels for GPUs of NVIDIA.
    """

    cpu: _Form
    default: _Form
    cuda: _Form


_on_cpu_p = Primitive("nvc_on_cpu")
"""An operation that becomes one of its forms when a program is compiled: tracing all takes twice as long."""
_on_cpu_p.multiple_results = True


@_on_cpu_p.def_abstract_eval
def _result_types(*_: Any, avals: tuple[Any, ...], **__: Any) -> tuple[Any, ...]:
    return avals


@_on_cpu_p.def_impl
def _run(*leaves: Any, forms: _Forms, **_: Any) -> Any:
    return lax.platform_dependent(*leaves, **forms._asdict())


def _batch(
    leaves: Sequence[Any], axes: Sequence[Any], *, forms: _Forms, avals: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Batch all forms, as ``jax.vmap`` transforms them."""
    size = next(leaf.shape[axis] for leaf, axis in zip(leaves, axes, strict=True) if axis is not None)
    batched = _Forms(*(jax.vmap(form, in_axes=tuple(axes), axis_size=size) for form in forms))
    shapes = tuple(jax.core.ShapedArray((size, *aval.shape), aval.dtype) for aval in avals)
    return _on_cpu_p.bind(*leaves, forms=batched, avals=shapes), [0] * len(avals)


def _lower(form: str) -> Callable[..., Any]:
    """Make the rule that replaces the operation by one of its forms."""

    def lower(context: Any, *leaves: Any, forms: _Forms, **_: Any) -> Any:
        return mlir.lower_fun(getattr(forms, form), multiple_results=True)(context, *leaves)

    return lower


batching.primitive_batchers[_on_cpu_p] = _batch
mlir.register_lowering(_on_cpu_p, _lower("default"))
for _platform in ("cpu", "cuda"):
    mlir.register_lowering(_on_cpu_p, _lower(_platform), platform=_platform)


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
