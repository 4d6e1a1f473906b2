import json

import pytest

from nvc_jax.models.registry import stored_config
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.neighbour_contexts import N_CONTEXTS


@pytest.mark.parametrize("name", ["n_contexts", "n_header_contexts"])
@pytest.mark.parametrize("n_contexts", [0, 2, N_CONTEXTS - 1, N_CONTEXTS + 1, True, 11.0, "11"])
def test_numbers_of_contexts_that_cannot_be_are_named(name: str, n_contexts: object) -> None:
    with pytest.raises(ValueError, match=rf"`{name}` \(="):
        SpectralConfig(**{name: n_contexts})  # type: ignore[arg-type]


@pytest.mark.parametrize("n_filter_units", [-1, 257, True, False, 1.0])
def test_sizes_of_filters_that_cannot_be_are_named(n_filter_units: object) -> None:
    with pytest.raises(ValueError, match=r"`n_filter_units` \(="):
        SpectralConfig(n_filter_units=n_filter_units)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_filter_units", [0, 1, 256])
def test_descriptions_state_the_filter_where_there_is_one(n_filter_units: int) -> None:
    config = SpectralConfig(n_filter_units=n_filter_units)
    description = config.to_dict()
    assert ("n_filter_units" in description) == (n_filter_units > 0)
    assert stored_config(json.loads(json.dumps(description))) == config


@pytest.mark.parametrize("name", ["n_contexts", "n_header_contexts"])
@pytest.mark.parametrize("n_contexts", [1, N_CONTEXTS])
def test_descriptions_state_contexts_where_there_are_any(name: str, n_contexts: int) -> None:
    config = SpectralConfig(**{name: n_contexts})
    description = config.to_dict()
    assert (name in description) == (n_contexts > 1)
    assert stored_config(json.loads(json.dumps(description))) == config
