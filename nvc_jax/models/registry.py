"""The kinds of models. A new kind is a folder and one line: see ``register``."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nvc_jax.autoencoder.config import VARIANTS, ConvolutionalConfig, DenseConfig
from nvc_jax.core.choices import DEFAULT_MODEL
from nvc_jax.core.model import Model, ModelConfig
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.training.config import TrainingConfig


class ModelKind(NamedTuple):
    """Parts of a kind of model.

    Attributes:
        config_type: its configurations; ``architecture`` names the kind.
        model_type: the operations.
        training_type: its training configurations.
    """

    config_type: type[ModelConfig]
    model_type: type[Model]
    training_type: type[TrainingConfig]


def _spectral_kind() -> ModelKind:
    from nvc_jax.spectral.model import SpectralModel
    from nvc_jax.spectral.training.config import SpectralTraining

    return ModelKind(SpectralConfig, SpectralModel, SpectralTraining)


def _autoencoder_kind(config_type: type[ModelConfig]) -> ModelKind:
    from nvc_jax.autoencoder.model import AutoencoderModel
    from nvc_jax.autoencoder.training.config import AutoencoderTraining

    return ModelKind(config_type, AutoencoderModel, AutoencoderTraining)


_KINDS: dict[str, Callable[[], ModelKind]] = {
    SpectralConfig.architecture: _spectral_kind,
    DenseConfig.architecture: lambda: _autoencoder_kind(DenseConfig),
    ConvolutionalConfig.architecture: lambda: _autoencoder_kind(ConvolutionalConfig),
}
"""The kinds of models by the name of their architecture; a kind is imported where it is used."""


def register(kind: ModelKind) -> None:
    """Add a kind of model.

    Raises:
        ValueError: there is a kind of that architecture.
    """
    architecture = kind.config_type.architecture
    if architecture in _KINDS:
        raise ValueError(f"`kind`: there is a model of architecture {architecture!r} already")
    _KINDS[architecture] = lambda: kind


def unregister(architecture: str) -> None:
    """Remove a kind of model."""
    del _KINDS[architecture]


def _kind(architecture: Any) -> ModelKind:
    if architecture not in _KINDS:
        raise ValueError(f"`architecture` (={architecture!r}) must be one of {sorted(_KINDS)}")
    return _KINDS[architecture]()


def model_of(config: ModelConfig) -> Model:
    """The operations of a model, bound to its configuration."""
    return _kind(config.architecture).model_type(config)


def training_type(config: ModelConfig) -> type[TrainingConfig]:
    """Type of the training configurations of a model."""
    return _kind(config.architecture).training_type


_FILTER_UNITS = 48
"""Units of a layer of the filter of ``nvc-1-filter``.
With 24, later steps of one series took 0.5 % more bits."""


def named_configs() -> dict[str, ModelConfig]:
    """Configurations that have a name: the default model, that with a filter, and the paper's variants."""
    with_filter = SpectralConfig(n_filter_units=_FILTER_UNITS)
    return {DEFAULT_MODEL: SpectralConfig(), **VARIANTS, f"{DEFAULT_MODEL}-filter": with_filter}


def config_from_dict(description: Mapping[str, Any]) -> ModelConfig:
    """Read the configuration that ``ModelConfig.to_dict`` described.

    Raises:
        ValueError: the architecture or a field is unknown, or a value is of a wrong type or out of range.
    """
    fields: dict[str, Any] = dict(description)
    architecture = fields.pop("architecture", None)
    config_type = _kind(architecture).config_type
    known = {field.name for field in dataclasses.fields(config_type)}
    if unknown := sorted(fields.keys() - known):
        raise ValueError(f"unknown fields {unknown} for architecture {architecture!r}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    try:
        return config_type(**values)
    except TypeError as error:
        message = f"the configuration of a {architecture} model has a value of a wrong type: {error}"
        raise ValueError(message) from error


def stored_config(description: Mapping[str, Any]) -> ModelConfig:
    """Read the configuration of a stored model, which an earlier version may have written.

    Raises:
        ValueError: as of ``config_from_dict``.
    """
    defaults = _kind(description.get("architecture")).config_type.stored_defaults()
    return config_from_dict({**defaults, **description})
