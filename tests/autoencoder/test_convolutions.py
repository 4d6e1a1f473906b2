import functools

import jax
import numpy as np
import pytest
from flax import nnx

from nvc_jax.autoencoder.convolutions import convolve_doubling, convolve_halving


@pytest.mark.parametrize("channels", [(1, 5), (4, 1)])
def test_matrix_products_are_the_convolutions(channels: tuple[int, int]) -> None:
    keys = jax.random.split(jax.random.key(0), 2)
    values = jax.random.normal(keys[0], (2, 6, 4, 8, channels[0]))
    rngs = nnx.Rngs(0, bias=1)
    initialise = nnx.initializers.normal()
    for layer_type, product in ((nnx.Conv, convolve_halving), (nnx.ConvTranspose, convolve_doubling)):
        layer = layer_type(*channels, (3, 3, 3), strides=(2, 2, 2), bias_init=initialise, rngs=rngs)
        expected = jax.jit(layer)(values)
        computed = jax.jit(functools.partial(product, layer=layer))(values)
        assert computed.shape == expected.shape
        np.testing.assert_allclose(computed, expected, atol=1e-5)
