import json

import pytest

from nvc_jax.models.registry import stored_config
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.spectral.neighbour_contexts import N_CONTEXTS


@pytest.mark.parametrize("n_contexts", [0, 2, N_CONTEXTS - 1, N_CONTEXTS + 1, True, 11.0, "11"])
def test_numbers_of_contexts_that_cannot_be_are_named(n_contexts: object) -> None:
    with pytest.raises(ValueError, match=r"`n_contexts` \(="):
        SpectralConfig(n_contexts=n_contexts)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_contexts", [1, N_CONTEXTS])
def test_descriptions_state_contexts_where_there_are_any(n_contexts: int) -> None:
    config = SpectralConfig(n_contexts=n_contexts)
    description = config.to_dict()
    assert ("n_contexts" in description) == (n_contexts > 1)
    assert stored_config(json.loads(json.dumps(description))) == config
