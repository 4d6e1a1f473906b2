"""The kinds of models, by the name of their architecture."""

import dataclasses
from typing import Any

import jax
from flax import nnx

from nvc_jax.autoencoder.config import ConvolutionalConfig, DenseConfig
from nvc_jax.autoencoder.networks import _abstract
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params
from nvc_jax.spectral.config import _ONCE_ONE, SpectralConfig
from nvc_jax.spectral.entropy_model import abstract_entropy_model
from nvc_jax.spectral.profiles import stack_profiles
from nvc_jax.spectral.refinement import abstract_refinement
from nvc_jax.transform import block_modes


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


_CONFIGS: dict[str, type[ModelConfig]] = {
    config.architecture: config for config in (DenseConfig, ConvolutionalConfig, SpectralConfig)
}


def abstract_params(config: ModelConfig) -> Params:
    """The parameters' nested dict with shapes and dtypes in place of arrays."""
    if isinstance(config, SpectralConfig):
        sizes = (config.latent_dim, config.n_classes, config.n_tables, config.n_quantizers)
        one = abstract_entropy_model(*sizes)
        n_profiles = config.n_profiles
        return {
            "entropy": jax.eval_shape(lambda model: stack_profiles([model] * n_profiles), one),
            "refinement": abstract_refinement(
                config.latent_dim, n_profiles * config.n_classes, block_modes.N_FILTER_MODES
            ),
        }
    return nnx.to_pure_dict(_abstract(config)[1])
