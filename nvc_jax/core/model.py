"""A model's configuration."""

import dataclasses
from typing import Any, ClassVar

from nvc_jax.autoencoder.blocks import check_geometry


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
