import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy import adaptive_geometric, geometric_adaptation
from nvc_jax.native.dispatch import on_cpu, runs_kernels

VALUES = jnp.asarray(np.random.default_rng(0).integers(-9, 9, (3, 40)), jnp.int32)
SCALES = jax.jit(geometric_adaptation.choose_scales)(VALUES)


def encode(values: jax.Array) -> jax.Array:
    return adaptive_geometric.encode(values, SCALES).words


def kernels_in(text: str) -> str:
    return " ".join(re.findall(r"custom_call @([\w$.]+)", text))


def kernels_of(traced: Any, platform: str) -> str:
    return kernels_in(traced.lower(lowering_platforms=(platform,)).as_text())


def test_cpus_run_the_kernel_and_other_devices_the_reference() -> None:
    traced = jax.jit(encode).trace(VALUES)
    assert "nvc_geometric_encode" in kernels_of(traced, "cpu")
    for platform in ("cuda", "rocm", "tpu"):
        assert "nvc_" not in kernels_of(traced, platform)


def test_references_are_traced_only_for_other_devices() -> None:
    forms = []

    def form(name: str) -> Callable[[jax.Array], jax.Array]:
        def negate(values: jax.Array) -> jax.Array:
            forms.append(name)
            return -values

        return negate

    traced = jax.jit(lambda values: on_cpu(form("kernel"), form("reference"), values)).trace(VALUES)
    assert set(forms) == ({"kernel"} if runs_kernels() else {"reference"})
    traced.lower(lowering_platforms=("tpu",))
    assert forms[-1] == "reference"


def test_batches_go_through_the_kernel_one_by_one() -> None:
    batch = jnp.stack([VALUES, VALUES[:, ::-1], -VALUES])
    words, encode_one = np.asarray(jax.jit(jax.vmap(encode))(batch)), jax.jit(encode)
    for own, values in zip(words, np.asarray(batch), strict=True):
        np.testing.assert_array_equal(own, encode_one(jnp.asarray(values)))


def test_kernels_run_on_the_default_device_if_it_is_a_cpu() -> None:
    assert runs_kernels() == (jax.default_backend() == "cpu")
