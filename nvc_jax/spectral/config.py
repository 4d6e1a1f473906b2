"""Configuration of spectral models."""

import dataclasses
from typing import Any, ClassVar

from nvc_jax.core.model import ModelConfig, check_size
from nvc_jax.entropy import tokens
from nvc_jax.spectral.neighbour_contexts import N_CONTEXTS
from nvc_jax.spectral.profiles import MAX_PROFILES
from nvc_jax.transform.block_layout import BLOCK_SIZE, N_COEFFICIENTS

_MAX_TABLES = 1024
"""Tables of each profile and quantiser, at most: a decoder makes a list of 4096 slots of each."""
_ONCE_ONE = ("n_quantizers", "n_profiles", "n_contexts")
"""Fields that earlier spectral models did not store, because all of them had one quantiser, one profile or no
contexts."""


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
    """

    latent_dim: int = N_COEFFICIENTS
    n_classes: int = 64
    n_tables: int = 64
    n_quantizers: int = 2
    n_profiles: int = 4
    n_contexts: int = N_CONTEXTS

    architecture: ClassVar[str] = "spectral"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.block_size, self.margin, self.latent_dim) != (BLOCK_SIZE, 0, N_COEFFICIENTS):
            raise ValueError(f"architecture 'spectral' takes `block_size` {BLOCK_SIZE}, no margin")
        check_size("n_classes", self.n_classes, tokens.N_TOKENS)
        check_size("n_tables", self.n_tables, _MAX_TABLES)
        check_size("n_quantizers", self.n_quantizers, 2)
        check_size("n_profiles", self.n_profiles, MAX_PROFILES)
        check_size("n_contexts", self.n_contexts, N_CONTEXTS)
        if 1 < self.n_contexts < N_CONTEXTS:
            raise ValueError(f"`n_contexts` (={self.n_contexts}) must be {N_CONTEXTS}, or 1 for no contexts")

    def to_dict(self) -> dict[str, Any]:
        """Describe the configuration; fields of newer models are left out where they are 1."""
        description = super().to_dict()
        return {k: v for k, v in description.items() if k not in _ONCE_ONE or v != 1}

    @classmethod
    def stored_defaults(cls) -> dict[str, Any]:
        """One quantiser, profile and context, as earlier models have them; their descriptions state none."""
        return dict.fromkeys(_ONCE_ONE, 1)
