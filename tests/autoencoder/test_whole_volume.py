import jax
import jax.numpy as jnp
import numpy as np
import pytest
from autoencoder_slabs import (
    CONFIGS,
    LIMITS,
    RANGE,
    ROUNDING,
    VOLUME,
    as_encoded,
    decode_in_slabs,
    encode_in_slabs,
    params_of,
)

from nvc_jax.autoencoder import whole_volume
from nvc_jax.autoencoder.arithmetic import FAST, FLOAT32, arithmetic_of_gpus
from nvc_jax.autoencoder.networks import bind

HALF_ROUNDING = 2.0**-10
"""The same where voxels and operands of products are kept in float16, which has 11 bits."""


@pytest.mark.parametrize("name", CONFIGS)
def test_latents_are_those_of_slabs(name: str) -> None:
    config = CONFIGS[name]
    expected = encode_in_slabs(config)
    for arithmetic, tolerance in ((arithmetic_of_gpus(FLOAT32), 1e-6), (arithmetic_of_gpus(FAST), 2e-3)):
        encode = jax.jit(
            lambda params, arithmetic=arithmetic: whole_volume.encode(
                bind(config, params, arithmetic), jnp.asarray(VOLUME), *LIMITS
            )
        )
        latents = encode(params_of(config))
        assert latents.dtype == jnp.float32
        np.testing.assert_allclose(latents, expected, atol=tolerance)


@pytest.mark.parametrize("mode", ["crop", "blend"])
@pytest.mark.parametrize("name", CONFIGS)
def test_voxels_are_those_of_slabs(name: str, mode: str) -> None:
    config = CONFIGS[name]
    if mode == "blend" and not config.margin:
        pytest.skip("nothing to blend")
    params, encoded = params_of(config), as_encoded(encode_in_slabs(config))
    expected = jax.jit(lambda params: decode_in_slabs(bind(config, params), encoded, mode))(params)
    for arithmetic, tolerance in (
        (arithmetic_of_gpus(FLOAT32), ROUNDING),
        (arithmetic_of_gpus(FAST), HALF_ROUNDING),
    ):
        decode = jax.jit(
            lambda params, arithmetic=arithmetic: whole_volume.decode(
                bind(config, params, arithmetic), encoded, mode
            )
        )
        np.testing.assert_allclose(decode(params), expected, atol=tolerance * RANGE)


def test_integers_are_rounded_after_blending() -> None:
    config = CONFIGS["margin"]
    params, latents = params_of(config), encode_in_slabs(config)
    decode = jax.jit(whole_volume.decode, static_argnums=2)
    model = bind(config, params, arithmetic_of_gpus(FLOAT32))
    floats, integers = (
        np.asarray(decode(model, as_encoded(latents, dtype), "blend")) for dtype in ("float32", "uint8")
    )
    assert integers.dtype == np.uint8
    np.testing.assert_array_less(np.abs(integers - floats), 0.501)


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [
        ("no margin", FLOAT32, True),
        ("margin", FLOAT32, True),
        ("half as wide", FLOAT32, False),  # 8 times the volume
        ("half as wide", FAST, True),
        ("as wide as blocks", FAST, False),
    ],
)
def test_blocks_are_decoded_at_once_where_memory_allows(name: str, precision: str, expected: bool) -> None:
    config = CONFIGS[name]
    model = bind(config, params_of(config), arithmetic_of_gpus(precision))
    assert whole_volume.fits(model) == expected
    if config.margin:
        encoded = as_encoded(jnp.zeros((3, 4, 2, config.latent_dim)))
        text = jax.jit(whole_volume.decode, static_argnums=2).lower(model, encoded, "blend").as_text()
        assert ("stablehlo.while" in text) == (not expected)
