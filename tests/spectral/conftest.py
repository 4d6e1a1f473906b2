"""The shipped spectral model."""

import pytest

import nvc_jax


@pytest.fixture(scope="session")
def codec() -> nvc_jax.Codec:
    return nvc_jax.load_codec("nvc-1")
