"""Checkpoints: a directory with Orbax parameters, ``config.json`` and ``CARD.md``.

A model is found by name (shipped with the package), by path, or by the SHA-256 of its configuration and
parameters, which does not depend on how the files store them.
"""

import base64
import contextlib
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import serialization

from nvc_jax.autoencoder.networks import Params
from nvc_jax.core.byte_codecs import decode_bytes, encode_bytes
from nvc_jax.core.model import ModelConfig
from nvc_jax.models.registry import abstract_params, stored_config

_CONFIG = "config.json"
_PARAMS = "params"


def shipped_directory() -> Path:
    """Where the package's own checkpoints lie: packed in the wheel, or beside an editable install."""
    package = Path(__file__).parent.parent
    packed = package / "_checkpoints"
    return packed if packed.is_dir() else package.parent / "checkpoints"


def shipped_models() -> dict[str, Path]:
    """The checkpoints that ship with the package, by name."""
    directory = shipped_directory()
    if not directory.is_dir():
        return {}
    return {path.name: path for path in sorted(directory.iterdir()) if (path / _CONFIG).is_file()}


def model_sha256(config: ModelConfig, params: Params) -> str:
    """SHA-256 over the configuration's JSON and every parameter's path, shape and float32 bytes."""
    digest = hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode())
    for path, leaf in sorted((jax.tree_util.keystr(p), x) for p, x in jax.tree.leaves_with_path(params)):
        array = np.ascontiguousarray(leaf, "<f4")
        digest.update(f"{path}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def save_checkpoint(
    directory: Path | str,
    config: ModelConfig,
    params: Params,
    card: str,
    training: dict[str, Any] | None = None,
) -> None:
    """Write a new checkpoint; it appears under its name only when it is whole.

    Args:
        directory: the checkpoint's directory, which must not exist yet.
        config: the model's configuration.
        params: its parameters.
        card: text of the model card (Markdown): training volumes, licences, steps and scores.
        training: how it was trained, JSON-ready; kept as ``training.json``.

    Raises:
        FileExistsError: ``directory`` exists.
    """
    directory = Path(directory).absolute()
    if directory.exists():
        raise FileExistsError(f"`directory` (={directory}) exists already")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent) as temporary:
        partial = Path(temporary) / directory.name
        partial.mkdir()
        with contextlib.closing(ocp.StandardCheckpointer()) as checkpointer:
            checkpointer.save(partial / _PARAMS, params)
        description = {"model": config.to_dict(), "sha256": model_sha256(config, params)}
        (partial / _CONFIG).write_text(json.dumps(description, indent=2) + "\n")
        (partial / "CARD.md").write_text(card)
        if training is not None:
            (partial / "training.json").write_text(json.dumps(training, indent=2) + "\n")
        partial.rename(directory)


def model_card(
    name: str,
    config: ModelConfig,
    training: Mapping[str, Any],
    volumes: Mapping[str, str],
    scores: Mapping[str, str],
) -> str:
    """Text of a model card (Markdown).

    Args:
        name: of the model.
        config: its configuration.
        training: settings and results of the training.
        volumes: the training volumes' licences by name.
        scores: what was measured, by what it is.
    """

    def table(head: str, rows: Mapping[str, Any]) -> str:
        return "\n".join([head, "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])

    return "\n\n".join(
        [
            f"# {name}",
            table("| model | |", config.to_dict()),
            table("| training | |", training),
            table("| score | |", scores),
            "## Training volumes",
            table("| volume | licence |", volumes) + "\n",
        ]
    )


def find_checkpoint(model: str | Path) -> Path:
    """The directory of a checkpoint given by shipped name, path, or SHA-256 of a shipped model.

    Raises:
        FileNotFoundError: nothing of that name; the message lists the shipped models.
    """
    shipped = shipped_models()
    if str(model) in shipped:
        return shipped[str(model)]
    if (Path(model) / _CONFIG).is_file():
        return Path(model)
    for path in shipped.values():
        if _read_description(path).get("sha256") == str(model):
            return path
    raise FileNotFoundError(
        f"`model` (={str(model)!r}) is neither a shipped model ({', '.join(shipped) or 'none'}) nor a "
        f"directory with a {_CONFIG}"
    )


def load_checkpoint(model: str | Path) -> tuple[ModelConfig, Params]:
    """Configuration and parameters of a checkpoint (see ``find_checkpoint``).

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it is damaged or foreign: unreadable, of another shape, or of another SHA-256.
    """
    directory = find_checkpoint(model)
    description = _read_description(directory)
    try:
        config = stored_config(description["model"])
        with contextlib.closing(ocp.StandardCheckpointer()) as checkpointer:
            target = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), abstract_params(config)
            )
            params = checkpointer.restore((directory / _PARAMS).absolute(), target)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise ValueError(f"`{directory}` is not a checkpoint of nvc_jax: {error}") from error
    params = jax.device_get(params)
    if (actual := model_sha256(config, params)) != description.get("sha256"):
        raise ValueError(f"`{directory}` is damaged: its SHA-256 is {actual}, not the one in {_CONFIG}")
    return config, params


def embed_model(config: ModelConfig, params: Params) -> dict[str, Any]:
    """A model as a JSON-ready object, for metadata that must not depend on other files.

    ``config`` as in a checkpoint, and ``params``: nested dictionaries of arrays in MessagePack as Flax writes
    it, ``bytes`` long, compressed by Zstandard, in base 64.
    """
    raw = serialization.msgpack_serialize(jax.device_get(params))
    packed = base64.b64encode(encode_bytes(raw, "zstd")).decode()
    return {"config": config.to_dict(), "bytes": len(raw), "params": packed}


def extract_model(embedded: dict[str, Any], sha256: str) -> tuple[ModelConfig, Params]:
    """The model that ``embed_model`` described.

    Raises:
        ValueError: it is damaged, or not the one of that SHA-256.
    """
    try:
        config = stored_config(embedded["config"])
        raw = decode_bytes(base64.b64decode(embedded["params"], validate=True), "zstd", embedded["bytes"])
        params = serialization.msgpack_restore(raw)
        actual = model_sha256(config, params)
    except Exception as error:  # of whatever kind: MessagePack has its own
        raise ValueError(f"the embedded model is damaged: {error}") from error
    if actual != sha256:
        raise ValueError(f"the embedded model is not the one of SHA-256 {sha256}")
    return config, params


def _read_description(directory: Path) -> dict[str, Any]:
    try:
        description = json.loads((directory / _CONFIG).read_text())
    except ValueError as error:
        raise ValueError(f"`{directory / _CONFIG}` is not JSON: {error}") from error
    if not isinstance(description, dict):
        raise ValueError(f"`{directory / _CONFIG}` must hold a JSON object")
    return description
