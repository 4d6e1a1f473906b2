import math

import numpy as np
import pytest

import nvc_jax
from nvc_jax.compression.options import (
    check_part,
    check_target,
    choose_layout,
    default_chunk,
    default_shard,
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


@pytest.mark.parametrize(
    ("shape", "block_size", "chunk"),
    [
        ((96, 96, 96), 8, (96, 96, 96)),
        ((128, 128, 128), 8, (128, 128, 128)),
        ((129, 21, 300), 8, (136, 24, 152)),
        ((64, 256, 512), 8, (64, 128, 256)),
        ((3681, 40, 40), 8, (248, 40, 40)),
        ((512, 512, 512), 8, (128, 128, 128)),
        ((513, 512, 512), 8, (64, 64, 64)),
        ((20, 20, 20), 32, (32, 32, 32)),
    ],
)
def test_default_chunks_divide_a_volume_evenly(shape: tuple, block_size: int, chunk: tuple) -> None:
    assert default_chunk(shape, block_size) == chunk
    assert choose_layout(shape, block_size, None, None) == (chunk, default_shard(shape, chunk))


def test_chunks_are_sharded_where_there_are_many() -> None:
    assert default_shard((64, 64, 64), (8, 8, 8)) is None
    assert default_shard((64, 64, 65), (8, 8, 8)) == (32, 32, 32)
    assert choose_layout((72, 72, 72), 8, (8, 8, 8), None) == ((8, 8, 8), (32, 32, 32))


def test_chunks_and_shards_of_other_ranks() -> None:
    assert default_chunk((512, 700), 8) == (512, 352)
    assert default_chunk((100, 40, 41, 42), 8) == (1, 40, 48, 48)
    assert default_chunk((5, 2, 300, 300, 300), 8) == (1, 1, 104, 104, 152)
    assert default_chunk((100, 90, 3), 8, ("y", "x", "c")) == (104, 96, 1)
    assert default_chunk((30, 40, 50, 12), 8, ("z", "y", "x", "time")) == (32, 40, 56, 1)
    # As many chunks in a shard as of a volume of three axes, of several steps where one step has few.
    assert default_shard((1000, 16, 16, 16), (1, 16, 16, 16)) == (64, 16, 16, 16)
    assert default_shard((1000, 3, 32, 16, 16), (1, 1, 16, 16, 16)) == (10, 3, 32, 16, 16)
    assert default_shard((8, 64, 64, 64), (1, 8, 8, 8)) == (1, 32, 32, 32)
    assert default_shard((511, 16, 16, 16), (1, 16, 16, 16)) is None


def test_a_shard_of_one_chunk_is_none() -> None:
    assert choose_layout((37, 40, 43), 8, (16, 16, 16), (16, 16, 16)) == ((16, 16, 16), None)
    assert choose_layout((37, 40, 43), 8, (16, 16, 16), (16, 32, 16)) == ((16, 16, 16), (16, 32, 16))


@pytest.mark.parametrize("chunks", [(16, 16), (16, 16, 12), (0, 16, 16), (-8, 8, 8)])
def test_chunks_hold_whole_blocks(chunks: tuple) -> None:
    with pytest.raises(ValueError, match=r"`chunks` .* multiples of the model's block size \(=8\)"):
        choose_layout((37, 40, 43), 8, chunks, None)


@pytest.mark.parametrize("shards", [(32, 32), (32, 32, 24), (0, 32, 32), (-16, 16, 16)])
def test_shards_hold_whole_chunks(shards: tuple) -> None:
    with pytest.raises(ValueError, match=r"`shards` .* multiples of the chunks \(=16,16,16\)"):
        choose_layout((37, 40, 43), 8, (16, 16, 16), shards)


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
