"""Configuration of a block-mean model."""

import dataclasses
from typing import ClassVar

from nvc_jax.core.model import ModelConfig


@dataclasses.dataclass(frozen=True)
class BlockMeanConfig(ModelConfig):
    """Configuration of a block-mean model: one number, the mean, represents a block."""

    block_size: int = 2
    latent_dim: int = 1

    architecture: ClassVar[str] = "block-mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.margin, self.latent_dim) != (0, 1):
            raise ValueError("architecture 'block-mean' takes no margin, and one latent")
