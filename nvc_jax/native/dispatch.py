"""Calls of kernels within compiled programs."""

from collections.abc import Callable
from typing import Any

import jax

from nvc_jax.core.devices import platform_here
from nvc_jax.core.group_kernels import has_group_kernels
from nvc_jax.core.platforms import Forms, choose_form
from nvc_jax.native.library import load_kernels

_Form = Callable[..., Any]


def on_cpu(
    kernel: _Form,
    reference: _Form,
    *arguments: Any,
    gpu: _Form | None = None,
    tpu: _Form | None = None,
    results: Any = None,
) -> Any:
    """Run a kernel on CPUs and its reference on other devices, or everywhere if there are no kernels.

    Args:
        kernel: calls a native kernel.
        reference: the ``jax.numpy`` form, which returns the same arrays. It is traced only where a program
            is compiled for another device, so it must not use traced arrays other than its arguments.
        *arguments: of both; trees of arrays.
        gpu: calls kernels for GPUs of NVIDIA; by default, these run the reference.
        tpu: for TPUs, likewise.
        results: shapes and dtypes of the results, if they are known; finding them takes tracing ``kernel``.
    """
    if gpu is None or not has_group_kernels():
        gpu = reference
    if load_kernels() is not None:
        kernel = reference
    if kernel is gpu and tpu is None:
        return reference(*arguments)
    forms = Forms(cpu=kernel, default=reference, cuda=gpu, tpu=tpu)
    results = jax.eval_shape(kernel, *arguments) if results is None else results
    return choose_form(forms, results, *arguments)


def runs_kernels() -> bool:
    """Tell whether programs on the default device of this thread run the kernels."""
    return platform_here() == "cpu" and load_kernels() is None


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
