import numpy as np
import pytest
from compilations import compilations
from jax_transformations import check_jit_and_vmap, check_shard_map
from sample_volume import SMALL_VOLUME

import nvc_jax
from nvc_jax.spectral import decoder
from nvc_jax.spectral.model import encode_by_own_range


def test_programs_are_compiled_once_for_each_shape(codec: nvc_jax.Codec) -> None:
    encode_by_own_range.clear_cache()
    decoder.decode.clear_cache()

    def run(volume: np.ndarray, step: float) -> None:
        nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=step))

    first = compilations(lambda: run(SMALL_VOLUME, 0.1))
    assert len([name for name in first if "encode_by_own_range" in name]) == 1
    assert len([name for name in first if "decode" in name]) == 1
    for step in (0.1, 0.01):
        assert compilations(lambda step=step: run(SMALL_VOLUME[::-1], step)) == []


def test_runs_inside_jit_and_vmap(codec: nvc_jax.Codec) -> None:
    check_jit_and_vmap(codec, steps=(0.01, 0.1), max_difference=2)


def test_runs_inside_shard_map(codec: nvc_jax.Codec) -> None:
    check_shard_map(codec, step=0.02)


def test_bad_steps_and_mismatches_are_named(codec: nvc_jax.Codec) -> None:
    with pytest.raises(ValueError, match="`step` is missing"):
        nvc_jax.encode_volume(codec, SMALL_VOLUME)
    for step in (0.0, -1.0, 2.5, float("nan")):
        with pytest.raises(ValueError, match=r"`step` \(=.*must lie between"):
            nvc_jax.encode_volume(codec, SMALL_VOLUME, step=step)
    variant = nvc_jax.load_codec("zero-margin")
    with pytest.raises(ValueError, match="not of a dense codec"):
        nvc_jax.decode_volume(variant, nvc_jax.encode_volume(codec, SMALL_VOLUME, step=0.1))
