"""Configurations of the block autoencoders, and the three variants of the paper."""

import dataclasses
from typing import ClassVar

from nvc_jax.core.model import ModelConfig


def _check_sizes(name: str, sizes: tuple[int, ...]) -> None:
    if not sizes or any(size < 1 for size in sizes):
        raise ValueError(f"`{name}` (={sizes}) must hold at least one positive size")


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


VARIANTS: dict[str, DenseConfig] = {
    "zero-margin": DenseConfig(margin=0, hidden_sizes=(128,), latent_dim=32),
    "two-wide-margin": DenseConfig(margin=2, hidden_sizes=(128,), latent_dim=32),
    "more-parameters": DenseConfig(margin=2, hidden_sizes=(256,), latent_dim=64),
}
"""The three models of the paper's Table 1."""
