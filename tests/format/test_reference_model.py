"""Models are found, embedded and hashed as section 5 of ``FORMAT.md`` says."""

from pathlib import Path

import numpy as np
import pytest
from make_golden import GOLDEN
from reference_common import FormatError
from reference_model import model_sha256, read_embedded, read_model

import nvc_jax
from nvc_jax.models.checkpoints import shipped_models
from nvc_jax.models.embedded import embed_model

DIRECTORIES = [*shipped_models().values(), *sorted(GOLDEN.glob("model*"))]


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_model_directories_hold_the_model_of_their_sha256(directory: Path) -> None:
    assert read_model(directory).parameters  # which checks the SHA-256


@pytest.mark.parametrize("name", ["nvc-1", "zero-margin"])
def test_embedded_models_are_the_models_of_their_directories(name: str) -> None:
    model, codec = read_model(shipped_models()[name]), nvc_jax.load_codec(name)
    embedded = embed_model(codec.config, codec.params)
    extracted = read_embedded(embedded, model_sha256(model))
    assert extracted.parameters.keys() == model.parameters.keys()
    for path, array in model.parameters.items():
        assert extracted.parameters[path].dtype == array.dtype
        np.testing.assert_array_equal(extracted.parameters[path], array)
    with pytest.raises(FormatError, match="SHA-256"):
        read_embedded(embedded, "0" * 64)
