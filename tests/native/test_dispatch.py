import jax
import jax.numpy as jnp
import numpy as np

from nvc_jax.entropy import adaptive_geometric, geometric_adaptation
from nvc_jax.native.dispatch import runs_kernels

VALUES = jnp.asarray(np.random.default_rng(0).integers(-9, 9, (3, 40)), jnp.int32)
SCALES = geometric_adaptation.choose_scales(VALUES)


def encode(values: jax.Array) -> jax.Array:
    return adaptive_geometric.encode(values, SCALES).words


def test_cpus_run_the_kernel_and_other_devices_the_reference() -> None:
    traced = jax.jit(encode).trace(VALUES)
    assert "nvc_geometric_encode" in traced.lower(lowering_platforms=("cpu",)).as_text()
    for platform in ("cuda", "rocm", "tpu"):
        assert "nvc_" not in traced.lower(lowering_platforms=(platform,)).as_text()


def test_batches_go_through_the_kernel_one_by_one() -> None:
    batch = jnp.stack([VALUES, VALUES[:, ::-1], -VALUES])
    words = jax.jit(jax.vmap(encode))(batch)
    for own, values in zip(words, batch, strict=True):
        np.testing.assert_array_equal(own, encode(values))


def test_kernels_run_on_the_default_device_if_it_is_a_cpu() -> None:
    assert runs_kernels() == (jax.default_backend() == "cpu")
