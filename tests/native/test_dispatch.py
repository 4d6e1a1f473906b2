import functools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import nvc_jax
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


@functools.cache
def trace_codec(direction: str) -> Any:
    """Trace the program that encodes a small volume by nvc-1, or the one that decodes it."""
    codec, volume = nvc_jax.load_codec("nvc-1"), jax.ShapeDtypeStruct((16, 8, 8), jnp.float32)
    if direction == "decode":
        encoded = trace_codec("encode").out_info
        return jax.jit(lambda encoded: nvc_jax.decode_volume(codec, encoded)).trace(encoded)
    return jax.jit(lambda volume: nvc_jax.encode_volume(codec, volume, step=0.1)).trace(volume)


@functools.cache
def lower_codec(direction: str, platform: str) -> str:
    return trace_codec(direction).lower(lowering_platforms=(platform,)).as_text()


def test_gpus_have_kernels_of_their_own() -> None:
    of_survey, of_draws, of_columns, of_lines, of_dc, of_choices = 1, 5, 3, 6, 1, 4
    of_transform, of_profile, of_trellis = 2, 2, 1
    of_scan, of_compaction, of_coder, of_stacks = 1, 3, 1, 1
    n_kernels_of_cuda = of_survey + of_draws + of_columns + of_lines + of_dc + of_choices
    n_kernels_of_cuda += of_transform + of_profile + of_trellis
    n_kernels_of_cuda += of_scan + of_compaction + of_coder + of_stacks
    for platform, n_kernels in (("cuda", n_kernels_of_cuda), ("rocm", 0), ("tpu", 0)):
        assert lower_codec("encode", platform).count("__gpu$xla.gpu.triton") == n_kernels


def test_gpus_decode_by_kernels_of_their_own() -> None:
    of_headers, of_integers, of_queues, of_transform = 1, 1, 5, 2
    n_kernels_of_cuda = of_headers + of_integers + of_queues + of_transform
    for platform, n_kernels in (("cuda", n_kernels_of_cuda), ("rocm", 0), ("tpu", 0)):
        assert lower_codec("decode", platform).count("__gpu$xla.gpu.triton") == n_kernels


def test_programs_of_whole_volumes_can_be_compiled_for_other_devices() -> None:
    for direction in ("encode", "decode"):
        assert "nvc_" not in kernels_in(lower_codec(direction, "cuda"))
        assert "nvc_" in kernels_in(lower_codec(direction, "cpu"))


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
