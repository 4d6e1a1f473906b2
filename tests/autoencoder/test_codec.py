import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compilations import compilations
from drawn_params import draw_params
from jax_transformations import check_jit_and_vmap, check_shard_map
from sample_volume import SMALL_VOLUME

import nvc_jax
from nvc_jax.autoencoder import codec as autoencoder
from nvc_jax.autoencoder.arithmetic import FAST, FLOAT32
from nvc_jax.autoencoder.blocks import assemble_blocks, extract_blocks
from nvc_jax.autoencoder.config import ConvolutionalConfig, DenseConfig
from nvc_jax.autoencoder.encoded import EncodedLatents, EncodedLatentStream
from nvc_jax.autoencoder.networks import bind
from nvc_jax.core.model import ModelConfig
from nvc_jax.evaluation.metrics import psnr_db

CONFIGS = {
    "no margin": DenseConfig(block_size=4, margin=0, hidden_sizes=(16,), latent_dim=8),
    "margin": DenseConfig(block_size=4, margin=1, hidden_sizes=(16,), latent_dim=8),
    "wide margin": DenseConfig(block_size=4, margin=4, hidden_sizes=(16,), latent_dim=8),
    "convolutional": ConvolutionalConfig(block_size=4, margin=2, channels=(4,), latent_dim=8),
}
HALF_AS_WIDE = DenseConfig(block_size=4, margin=2, hidden_sizes=(16,), latent_dim=8)


@pytest.fixture(scope="module")
def codec() -> nvc_jax.Codec:
    return nvc_jax.load_codec("two-wide-margin")


@functools.partial(jax.jit, static_argnums=(0, 3))
def reference_decoding(config: ModelConfig, params: dict, volume: jax.Array, mode: str) -> jax.Array:
    """The whole volume at once, in plain steps: slabs must reproduce it."""
    model = bind(config, params)
    low, high = volume.min(), volume.max()
    values = (volume - low) / (high - low)
    blocks = extract_blocks(values, config.block_size, config.margin)
    decoded = assemble_blocks(model.decode(model.encode(blocks)[0]), volume.shape, config.margin, mode)
    return decoded * (high - low) + low


@pytest.mark.parametrize("blocks_per_slab", [4, 1024])
@pytest.mark.parametrize("mode", ["crop", "blend"])
@pytest.mark.parametrize("name", CONFIGS)
def test_slabs_decode_to_the_same_volume_as_all_blocks_at_once(
    name: str, mode: str, blocks_per_slab: int
) -> None:
    config = CONFIGS[name]
    params = draw_params(config)
    volume = np.random.default_rng(0).uniform(1, 200, (13, 17, 9)).astype(np.float32)
    encoded = autoencoder.encode_blocks(
        config, params, jnp.asarray(volume), None, blocks_per_slab=blocks_per_slab
    )
    used_mode = mode if config.margin else "crop"
    decoded = autoencoder.decode_blocks(config, params, encoded, used_mode, blocks_per_slab=blocks_per_slab)
    np.testing.assert_allclose(decoded, reference_decoding(config, params, volume, mode), atol=2e-3)


@pytest.mark.parametrize("variant", ["zero-margin", "two-wide-margin", "more-parameters"])
def test_smaller_steps_are_better_and_larger(variant: str) -> None:
    codec = nvc_jax.load_codec(variant)
    best = np.asarray(nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, SMALL_VOLUME)))
    measured = []
    for step in (2.0, 0.5, 0.02):
        encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME, step=step)
        decoded = np.asarray(nvc_jax.decode_volume(codec, encoded))
        measured.append((psnr_db(SMALL_VOLUME, decoded), int(encoded.stream.used_bytes)))
    assert measured == sorted(measured)
    assert measured[-1][0] == pytest.approx(psnr_db(SMALL_VOLUME, best), abs=0.2)
    assert measured[-1][1] < encoded.stream.choices.size * 2 * 3 * 3 * 4 / 3  # of float32's bytes


@pytest.mark.parametrize("mode", ["crop", "blend"])
def test_a_stream_decodes_as_rounded_latents(codec: nvc_jax.Codec, mode: str) -> None:
    volume = SMALL_VOLUME.astype(np.float32)
    encoded = nvc_jax.encode_volume(codec, volume)
    assert isinstance(encoded, EncodedLatents)
    rounded = dataclasses.replace(encoded, latents=jnp.rint(encoded.latents / 0.25) * 0.25)
    expected = nvc_jax.decode_volume(codec, rounded, mode=mode)
    stream = nvc_jax.encode_volume(codec, volume, step=0.25)
    assert isinstance(stream, EncodedLatentStream)
    decoded = nvc_jax.decode_volume(codec, stream, mode=mode)
    np.testing.assert_allclose(decoded, expected, atol=0.01)


@pytest.mark.parametrize("steps", [(None,), (0.1, jnp.float32(1))], ids=["latents", "streams"])
def test_compiles_once_for_each_shape(codec: nvc_jax.Codec, steps: tuple) -> None:
    autoencoder.encode_blocks.clear_cache()
    autoencoder.decode_blocks.clear_cache()

    def run(volume: np.ndarray, step: float | jax.Array | None) -> None:
        nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=step))

    first = compilations(lambda: run(SMALL_VOLUME, steps[0]))
    assert len([name for name in first if "encode_blocks" in name]) == 1
    assert len([name for name in first if "decode_blocks" in name]) == 1
    for step in steps:
        assert compilations(lambda step=step: run(SMALL_VOLUME[::-1], step)) == []


def test_runs_inside_jit_and_vmap(codec: nvc_jax.Codec) -> None:
    check_jit_and_vmap(codec, steps=(0.1, 0.5), max_difference=8)


def test_runs_inside_shard_map(codec: nvc_jax.Codec) -> None:
    check_shard_map(codec, step=0.1)


def test_bad_steps_and_foreign_streams_are_named(codec: nvc_jax.Codec) -> None:
    for step in (0.0, -1.0, 1e9, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"`step` \(=.*must lie between .* unit of the latents"):
            nvc_jax.encode_volume(codec, SMALL_VOLUME, step=step)
    encoded = nvc_jax.encode_volume(codec, SMALL_VOLUME, step=1.0)
    other = nvc_jax.load_codec("more-parameters")
    with pytest.raises(ValueError, match=r"`encoded\.stream\.coded\.words` has shape"):
        nvc_jax.decode_volume(other, encoded)
    with pytest.raises(ValueError, match="not of a spectral codec"):
        nvc_jax.decode_volume(nvc_jax.load_codec("nvc-1"), encoded)


@pytest.mark.parametrize("platform", ["cuda", "rocm", "tpu"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "bfloat16"])
def test_programs_of_every_dtype_lower_for_accelerators(dtype: str, platform: str) -> None:
    config = HALF_AS_WIDE
    params = draw_params(config)
    for precision in (FAST, FLOAT32):

        def code(volume: jax.Array, precision: str = precision) -> jax.Array:
            encoded = autoencoder.encode_blocks(config, params, volume, None, precision=precision)
            return autoencoder.decode_blocks(config, params, encoded, "blend", precision=precision)

        traced = jax.jit(code).trace(jax.ShapeDtypeStruct((13, 17, 9), jnp.dtype(dtype)))
        assert traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("margin", [0, 2])
def test_volumes_of_a_batch_are_coded_by_kernels_of_tpus(margin: int) -> None:
    """These kernels take no batches by themselves."""
    config = DenseConfig(margin=margin, hidden_sizes=(16,), latent_dim=8)
    params = draw_params(config)
    mode = "blend" if margin else "crop"

    def code(volume: jax.Array) -> jax.Array:
        encoded = autoencoder.encode_blocks(config, params, volume, None, precision=FAST)
        return autoencoder.decode_blocks(config, params, encoded, mode, precision=FAST)

    volumes = jax.ShapeDtypeStruct((2, 16, 64, 256), jnp.float32)
    lowered = jax.jit(jax.vmap(code)).trace(volumes).lower(lowering_platforms=("tpu",))
    assert lowered.as_text().count("tpu_custom_call") >= 3  # the range, encoding and decoding
