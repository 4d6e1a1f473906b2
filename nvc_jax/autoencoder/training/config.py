"""How to train a block autoencoder."""

import dataclasses
from typing import Any

from nvc_jax.autoencoder.config import VARIANTS
from nvc_jax.core.model import ModelConfig
from nvc_jax.models.registry import config_from_dict


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How to train; the defaults are the paper's (section 3.2).

    Attributes:
        model: the model's configuration.
        epochs: passes over all blocks.
        batch_size: blocks a step.
        learning_rate: Adam's, or the peak of the schedule.
        schedule: ``"constant"``, or ``"cosine"``: a linear warm-up over 2 % of the steps, then a
            cosine decay to zero.
        sample_latents: decode a latent sampled around the mean (the VAE's reparametrisation) in
            training; False decodes the mean.
        kl_weight: weight of the latents' KL divergence from a unit normal, per block.
        loss_window: ``"uniform"`` weighs all voxels of a block alike; ``"blend"`` weighs margins as
            blending does, so that capacity goes where it shows.
        blocks_per_volume: for ``block_batches``: None takes every block of the grid, a number draws that
            many at random positions from each volume.
        augment: mirror and transpose every batch by one of the cube's 48 symmetries.
        steps_per_dispatch: steps in one compiled call.
    """

    model: ModelConfig = VARIANTS["zero-margin"]
    epochs: int = 8
    batch_size: int = 64
    learning_rate: float = 1e-4
    schedule: str = "constant"
    sample_latents: bool = True
    kl_weight: float = 0.0
    loss_window: str = "uniform"
    blocks_per_volume: int | None = None
    augment: bool = False
    steps_per_dispatch: int = 256

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "steps_per_dispatch"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be at least 1")
        if not self.learning_rate > 0:
            raise ValueError(f"`learning_rate` (={self.learning_rate}) must be positive")
        if self.kl_weight < 0:
            raise ValueError(f"`kl_weight` (={self.kl_weight}) must not be negative")
        for name, allowed in (("schedule", ("constant", "cosine")), ("loss_window", ("uniform", "blend"))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"`{name}` (={getattr(self, name)!r}) must be one of {allowed}")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready description that ``from_dict`` reads back."""
        return {**dataclasses.asdict(self), "model": self.model.to_dict()}

    @classmethod
    def from_dict(cls, description: dict[str, Any]) -> "TrainingConfig":
        """The configuration that ``to_dict`` described; ``model`` may be the name of a variant.

        Raises:
            ValueError: a field is unknown or a value out of range.
        """
        fields = dict(description)
        if unknown := sorted(fields.keys() - {field.name for field in dataclasses.fields(cls)}):
            raise ValueError(f"unknown fields {unknown} in the training configuration")
        model = fields.get("model", "zero-margin")
        if isinstance(model, str):
            if model not in VARIANTS:
                raise ValueError(f"`model` (={model!r}) must be one of {sorted(VARIANTS)} or an object")
            fields["model"] = VARIANTS[model]
        else:
            fields["model"] = config_from_dict(model)
        return cls(**fields)
