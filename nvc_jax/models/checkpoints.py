"""Checkpoints: a directory with Orbax parameters, ``config.json`` and ``CARD.md``.

A model is found by name (shipped with the package), by path, or by the SHA-256 of its configuration and
parameters, which does not depend on how the files store them.
"""

import contextlib
import functools
import importlib.resources
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import tensorstore as ts

from nvc_jax.core.json_documents import read_json
from nvc_jax.core.model import ModelConfig
from nvc_jax.core.parameters import Params
from nvc_jax.io.atomic import naming, replacing
from nvc_jax.io.paths import check_location, local_path, output_path, real_path
from nvc_jax.models.identity import model_sha256
from nvc_jax.models.registry import model_of, stored_config
from nvc_jax.training.metrics import METRICS, write_metrics
from nvc_jax.training.progress import TrainingProgress

FEWEST_DIGITS = 16
"""Hexadecimal digits of a SHA-256 that name a model: no two models have them in common by chance."""
_CONFIG = "config.json"
_PARAMS = "params"


@functools.cache
def shipped_directory() -> Path:
    """Directory of the package's own checkpoints: packed in the wheel, or beside an editable install."""
    package = Path(str(importlib.resources.files("nvc_jax")))
    packed = package / "_checkpoints"
    return packed if packed.is_dir() else package.parent / "checkpoints"


def shipped_models() -> dict[str, Path]:
    """Directories of the checkpoints that ship with the package, by name."""
    directory = shipped_directory()
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return {}
    return {
        name: directory / name for name in names if os.path.isfile(os.path.join(directory, name, _CONFIG))
    }


def save_checkpoint(
    directory: Path | str,
    config: ModelConfig,
    params: Params,
    card: str,
    training: dict[str, Any] | None = None,
    history: tuple[TrainingProgress, ...] = (),
) -> None:
    """Write a new checkpoint; it appears under its name only when it is whole.

    This process alone writes, also where JAX connects it with others.

    Args:
        directory: the checkpoint's directory, which must not exist yet.
        config: the model's configuration.
        params: its parameters.
        card: text of the model card (Markdown): training volumes, licences, steps and scores.
        training: settings of the training, JSON-ready; kept as ``training.json``.
        history: progress reports of the training; kept as ``metrics.jsonl`` if there are any.

    Raises:
        FileExistsError: ``directory`` exists.
    """
    directory = output_path(directory)
    if directory.exists():
        raise FileExistsError(f"`directory` (={directory}) exists already; name a new one")
    with naming(directory):
        real_path(directory).parent.mkdir(parents=True, exist_ok=True)
    with replacing(directory) as partial:
        partial.mkdir()
        with _checkpointer() as checkpointer:
            checkpointer.save(partial / _PARAMS, params)
        description = {"model": config.to_dict(), "sha256": model_sha256(config, params)}
        (partial / _CONFIG).write_text(json.dumps(description, indent=2) + "\n")
        (partial / "CARD.md").write_text(card)
        if training is not None:
            (partial / "training.json").write_text(json.dumps(training, indent=2) + "\n")
        if history:
            write_metrics(partial / METRICS, history)


@contextlib.contextmanager
def _checkpointer() -> Iterator[Any]:
    """Open Orbax's checkpointer for this process alone, also where JAX connects it with others."""
    import orbax.checkpoint as ocp  # takes long to import

    process = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=process, active_processes={process})
    with contextlib.closing(ocp.StandardCheckpointer(multiprocessing_options=alone)) as checkpointer:
        yield checkpointer


def find_shipped(sha256: str) -> Path | None:
    """Find the shipped checkpoint of a SHA-256, or of its first 16 digits or more; None if there is none."""
    if len(sha256) < FEWEST_DIGITS:
        return None
    matching = (path for path in shipped_models().values() if stated_sha256(path).startswith(sha256))
    return next(matching, None)


def stated_sha256(directory: Path) -> str:
    """SHA-256 that the ``config.json`` of a checkpoint states, which is read again where it has changed."""
    status = os.stat(directory / _CONFIG)
    return _read_sha256(directory, (status.st_ino, status.st_size, status.st_mtime_ns))


@functools.lru_cache(maxsize=16)
def _read_sha256(directory: Path, _identity: tuple[int, int, int]) -> str:
    return str(read_description(directory).get("sha256"))


def find_checkpoint(model: str | Path) -> Path:
    """Find the directory of a checkpoint given by shipped name, path, or SHA-256 of a shipped model.

    Raises:
        FileNotFoundError: nothing of that name; the message lists the shipped models.
    """
    check_location(model, "model")
    directory = shipped_directory() / os.path.basename(str(model))
    if directory.name == str(model) and os.path.isfile(directory / _CONFIG):
        return directory
    path = local_path(model)
    if path is not None and (path / _CONFIG).is_file():
        return path
    if path := find_shipped(str(model)):
        return path
    names = ", ".join(shipped_models()) or "none"
    raise FileNotFoundError(
        f"`model` (={str(model)!r}) is neither a shipped model ({names}) nor a directory with a {_CONFIG}"
    )


def load_checkpoint(model: str | Path) -> tuple[ModelConfig, Params]:
    """Load configuration and parameters of a checkpoint (see ``find_checkpoint``).

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is damaged or foreign: unreadable, of another shape, or of another SHA-256.
    """
    directory = find_checkpoint(model)
    description = read_description(directory)
    try:
        config = stored_config(description["model"])
        target = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), model_of(config).abstract_params()
        )
        params = _read_params(real_path(directory / _PARAMS), target)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"`{directory}` is not a checkpoint of nvc_jax: {error}") from error
    if (actual := model_sha256(config, params)) != description.get("sha256"):
        raise ValueError(f"`{directory}` is damaged: its SHA-256 is {actual}, not the one in {_CONFIG}")
    return config, params


def _read_params(directory: Path, target: Params) -> Params:
    """Read parameters of the shapes and dtypes of ``target``.

    Orbax takes longer to import than its arrays to read. So TensorStore reads them, and Orbax only those of
    layouts that it did not write by default.
    """
    base = {"driver": "ocdbt", "base": directory.as_uri() + "/"}

    def open_leaf(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> Any:
        name = ".".join(str(entry.key) for entry in path)
        spec = {"driver": "zarr", "kvstore": {**base, "path": f"{name}/"}}
        return ts.open(spec, open=True, read=True, dtype=ts.dtype(leaf.dtype), shape=leaf.shape)

    try:
        opening = jax.tree_util.tree_map_with_path(open_leaf, target)
        reading = jax.tree.map(lambda store: store.result().read(), opening)
        return jax.tree.map(lambda values: values.result(), reading)
    except (ValueError, OSError):
        with _checkpointer() as checkpointer:
            return jax.device_get(checkpointer.restore(directory, target))


def read_description(directory: Path) -> dict[str, Any]:
    """Read the ``config.json`` of a checkpoint: its configuration (``model``) and ``sha256``."""
    try:
        description = read_json((directory / _CONFIG).read_bytes())
    except ValueError as error:
        raise ValueError(f"`{directory / _CONFIG}` is not JSON: {error}") from error
    if not isinstance(description, dict):
        raise ValueError(f"`{directory / _CONFIG}` must hold a JSON object")
    return description
