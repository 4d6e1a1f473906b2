"""The codec: a model and its parameters; volumes in memory to encoded volumes and back."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nvc_jax.core.cached_properties import cached_property
from nvc_jax.core.choices import check_mode
from nvc_jax.core.dtypes import check_device_dtype
from nvc_jax.core.encoded_volume import EncodedVolume
from nvc_jax.core.jax_settings import gather, in_own_settings
from nvc_jax.core.model import Model, ModelConfig
from nvc_jax.core.normalization import finite_range
from nvc_jax.core.parameters import Params
from nvc_jax.core.shapes import check_shape
from nvc_jax.models.checkpoints import (
    find_checkpoint,
    load_checkpoint,
    shipped_directory,
    stated_sha256,
)
from nvc_jax.models.identity import model_sha256
from nvc_jax.models.registry import model_of


@functools.partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["config"])
@dataclasses.dataclass(frozen=True)
class Codec:
    """A model and its parameters; a pytree, so that it may be an argument of jitted functions.

    Attributes:
        config: the model's configuration (static).
        params: nested dict of arrays.
    """

    config: ModelConfig
    params: Params

    @property
    def model(self) -> Model:
        """The model's operations."""
        return model_of(self.config)

    @cached_property
    def sha256(self) -> str:
        """Identity of the model, computed once: of parameters that nobody changes; see ``model_sha256``."""
        return model_sha256(self.config, self.params)


def load_codec(model: str | Path) -> Codec:
    """Load a codec by the name of a shipped model, the path of a checkpoint, or a SHA-256.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: the checkpoint is damaged or foreign.
    """
    return Codec(*load_checkpoint(model))


def load_shared(model: str | Path) -> Codec:
    """Load a codec as ``load_codec`` does, but a shipped one once for all callers, who must not change it."""
    directory = find_checkpoint(model)
    if directory.parent != shipped_directory():
        return load_codec(directory)
    return load_shipped(directory, stated_sha256(directory))


@functools.lru_cache(maxsize=2)
def load_shipped(directory: Path, _sha256: str) -> Codec:
    """Load a shipped codec once for all callers; its SHA-256 tells it from another in the same directory.

    Nobody can change its arrays.
    """
    codec = load_codec(directory)
    for leaf in jax.tree.leaves(codec.params):
        leaf.setflags(write=False)
    return codec


@in_own_settings
def encode_volume(codec: Codec, volume: ArrayLike, *, step: ArrayLike | None = None) -> EncodedVolume:
    """Encode a volume: into its blocks' latent means (paper, section 2), or into an entropy-coded stream.

    The function is pure: it may be called inside ``jax.jit``, ``jax.vmap`` and ``jax.shard_map``. Called
    outside, it runs as one compiled program, compiled once for each shape and dtype.

    Args:
        codec: from ``load_codec`` or ``train``.
        volume: (z, y, x), an 8 or 16 bit integer, float16 or float32.
        step: of the quantiser: smaller is better and larger; may be traced. Spectral models such as
            nvc-1 need one, relative to the volume's range, from 2**-15 to 2. Block autoencoders take one
            in the unit of their latents, whose standard deviations are about 0.1 to 8, from 2**-12 to
            2**12; without one, their latents stay float32.

    Returns:
        The encoded volume: an ``EncodedStream`` of a spectral model, ``EncodedLatents`` of a block
        autoencoder, or with a step its ``EncodedLatentStream``. All arrays have static shapes; a stream has
        a buffer and its used length. Where a traced step is not possible, such as 0 or NaN, the range of the
        encoded volume is NaN, and floats decode to NaN.

    Raises:
        TypeError: the dtype is not supported.
        ValueError: a missing or wrong step, wrong rank, an empty side, or values that are not
            finite (inside a transformation values cannot be checked: there NaN encodes as the minimum,
            infinities as the range's ends).
    """
    _check_codec(codec)
    volume = volume if isinstance(volume, jax.Array) else np.asarray(volume)
    check_device_dtype(volume.dtype)
    volume = gather(jnp.asarray(volume))
    check_shape(volume.shape)
    model = codec.model
    model.check_step(step)
    if not isinstance(volume, jax.core.Tracer):
        check_finite(volume)
    if not isinstance(step, jax.core.Tracer):
        return model.encode(codec.params, volume, None if step is None else jnp.asarray(step, jnp.float32))
    smallest, largest = model.step_limits
    is_possible = (smallest <= step) & (step <= largest)
    possible_step = jnp.where(is_possible, step, largest).astype(jnp.float32)
    encoded = model.encode(codec.params, volume, possible_step)
    return dataclasses.replace(
        encoded,
        minimum=jnp.where(is_possible, encoded.minimum, jnp.nan),
        maximum=jnp.where(is_possible, encoded.maximum, jnp.nan),
    )


def _check_codec(codec: Any) -> None:
    if not isinstance(codec, Codec):
        raise TypeError(f"`codec` (={codec!r:.80}) must be a Codec, which `load_codec` or `train` makes")


def check_finite(volume: ArrayLike) -> tuple[float, float]:
    """Return the range of a volume, or raise ``ValueError`` if a value is not finite."""
    minimum, maximum, n_bad = (float(value) for value in _range_and_nonfinite(jnp.asarray(volume)))
    if n_bad:
        raise ValueError(f"`volume` holds {n_bad:.0f} values that are not finite; all must be")
    return minimum, maximum


@in_own_settings
def decode_volume(codec: Codec, encoded: EncodedVolume, *, mode: str = "blend") -> jax.Array:
    """Decode a volume; the inverse of ``encode_volume`` up to the model's error.

    Args:
        codec: the codec that encoded it.
        encoded: from ``encode_volume``.
        mode: use of the decoded margins, for models of the paper: ``"blend"`` interpolates them between
            neighbours, ``"crop"`` decodes only the blocks' cores. Without a margin the two are the same.

    Returns:
        The volume in its original shape and dtype.

    Raises:
        ValueError: the encoded volume is not of this codec's kind and size, or ``mode`` is unknown.
    """
    check_mode(mode)
    _check_codec(codec)
    model = codec.model
    if not isinstance(encoded, model.encoded_types):
        raise ValueError(
            f"`encoded` is a {type(encoded).__name__}, not of a {codec.config.architecture} codec: pass what "
            "`encode_volume` returned"
        )
    if not isinstance(encoded.minimum, jax.core.Tracer) and np.isnan(encoded.minimum).any():
        raise ValueError(
            f"`encoded` has no range: its `step` was not between {model.step_limits[0]} and "
            f"{model.step_limits[1]:g} when `encode_volume` ran inside a compiled function"
        )
    return model.decode(codec.params, jax.tree.map(gather, encoded), mode)


@jax.jit
def _range_and_nonfinite(volume: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    if jnp.issubdtype(volume.dtype, jnp.integer):
        return *finite_range(volume), jnp.int32(0)
    return *finite_range(volume), jnp.sum(~jnp.isfinite(volume))
