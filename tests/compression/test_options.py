import math

import numpy as np
import pytest

import nvc_jax
from nvc_jax.compression.options import (
    check_part,
    check_target,
    model_name,
)


@pytest.fixture(scope="module")
def spectral() -> nvc_jax.Codec:
    return nvc_jax.load_codec("nvc-1")


@pytest.fixture(scope="module")
def autoencoder() -> nvc_jax.Codec:
    return nvc_jax.load_codec("zero-margin")


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"max_error": np.float32(2), "psnr": None, "lossless": False}, {"max_error": 2.0}),
        ({"relative_error": 1e-3}, {"relative_error": 1e-3}),
        ({"pointwise_error": 1e-3}, {"pointwise_error": 1e-3}),
        ({"psnr": 40}, {"psnr": 40.0}),
        ({"step": 0.5}, {"step": 0.5}),
        ({"lossless": True}, {"lossless": True}),
        ({"max_error": 0}, {"max_error": 0.0}),
        ({"max_error": 2**53 + 3}, {"max_error": 2.0**53 + 2}),
        ({"max_error": 2**70}, {"max_error": 2.0**70}),
        ({"max_error": None, "lossless": False}, {"relative_error": 1e-3}),
    ],
)
def test_a_target_is_one_entry(options: dict, target: dict, spectral: nvc_jax.Codec) -> None:
    checked = check_target(spectral, **options)
    assert checked == target
    assert [type(value) for value in checked.values()] == [type(value) for value in target.values()]


def test_block_autoencoders_leave_their_latents_alone_by_default(autoencoder: nvc_jax.Codec) -> None:
    assert check_target(autoencoder, step=None) == {"latents": True}
    assert check_target(autoencoder, psnr=30) == {"psnr": 30.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"psnr": 40.0, "step": 0.1}, r"`psnr` \(=40.0\) and `step` \(=0.1\) exclude each other"),
        ({"max_error": 0.0, "lossless": True}, "exclude each other"),
        ({"max_error": -1.0}, "`max_error`"),
        ({"max_error": math.inf}, "`max_error`"),
        ({"max_error": 10**400}, "`max_error`"),
        ({"relative_error": math.nan}, "`relative_error`"),
        ({"pointwise_error": 0}, r"`pointwise_error` \(=0.0\) must be above 0 and below 1"),
        ({"pointwise_error": 1.0}, "`pointwise_error`"),
        ({"pointwise_error": math.nan}, "`pointwise_error`"),
        ({"pointwise_error": 0.1, "max_error": 1.0}, "exclude each other"),
        ({"psnr": 9.9}, "must lie between 10 and 90 dB"),
        ({"psnr": 90.1}, "must lie between 10 and 90 dB"),
        ({"step": 2.5}, "`step`"),
        ({"step": 0.0}, "`step`"),
    ],
)
def test_wrong_targets_are_named(options: dict, message: str, spectral: nvc_jax.Codec) -> None:
    with pytest.raises(ValueError, match=message):
        check_target(spectral, **options)


@pytest.mark.parametrize(
    "options", [{"max_error": 1.0}, {"relative_error": 0.1}, {"pointwise_error": 0.1}, {"lossless": True}]
)
def test_block_autoencoders_keep_no_bound(options: dict, autoencoder: nvc_jax.Codec) -> None:
    with pytest.raises(
        ValueError, match="needs a spectral model: leave `model` out, or name one such as nvc-1"
    ):
        check_target(autoencoder, **options)


@pytest.mark.parametrize("part", [(3, 3), (-1, 3), (0, 0), (0, 1, 2)])
def test_wrong_parts_are_named(part: tuple) -> None:
    with pytest.raises(ValueError, match="`part`"):
        check_part(part)
    check_part((0, 1))
    check_part((2, 3))


def test_a_model_is_named_by_its_last_part(spectral: nvc_jax.Codec) -> None:
    assert model_name("nvc-1") == "nvc-1"
    assert model_name("runs/checkpoints/mine") == "mine"
    assert model_name(spectral) == "custom"
