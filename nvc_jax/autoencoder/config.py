"""Configurations of the block autoencoders, and the paper's three variants."""

import dataclasses
from typing import ClassVar

from nvc_jax.core.model import MAX_LAYER_SIZE, MAX_LAYERS, ModelConfig, check_size


def _check_sizes(name: str, sizes: tuple[int, ...]) -> None:
    if not isinstance(sizes, tuple) or not 1 <= len(sizes) <= MAX_LAYERS:
        raise ValueError(f"`{name}` (={sizes!r:.80}) must hold from one to {MAX_LAYERS} positive sizes")
    for size in sizes:
        check_size(name, size, MAX_LAYER_SIZE)


@dataclasses.dataclass(frozen=True)
class DenseConfig(ModelConfig):
    """Configuration of the paper's fully connected variational autoencoder (section 2.2).

    Attributes:
        hidden_sizes: units of the encoder's hidden layers, from the block to the latents. The decoder has
            the same layers in reverse order.
    """

    hidden_sizes: tuple[int, ...] = (128,)

    architecture: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_sizes("hidden_sizes", self.hidden_sizes)


@dataclasses.dataclass(frozen=True)
class ConvolutionalConfig(ModelConfig):
    """Configuration of a convolutional variational autoencoder, which the paper leaves to future work.

    Attributes:
        channels: output channels of the encoder's 3×3×3 layers of stride 2, from the block to the latents.
            Each layer halves the side. The decoder has the same layers in reverse order.
    """

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
"""The three models of the paper's Table 1, by name."""
