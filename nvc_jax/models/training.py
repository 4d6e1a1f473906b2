"""Training of any kind of model."""

from collections.abc import Sequence
from pathlib import Path

from nvc_jax.autoencoder.training.config import TrainingConfig
from nvc_jax.models.checkpoints import model_card, save_checkpoint
from nvc_jax.models.codec import Codec
from nvc_jax.spectral.config import SpectralConfig
from nvc_jax.training.progress import Progress

_FITTED = {
    "entropy model": "by counting; classes by Lloyd's algorithm in bits",
    "refinement": "AdamW, at most 8000 steps of 512 blocks",
}


def save_result(
    directory: Path | str,
    config: TrainingConfig,
    sources: Sequence[str],
    codec: Codec,
    history: Sequence[Progress] = (),
) -> None:
    """Save a trained codec as a checkpoint, with a card and the configuration as ``training.json``.

    Raises:
        FileExistsError: ``directory`` exists.
    """
    fitted = isinstance(config.model, SpectralConfig)
    settings = {k: v for k, v in config.to_dict().items() if k not in ("model", "steps_per_dispatch")}
    scores = {}
    if history:
        scores = {"last loss": f"{history[-1].loss:.6f}", "steps": str(history[-1].step)}
        if history[-1].validation_loss is not None:
            scores["validation loss"] = f"{history[-1].validation_loss:.6f}"
    card = model_card(
        Path(directory).name,
        config.model,
        _FITTED if fitted else settings,
        dict.fromkeys(sources, "not stated"),
        scores,
    )
    save_checkpoint(directory, config.model, codec.params, card, config.to_dict())
