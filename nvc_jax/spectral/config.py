"""Configuration of spectral models."""

import dataclasses
from typing import Any, ClassVar

from nvc_jax.core.model import ModelConfig, check_size
from nvc_jax.entropy import tokens
from nvc_jax.spectral.header_contexts import N_HEADER_CONTEXTS
from nvc_jax.spectral.neighbour_contexts import N_CONTEXTS
from nvc_jax.spectral.profiles import MAX_PROFILES
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS

_MAX_TABLES = 1024
"""Tables of each profile and quantiser, at most: a decoder makes a list of 4096 slots of each."""
_DEFAULTS_STORED = {
    "n_quantizers": 1,
    "n_profiles": 1,
    "n_contexts": 1,
    "n_header_contexts": 1,
    "n_filter_units": 0,
}
"""Fields that earlier spectral models did not store, because all of them had one quantiser, one profile, no
contexts or no filter."""
_MAX_FILTER_UNITS = 256
"""Units of a layer of the post-filter, at most."""


@dataclasses.dataclass(frozen=True)
class SpectralConfig(ModelConfig):
    """Configuration of a spectral model: a lapped DCT, and an entropy model of block classes.

    Attributes:
        latent_dim: coefficients of a block, 512.
        n_classes: classes of blocks of each profile, at most 64.
        n_tables: frequency tables that coefficients share, of each profile and quantiser.
        n_quantizers: 1, or 2 for dependent quantisation.
        n_profiles: entropy models for different rates, at most 256.
        n_contexts: contexts of integers: 11, or 1 for a model without contexts (see ``neighbour_contexts``).
        n_header_contexts: contexts of block headers: 11, or 1 for a model without (see ``header_contexts``).
        n_filter_units: units of each layer of the post-filter, at most 256; 0 for a model without filter.
    """

    latent_dim: int = N_COEFFICIENTS
    n_classes: int = 64
    n_tables: int = 64
    n_quantizers: int = 2
    n_profiles: int = 4
    n_contexts: int = N_CONTEXTS
    n_header_contexts: int = N_HEADER_CONTEXTS
    n_filter_units: int = 0

    architecture: ClassVar[str] = "spectral"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.block_size, self.margin, self.latent_dim) != (BLOCK_SIZE, 0, N_COEFFICIENTS):
            raise ValueError(f"architecture 'spectral' takes `block_size` {BLOCK_SIZE}, no margin")
        check_size("n_classes", self.n_classes, tokens.N_TOKENS)
        check_size("n_tables", self.n_tables, _MAX_TABLES)
        check_size("n_quantizers", self.n_quantizers, 2)
        check_size("n_profiles", self.n_profiles, MAX_PROFILES)
        for name, number in (("n_contexts", N_CONTEXTS), ("n_header_contexts", N_HEADER_CONTEXTS)):
            check_size(name, getattr(self, name), number)
            if 1 < getattr(self, name) < number:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be {number}, or 1 for no contexts")
        if self.n_filter_units != 0 or isinstance(self.n_filter_units, bool):
            check_size("n_filter_units", self.n_filter_units, _MAX_FILTER_UNITS)

    def to_dict(self) -> dict[str, Any]:
        """Describe the configuration; fields of newer models are left out where they say nothing new."""
        description = super().to_dict()
        return {k: v for k, v in description.items() if v != _DEFAULTS_STORED.get(k)}

    @classmethod
    def stored_defaults(cls) -> dict[str, Any]:
        """One quantiser, profile and context of each kind, no filter: earlier descriptions state none."""
        return dict(_DEFAULTS_STORED)
