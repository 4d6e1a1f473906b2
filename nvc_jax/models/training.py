"""Training of any kind of model."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from nvc_jax.core.jax_settings import in_own_settings
from nvc_jax.core.json_documents import read_json
from nvc_jax.core.model import ModelConfig
from nvc_jax.io.paths import check_location, local_path, output_path
from nvc_jax.models.card import model_card
from nvc_jax.models.checkpoints import save_checkpoint
from nvc_jax.models.codec import Codec
from nvc_jax.models.registry import config_from_dict, named_configs, training_type
from nvc_jax.training.config import TrainingConfig
from nvc_jax.training.mesh import is_first_process
from nvc_jax.training.metrics import METRICS, MetricsLog, read_metrics, tensorboard_log
from nvc_jax.training.progress import RunOptions, TrainingProgress
from nvc_jax.training.time_limit import TimeLimit

DEFAULT_CONFIG = "zero-margin"
"""Model of a training configuration that names none: the first row of the paper's Table 1."""


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """A trained model.

    Attributes:
        codec: the model and its parameters.
        config: the configuration of the training.
        sources: names of the training volumes.
        history: every progress report of the run, if it has a directory; otherwise those of this call.
        minutes: limit of the training's time; None if there was none.
    """

    codec: Codec
    config: TrainingConfig
    sources: tuple[str, ...]
    history: tuple[TrainingProgress, ...]
    minutes: float | None = None

    def save(self, directory: Path | str) -> None:
        """Save the model as a checkpoint.

        Beside the parameters there are a model card, the configuration as ``training.json``, and the history
        as ``metrics.jsonl``. Where JAX connects several processes, only the first one writes.

        Args:
            directory: directory of the checkpoint, which must not exist; ``load_codec`` takes its path.

        Raises:
            FileExistsError: ``directory`` exists.
        """
        if not is_first_process():
            return
        scores = {}
        if self.history:
            last = self.history[-1]
            scores = {"last loss": f"{last.loss:.6f}", "steps": str(last.step)}
            if last.validation_loss is not None:
                scores["validation loss"] = f"{last.validation_loss:.6f}"
        card = model_card(
            Path(directory).name,
            self.codec.config,
            self._card_settings(),
            dict.fromkeys(self.sources, "not stated"),
            scores,
        )
        training = self.config.to_dict()
        save_checkpoint(directory, self.codec.config, self.codec.params, card, training, self.history)

    def _card_settings(self) -> dict[str, Any]:
        """Settings that a model card lists; the minutes of limited time replace the amount of work."""
        settings = dict(self.config.card_settings)
        if self.minutes is None:
            return settings
        replaced = self.config.replaced_by_time
        return {"minutes": self.minutes} | {k: v for k, v in settings.items() if k not in replaced}


@in_own_settings
def train(
    config: TrainingConfig | str | Path | Mapping[str, Any],
    volumes: Sequence[Any],
    *,
    validation: Sequence[Any] = (),
    seed: int = 0,
    directory: Path | str | None = None,
    devices: Sequence[jax.Device] | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    checkpoint_every: int = 10_000,
    keep: str = "last",
    tensorboard: Path | str | None = None,
    minutes: float | None = None,
) -> TrainingResult:
    """Train a model on volumes.

    Where JAX connects several processes (``jax.distributed.initialize``, ``nvc_jax.connect_processes``), all
    of them must call this function with the same arguments. They share the work, and all return the model.

    Args:
        config: a training configuration, or what ``training_config`` takes: the name of a model such as
            ``"nvc-1"``, the path of a JSON file, or what such a file holds.
        volumes: volumes that ``open_volume`` takes. Files and stores are read part by part, whenever a part
            is needed; they need not fit in memory. NaN, and values that a source declares to be missing or
            beyond its limits, are not learned from.
        validation: volumes held out for a validation loss; must be empty for spectral models.
        seed: the only source of randomness. On the same devices and versions, the same arguments give the
            same parameters; on other numbers of devices and processes the same up to rounding.
        directory: directory of checkpoints, from which an interrupted run continues when it is called again
            with the same arguments; None writes none. Several processes need one that they share.
        devices: devices that share every batch; None for all of all processes.
        on_progress: called with progress reports, several times per epoch if epochs are long.
        checkpoint_every: optimiser steps between two checkpoints, at most. There is one after every epoch,
            too. A block autoencoder's only.
        keep: ``"last"`` returns the parameters after the last step, ``"best"`` those of the epoch with the
            smallest validation loss; it needs ``validation`` and ``directory``.
        tensorboard: directory of event files for TensorBoard; needs the extra ``tensorboard``.
        minutes: wall time to train for, in place of the configuration's amount of work: epochs of a block
            autoencoder, blocks of a spectral model. It is kept up to a dispatch of steps or a chunk, but a
            spectral model is fitted once in any case. A run that continues counts the time that its
            checkpoint had taken. The parameters then depend on the speed of the machine, too.

    Returns:
        The trained codec; its ``save`` writes a checkpoint.

    Raises:
        FileNotFoundError: ``config`` or a volume does not exist.
        ModuleNotFoundError: the extra ``tensorboard`` is needed and not installed.
        SystemExit: SIGTERM was received; the state is saved in ``directory``. Its code is 143.
        TypeError: the dtype of a volume is not supported.
        ValueError: no volume; a wrong configuration; ``minutes`` that are not above 0; too few blocks for a
            batch, a batch that the devices cannot share, a ``directory`` that holds another run; validation
            volumes for a spectral model.
    """
    if not all(isinstance(given, Sequence) and not isinstance(given, str) for given in (volumes, validation)):
        raise TypeError("`volumes` and `validation` must be sequences of volumes, such as a list of one")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"`seed` (={seed!r}) must be an integer that is not negative, such as 0")
    limit = None if minutes is None else TimeLimit(minutes)
    if not isinstance(config, TrainingConfig):
        config = training_config(config)
    directory = None if directory is None else output_path(directory)
    with contextlib.ExitStack() as stack:
        listeners = [] if on_progress is None else [on_progress]
        if is_first_process() and directory is not None:
            listeners.append(MetricsLog(directory / METRICS).append)
        if is_first_process() and tensorboard is not None:
            listeners.append(stack.enter_context(tensorboard_log(output_path(tensorboard))))

        def report(progress: TrainingProgress) -> None:
            for listener in listeners:
                listener(progress)

        options = RunOptions(
            validation=validation,
            seed=seed,
            directory=directory,
            devices=devices,
            on_progress=report,
            checkpoint_every=checkpoint_every,
            keep=keep,
            limit=limit,
        )
        trained = config.run(volumes, options)
    history = trained.history
    if directory is not None and (directory / METRICS).exists():  # with the reports before an interruption
        history = read_metrics(directory / METRICS)
    return TrainingResult(Codec(config.model, trained.params), config, trained.sources, history, minutes)


def training_config(description: str | Path | Mapping[str, Any]) -> TrainingConfig:
    """Make a training configuration from a name, a JSON file or a description.

    A description holds ``"model"``, the name of a model or its configuration as a JSON object (without it,
    zero-margin), and any further fields of ``AutoencoderTraining`` or ``SpectralTraining``. Fields that it
    lacks have their default values.

    Args:
        description: name of a model (``"nvc-1"``, ``"zero-margin"``, …) for its default training, path of a
            JSON file, or what such a file holds.

    Raises:
        FileNotFoundError: neither a file nor the name of a model.
        ValueError: no JSON object, an unknown field, or a value of a wrong type or out of range.
    """
    if isinstance(description, Mapping):
        return _from_fields(description)
    check_location(description, "config")
    names = named_configs()
    if str(description) in names:
        return _from_fields({"model": str(description)})
    path = local_path(description)
    if path is None or not path.is_file():
        raise FileNotFoundError(f"`config` (={description}) is neither a file nor one of {', '.join(names)}")
    try:
        fields = read_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"`config` (={path}) is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError(f"`config` (={path}) must hold a JSON object")
    return _from_fields(fields)


def _from_fields(fields: Mapping[str, Any]) -> TrainingConfig:
    model = _model_config(fields.get("model", DEFAULT_CONFIG))
    config_type = training_type(model)
    known = {field.name for field in dataclasses.fields(config_type)}
    if unknown := sorted(fields.keys() - known):
        raise ValueError(
            f"unknown fields {unknown} in the training configuration of a {model.architecture} model"
        )
    try:
        return config_type(**{**fields, "model": model})
    except TypeError as error:
        raise ValueError(f"the training configuration has a value of a wrong type: {error}") from error


def _model_config(description: Any) -> ModelConfig:
    if isinstance(description, Mapping):
        return config_from_dict(dict(description))
    names = named_configs()
    if not isinstance(description, str) or description not in names:
        raise ValueError(f"`model` (={description!r}) must be one of {sorted(names)} or an object")
    return names[description]
