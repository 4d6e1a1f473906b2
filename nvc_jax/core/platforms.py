"""Operations that have a form for each platform, of which a compiled program contains one.

``jax.lax.platform_dependent`` does this, too, but it traces all forms at once, which takes as many times as
long. Here a form is traced when a program is compiled for its platform, or, inside of ``jax.shard_map``, at
once if the mesh tells the platform.
"""

import contextvars
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import batching, mlir

from nvc_jax.core.jax_settings import in_own_settings

_Form = Callable[..., Any]


class Forms(NamedTuple):
    """Forms of an operation, which return the same tree of arrays.

    They are traced later than the program around them, so they may use no traced arrays but their arguments:
    see ``hoist``.

    Attributes:
        cpu: for CPUs.
        default: for every platform without a form of its own.
        cuda: for GPUs of NVIDIA.
        tpu: for TPUs; by default, these run ``default``.
    """

    cpu: _Form
    default: _Form
    cuda: _Form
    tpu: _Form | None = None


class _AllForms(NamedTuple):
    """Forms by platform, none of them missing."""

    cpu: _Form
    default: _Form
    cuda: _Form
    tpu: _Form


def choose_form(forms: Forms, results: Any, *arguments: Any) -> Any:
    """Run the form that suits the platform.

    Args:
        forms: of the operation.
        results: tree of ``jax.ShapeDtypeStruct`` or arrays, of the shapes and dtypes that each form returns;
            None inside of ``jax.shard_map``.
        *arguments: of all forms; trees of arrays.
    """
    every = _AllForms(forms.cpu, forms.default, forms.cuda, forms.tpu or forms.default)
    leaves, tree = jax.tree.flatten(arguments)
    if _is_in_shard_map():
        axes = frozenset().union(*map(_varying_axes, leaves))
        if axes:  # kernels of GPUs know no types that vary; without `check_vma` there are none
            every = every._replace(cuda=every.default)
        varying = {name: _varying(form, axes) for name, form in every._asdict().items()}
        platform = _mesh_platform()
        if platform is not None:
            return varying.get(platform, varying["default"])(*arguments)
        return lax.platform_dependent(*arguments, **varying)
    shapes, results_tree = jax.tree.flatten(results)

    def flat(form: _Form) -> _Form:
        # By then the settings may be those of a user, who compiles this within a program of their own.
        return in_own_settings(lambda *leaves: jax.tree.leaves(form(*jax.tree.unflatten(tree, leaves))))

    avals = tuple(jax.core.ShapedArray(shape.shape, shape.dtype) for shape in shapes)
    outputs = _choose_form_p.bind(*leaves, forms=_AllForms(*map(flat, every)), avals=avals)
    return jax.tree.unflatten(results_tree, outputs)


def hoist(function: _Form, *examples: Any) -> tuple[_Form, Any, list[Any]]:
    """Make the traced arrays that a function uses its arguments.

    Args:
        function: from trees of arrays to a tree of arrays.
        *examples: arguments, or ``jax.ShapeDtypeStruct`` in their place.

    Returns:
        A function that takes the list of these arrays and then the arguments; shapes and dtypes of its
        results; and the list. Inside of ``jax.shard_map``, where ``choose_form`` traces forms at once and
        types depend on how arrays vary over devices, the function is as it was, the list is empty, and shapes
        are None.
    """
    if _is_in_shard_map():
        return lambda _, *arguments: function(*arguments), None, []
    closed, results = jax.make_jaxpr(function, return_shape=True)(*examples)
    tree = jax.tree.structure(results)

    def hoisted(captured: list[Any], *arguments: Any) -> Any:
        leaves = jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, captured))(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(tree, leaves)

    return hoisted, results, list(closed.consts)


_choose_form_p = Primitive("nvc_choose_form")
"""The operation that becomes one of its forms when a program is compiled."""
_choose_form_p.multiple_results = True


@_choose_form_p.def_abstract_eval
def _result_types(*_: Any, avals: tuple[Any, ...], **__: Any) -> tuple[Any, ...]:
    return avals


@_choose_form_p.def_impl
def _run(*leaves: Any, forms: _AllForms, **_: Any) -> Any:
    return lax.platform_dependent(*leaves, **forms._asdict())


def _batch(
    leaves: Sequence[Any], axes: Sequence[Any], *, forms: _AllForms, avals: tuple[Any, ...]
) -> tuple[Any, Any]:
    """Batch all forms, as ``jax.vmap`` transforms them."""
    size = next(leaf.shape[axis] for leaf, axis in zip(leaves, axes, strict=True) if axis is not None)
    batched = _AllForms(*(jax.vmap(form, in_axes=tuple(axes), axis_size=size) for form in forms))
    shapes = tuple(jax.core.ShapedArray((size, *aval.shape), aval.dtype) for aval in avals)
    return _choose_form_p.bind(*leaves, forms=batched, avals=shapes), [0] * len(avals)


def _lower(platform: str) -> _Form:
    """Make the rule that replaces the operation by its form for a platform."""

    def lower(context: Any, *leaves: Any, forms: _AllForms, **_: Any) -> Any:
        n_devices = getattr(context.module_context.axis_context, "num_devices", None)
        token = _is_divided.set((n_devices or 1) > 1)
        try:
            return mlir.lower_fun(getattr(forms, platform), multiple_results=True)(context, *leaves)
        finally:
            _is_divided.reset(token)

    return lower


batching.primitive_batchers[_choose_form_p] = _batch
mlir.register_lowering(_choose_form_p, _lower("default"))
for _platform in ("cpu", "cuda", "tpu"):
    mlir.register_lowering(_choose_form_p, _lower(_platform), platform=_platform)


def may_use_tpu_kernels() -> bool:
    """Tell whether the form for TPUs that is being traced may have kernels.

    Not inside of ``jax.shard_map``, as kernels know no types that vary over devices, and not in a program of
    several devices, as JAX cannot divide kernels among them.
    """
    return not (_is_in_shard_map() or _is_divided.get())


_is_divided: contextvars.ContextVar[bool] = contextvars.ContextVar("is_divided", default=False)
"""Whether a form is being traced for several devices."""


def _is_in_shard_map() -> bool:
    """Tell whether the program that is being traced runs inside of ``jax.shard_map``."""
    return bool(jax.sharding.get_abstract_mesh().manual_axes)


def _mesh_platform() -> str | None:
    """Get the platform of the devices of a ``shard_map``; None if its mesh does not tell."""
    device = getattr(jax.sharding.get_abstract_mesh(), "abstract_device", None)
    platform: str | None = getattr(device, "platform", None)
    return None if platform == "gpu" else platform  # which is CUDA or ROCm


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
