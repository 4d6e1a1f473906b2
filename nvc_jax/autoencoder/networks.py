"""The block autoencoders (paper, section 2.2) and their configurations; no input or output.

Every architecture maps blocks (n, side, side, side) in [0, 1] to latents (n, latent_dim) and back,
with side = block_size + 2·margin. All arrays are float32.
"""

import dataclasses
import functools
import itertools
import math
from abc import abstractmethod
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from nvc_jax.autoencoder.blocks import check_geometry
from nvc_jax.entropy import rans
from nvc_jax.spectral.entropy_model import abstract_class_model
from nvc_jax.spectral.profiles import MAX_PROFILES, stack_profiles
from nvc_jax.spectral.refinement import Params, abstract_refinement, merge_params
from nvc_jax.transform import block_modes
from nvc_jax.transform.block_dct import BLOCK, N_LATENTS

LEAKY_SLOPE = 0.01


def _check_sizes(name: str, sizes: tuple[int, ...]) -> None:
    if not sizes or any(size < 1 for size in sizes):
        raise ValueError(f"`{name}` (={sizes}) must hold at least one positive size")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """What every block autoencoder has.

    Attributes:
        block_size: side of a block's core in voxels.
        margin: voxels of neighbouring data on every side of the core.
        latent_dim: numbers that represent one block.
    """

    block_size: int = 8
    margin: int = 0
    latent_dim: int = 32

    architecture: ClassVar[str]

    def __post_init__(self) -> None:
        check_geometry(self.block_size, self.margin)
        if self.latent_dim < 1:
            raise ValueError(f"`latent_dim` (={self.latent_dim}) must be at least 1")

    @property
    def side(self) -> int:
        """Side of a whole block in voxels, margins included."""
        return self.block_size + 2 * self.margin

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready description that ``config_from_dict`` reads back."""
        return {"architecture": self.architecture, **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True)
class DenseConfig(ModelConfig):
    """The paper's fully connected VAE; ``hidden_sizes`` from the block inwards, mirrored to decode."""

    hidden_sizes: tuple[int, ...] = (128,)

    architecture: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sizes("hidden_sizes", self.hidden_sizes)


@dataclasses.dataclass(frozen=True)
class ConvolutionalConfig(ModelConfig):
    """A convolutional VAE (the paper's future work): one stride-2 3×3×3 layer per entry of ``channels``."""

    channels: tuple[int, ...] = (16, 32)

    architecture: ClassVar[str] = "convolutional"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sizes("channels", self.channels)
        factor = 2 ** len(self.channels)
        if self.side % factor:
            raise ValueError(
                f"`block_size` + 2·`margin` (={self.side}) must be a multiple of {factor}: "
                f"each of the {len(self.channels)} `channels` halves it"
            )


_ONCE_ONE = ("n_quantizers", "n_profiles")
"""Fields of spectral models that came later, when all models had one of each."""


@dataclasses.dataclass(frozen=True)
class SpectralConfig(ModelConfig):
    """A lapped DCT in place of the networks, and an entropy model of block classes (see ``spectral``)."""

    latent_dim: int = N_LATENTS
    n_classes: int = 64
    n_tables: int = 64
    n_quantizers: int = 2
    n_profiles: int = 4

    architecture: ClassVar[str] = "spectral"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.block_size, self.margin, self.latent_dim) != (BLOCK, 0, N_LATENTS):
            raise ValueError(f"architecture 'spectral' takes `block_size` {BLOCK}, no margin")
        if not 1 <= self.n_classes <= rans.N_TOKENS or self.n_tables < 1:
            raise ValueError(
                f"`n_classes` (={self.n_classes}) must lie between 1 and {rans.N_TOKENS}, "
                f"`n_tables` (={self.n_tables}) must be at least 1"
            )
        if self.n_quantizers not in (1, 2):
            raise ValueError(f"`n_quantizers` (={self.n_quantizers}) must be 1 or 2")
        if not 1 <= self.n_profiles <= MAX_PROFILES:
            raise ValueError(f"`n_profiles` (={self.n_profiles}) must lie between 1 and {MAX_PROFILES}")

    def to_dict(self) -> dict[str, Any]:
        """As of other models, but for what there is one of: earlier models do not say so."""
        description = super().to_dict()
        return {k: v for k, v in description.items() if k not in _ONCE_ONE or v != 1}


VARIANTS: dict[str, DenseConfig] = {
    "zero-margin": DenseConfig(margin=0, hidden_sizes=(128,), latent_dim=32),
    "two-wide-margin": DenseConfig(margin=2, hidden_sizes=(128,), latent_dim=32),
    "more-parameters": DenseConfig(margin=2, hidden_sizes=(256,), latent_dim=64),
}
"""The three models of the paper's Table 1."""


def config_from_dict(description: dict[str, Any]) -> ModelConfig:
    """The configuration that ``ModelConfig.to_dict`` described.

    Raises:
        ValueError: the architecture or a field is unknown, or a value is out of range.
    """
    fields = dict(description)
    architecture = fields.pop("architecture", None)
    if architecture not in _CONFIGS:
        raise ValueError(f"`architecture` (={architecture!r}) must be one of {sorted(_CONFIGS)}")
    config_type = _CONFIGS[architecture]
    known = {field.name for field in dataclasses.fields(config_type)}
    if unknown := sorted(fields.keys() - known):
        raise ValueError(f"unknown fields {unknown} for architecture {architecture!r}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    return config_type(**values)


def stored_config(description: dict[str, Any]) -> ModelConfig:
    """``config_from_dict`` of a stored model: of one quantiser, and one profile, unless it says more."""
    if description.get("architecture") == SpectralConfig.architecture:
        description = {**dict.fromkeys(_ONCE_ONE, 1), **description}
    return config_from_dict(description)


class BlockAutoencoder(nnx.Module):
    """The interface that the codec and the training loop know."""

    config: ModelConfig

    @abstractmethod
    def encode(self, blocks: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Blocks (n, side, side, side) to the latents' mean and log-variance, each (n, latent_dim)."""

    @abstractmethod
    def decode(self, latents: jax.Array) -> jax.Array:
        """Latents (n, latent_dim) to blocks (n, side, side, side) in (0, 1)."""

    def decode_core(self, latents: jax.Array) -> jax.Array:
        """Latents (n, latent_dim) to the blocks' cores (n, block_size, block_size, block_size)."""
        core = slice(self.config.margin, self.config.margin + self.config.block_size)
        return self.decode(latents)[:, core, core, core]


class DenseAutoencoder(BlockAutoencoder):
    """Fully connected VAE: leaky ReLU (slope 0.01) between layers, sigmoid output."""

    def __init__(self, config: DenseConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        sizes = (config.side**3, *config.hidden_sizes)
        self.encoder = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])
        self.mean = nnx.Linear(sizes[-1], config.latent_dim, rngs=rngs)
        self.log_variance = nnx.Linear(sizes[-1], config.latent_dim, rngs=rngs)
        sizes = (config.latent_dim, *config.hidden_sizes[::-1])
        self.decoder = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])
        self.output = nnx.Linear(sizes[-1], config.side**3, rngs=rngs)

    def encode(self, blocks: jax.Array) -> tuple[jax.Array, jax.Array]:
        hidden = blocks.reshape(blocks.shape[0], -1)
        for layer in self.encoder:
            hidden = nnx.leaky_relu(layer(hidden), LEAKY_SLOPE)
        return self.mean(hidden), self.log_variance(hidden)

    def _decode_hidden(self, latents: jax.Array) -> jax.Array:
        for layer in self.decoder:
            latents = nnx.leaky_relu(layer(latents), LEAKY_SLOPE)
        return latents

    def decode(self, latents: jax.Array) -> jax.Array:
        values = nnx.sigmoid(self.output(self._decode_hidden(latents)))
        return values.reshape(-1, *[self.config.side] * 3)

    def decode_core(self, latents: jax.Array) -> jax.Array:
        # Only the core's columns of the last layer: 3.4 times less work than a 12³ block.
        core = slice(self.config.margin, self.config.margin + self.config.block_size)
        sides = [self.config.side] * 3
        kernel = self.output.kernel[...].reshape(-1, *sides)[:, core, core, core]
        assert self.output.bias is not None
        bias = self.output.bias[...].reshape(*sides)[core, core, core]
        hidden = self._decode_hidden(latents)
        values = nnx.sigmoid(hidden @ kernel.reshape(kernel.shape[0], -1) + bias.reshape(1, -1))
        return values.reshape(-1, *[self.config.block_size] * 3)


class ConvolutionalAutoencoder(BlockAutoencoder):
    """Strided 3-D convolutions down to a dense latent layer, transposed convolutions back up."""

    def __init__(self, config: ConvolutionalConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        kernel, strides = (3, 3, 3), (2, 2, 2)
        channels = (1, *config.channels)
        self._coarse = (*[config.side // 2 ** len(config.channels)] * 3, channels[-1])
        flat = math.prod(self._coarse)
        self.encoder = nnx.List(
            [nnx.Conv(a, b, kernel, strides=strides, rngs=rngs) for a, b in itertools.pairwise(channels)]
        )
        self.mean = nnx.Linear(flat, config.latent_dim, rngs=rngs)
        self.log_variance = nnx.Linear(flat, config.latent_dim, rngs=rngs)
        self.expand = nnx.Linear(config.latent_dim, flat, rngs=rngs)
        channels = channels[::-1]
        self.decoder = nnx.List(
            [
                nnx.ConvTranspose(a, b, kernel, strides=strides, rngs=rngs)
                for a, b in itertools.pairwise(channels)
            ]
        )

    def encode(self, blocks: jax.Array) -> tuple[jax.Array, jax.Array]:
        hidden = blocks[..., None]
        for layer in self.encoder:
            hidden = nnx.leaky_relu(convolve_halving(hidden, layer), LEAKY_SLOPE)
        hidden = hidden.reshape(hidden.shape[0], -1)
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, latents: jax.Array) -> jax.Array:
        hidden = self.expand(latents).reshape(-1, *self._coarse)
        for layer in self.decoder:
            hidden = convolve_doubling(nnx.leaky_relu(hidden, LEAKY_SLOPE), layer)
        return nnx.sigmoid(hidden[..., 0])


def convolve_halving(values: jax.Array, layer: nnx.Conv) -> jax.Array:
    """What a 3×3×3 ``nnx.Conv`` of stride 2 does to (n, z, y, x, channels) of even sides: one matrix product.

    XLA's own strided convolutions of so few channels are 5 to 500 times slower on CPUs.
    """
    for axis in (3, 2, 1):  # output i sees inputs 2i, 2i + 1 and 2i + 2; beyond the end are zeros
        pairs = values.reshape(*values.shape[:axis], -1, 2, *values.shape[axis + 1 :])
        first, second = (lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in (0, 1))
        third = _shifted(first, axis, 1)
        values = jnp.concatenate([first, second, third], axis=-1)
    kernel, bias = _kernel_and_bias(layer)
    kernel = kernel.reshape(-1, kernel.shape[-1])
    rows = values.reshape(-1, kernel.shape[0]) @ kernel + bias.reshape(1, -1)
    return rows.reshape(*values.shape[:-1], -1)


def convolve_doubling(values: jax.Array, layer: nnx.ConvTranspose) -> jax.Array:
    """What a 3×3×3 ``nnx.ConvTranspose`` of stride 2 does to (n, z, y, x, channels): one matrix product."""
    kernel, bias = _kernel_and_bias(layer)
    channels, out = kernel.shape[-2:]
    rows = values.reshape(-1, channels) @ kernel.transpose(3, 0, 1, 2, 4).reshape(channels, -1)
    values = rows.reshape(*values.shape[:-1], -1)
    for axis in (1, 2, 3):  # input i adds to outputs 2i + 2, 2i + 1 and 2i; none lies beyond the end
        taps = values.reshape(*values.shape[:-1], 3, -1)
        first, second, third = (lax.index_in_dim(taps, i, 4, keepdims=False) for i in range(3))
        values = jnp.stack([third + _shifted(first, axis, -1), second], axis=axis + 1)
        values = values.reshape(*values.shape[:axis], -1, *values.shape[axis + 2 :])
    return values + bias.reshape(1, 1, 1, 1, out)


def _shifted(values: jax.Array, axis: int, by: int) -> jax.Array:
    """``values`` whose element i is element i + ``by`` (1 or -1) along ``axis``, zero beyond the end."""
    widths = [(0, 0, 0)] * values.ndim
    widths[axis] = (-by, by, 0)
    return lax.pad(values, jnp.zeros((), values.dtype), widths)


def _kernel_and_bias(layer: nnx.Conv | nnx.ConvTranspose) -> tuple[jax.Array, jax.Array]:
    assert layer.bias is not None
    return layer.kernel[...], layer.bias[...]


_CONFIGS: dict[str, type[ModelConfig]] = {
    config.architecture: config for config in (DenseConfig, ConvolutionalConfig, SpectralConfig)
}
_AUTOENCODERS: dict[str, type[BlockAutoencoder]] = {
    "dense": DenseAutoencoder,
    "convolutional": ConvolutionalAutoencoder,
}


def _build(config: ModelConfig, rngs: nnx.Rngs) -> BlockAutoencoder:
    return _AUTOENCODERS[config.architecture](config, rngs=rngs)  # type: ignore[call-arg]


def init_params(config: ModelConfig, *, key: jax.Array) -> Params:
    """Freshly initialised parameters for ``config``."""
    model = _build(config, nnx.Rngs(params=key))
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def abstract_params(config: ModelConfig) -> Params:
    """The parameters' nested dict with shapes and dtypes in place of arrays."""
    if isinstance(config, SpectralConfig):
        sizes = (config.latent_dim, config.n_classes, config.n_tables, config.n_quantizers)
        one = abstract_class_model(*sizes)
        n_profiles = config.n_profiles
        return {
            "entropy": jax.eval_shape(lambda model: stack_profiles([model] * n_profiles), one),
            "refinement": abstract_refinement(
                config.latent_dim, n_profiles * config.n_classes, block_modes.N_WAYS
            ),
        }
    return nnx.to_pure_dict(_abstract(config)[1])


@functools.lru_cache
def _abstract(config: ModelConfig) -> tuple[Any, Any]:
    model = nnx.eval_shape(lambda: _build(config, nnx.Rngs(0)))
    return nnx.split(model)


def bind(config: ModelConfig, params: Params) -> BlockAutoencoder:
    """The model of ``config`` with ``params``; may be called while tracing."""
    return merge_params(_abstract(config), params)
