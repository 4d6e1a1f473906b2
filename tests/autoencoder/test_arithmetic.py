import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nvc_jax
from nvc_jax.autoencoder import codec as autoencoder
from nvc_jax.autoencoder.arithmetic import (
    FAST,
    FLOAT32,
    LARGEST_HALF,
    arithmetic_of_gpus,
    arithmetic_of_tpus,
    precision_in_memory,
)

HALF = arithmetic_of_gpus(FAST)


def test_kept_values_are_clipped_to_float16() -> None:
    values = jnp.array([[1e9, -1e9, 0.1, jnp.nan]])
    kept = np.asarray(HALF.keep(values)).astype(np.float64)
    np.testing.assert_allclose(kept, [[LARGEST_HALF, -LARGEST_HALF, 0.1, np.nan]], rtol=2**-11)
    assert arithmetic_of_tpus(FAST).keep(values) is values


def test_products_of_float16_are_summed_in_float32() -> None:
    rows, kernel = np.full((1, 4096), 0.5, np.float32), np.full((4096, 1), 3.0, np.float32)
    kernel[-1] = 0.25  # lost in a sum of 11 bits
    product = HALF.multiply(HALF.keep(jnp.asarray(rows)), jnp.asarray(kernel))
    assert product.dtype == jnp.float32
    np.testing.assert_array_equal(product, [[4095 * 1.5 + 0.125]])


def test_only_the_fast_precision_keeps_float16() -> None:
    assert arithmetic_of_gpus(FAST).is_half
    assert not arithmetic_of_gpus(FLOAT32).is_half
    assert not arithmetic_of_gpus("highest").is_half


def test_a_user_may_choose_the_precision() -> None:
    assert precision_in_memory() == FAST
    with jax.default_matmul_precision("float32"):
        assert precision_in_memory() == "float32"


def products(text: str) -> set[str]:
    """Precisions and dtypes of the products of a lowered program."""
    lines = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    return {
        name
        for line in lines
        for name in ("[HIGHEST, HIGHEST]", "[HIGH, HIGH]", "[DEFAULT, DEFAULT]", "xf16>")
        if name in line
    }


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_containers_are_coded_in_float32_and_volumes_in_memory_faster(platform: str) -> None:
    codec = nvc_jax.load_codec("two-wide-margin")
    volume = jnp.zeros((20, 30, 72))

    def lowered(function: object, *arguments: object) -> str:
        return jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()

    def encode(volume: jax.Array) -> jax.Array:
        return nvc_jax.encode_volume(codec, volume).latents

    def encode_as_chunk(volume: jax.Array) -> jax.Array:
        limits = (jnp.float32(0), jnp.float32(1))
        return autoencoder.encode_region(codec.config, codec.params, volume, *limits).latents

    fast = {"[DEFAULT, DEFAULT]", "xf16>"} if platform == "cuda" else {"[HIGH, HIGH]"}
    assert products(lowered(encode, volume)) == fast
    assert products(lowered(encode_as_chunk, volume)) == {"[HIGHEST, HIGHEST]"}
    with jax.default_matmul_precision("highest"):
        assert products(lowered(encode, volume)) == {"[HIGHEST, HIGHEST]"}
